//! Which events a person wants to read while it runs, and how they are meant.

use std::time::Duration;

use odoo_ha_core::event::{Event, EventKind, Severity};

use super::console::Tone;
use super::node::Node;

/// How an event is told; `None` for what only matters when one looks for it: the steps of the
/// machine, and its probes, which find every standby unfit to be written to.
pub(crate) fn tone_of(event: &Event) -> Option<Tone> {
    match (&event.kind, event.severity()) {
        (EventKind::StateChanged { .. } | EventKind::HealthChanged { .. }, _) => None,
        (EventKind::Serving | EventKind::Promoted { .. }, _) => Some(Tone::Good),
        (_, Severity::Error) => Some(Tone::Bad),
        (_, Severity::Warning) => Some(Tone::Warning),
        (_, Severity::Info) => Some(Tone::Plain),
    }
}

/// Something that a node says again within this time is not news.
const REPEAT: Duration = Duration::from_secs(10);

/// Leaves out what a node says again and again, such as each attempt at something that fails.
#[derive(Debug, Default)]
pub(crate) struct Repeats {
    last: [Option<(Duration, String)>; 2],
}

impl Repeats {
    /// Whether this is news, at this moment.
    pub(crate) fn is_news(&mut self, at: Duration, node: Node, sentence: &str) -> bool {
        let last = &mut self.last[node.index()];
        if last.as_ref().is_some_and(|(since, said)| said == sentence && at.saturating_sub(*since) < REPEAT) {
            return false;
        }
        *last = Some((at, sentence.to_owned()));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_again_at_once_is_no_news() {
        let mut repeats = Repeats::default();
        let at = Duration::from_secs;
        assert!(repeats.is_news(at(1), Node::A, "not yet"));
        assert!(!repeats.is_news(at(2), Node::A, "not yet"));
        assert!(repeats.is_news(at(2), Node::B, "not yet"), "another node says it for the first time");
        assert!(repeats.is_news(at(3), Node::A, "now"));
        assert!(repeats.is_news(at(4), Node::A, "not yet"));
        assert!(repeats.is_news(at(14), Node::A, "not yet"), "that long ago it would have been forgotten");
    }
}
