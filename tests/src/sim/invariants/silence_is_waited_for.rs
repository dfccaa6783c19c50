//! Leadership is taken from a holder only when its record has stood unchanged for as long as the record itself says: its `ttl`, or, where the
//! sync record before says synchronous, its `suspicion` (protocol rules 4, 11 and 42).
//!
//! A synchronous cluster's standbys may count from when the version was sent, by the holder's clock, and from half the time before they received it.
//!
//! Nobody can have watched a version for longer than it stands. Clocks may differ by their margin. A record that a restored backup brought back
//! is not judged before it is written again.

use std::time::Duration;

use odoo_ha_core::records::{ElectionRule, LeaderRecord};
use odoo_ha_core::term::Mark;
use odoo_ha_core::time::Moment;

use super::super::{Fact, World};
use super::Invariant;

/// Two clocks within their margin show this much of a hundred of each other, at least.
const PERCENT: u32 = 97;

/// When a version was sent, by its writer's clock.
fn sent(world: &World, record: &LeaderRecord) -> Option<Duration> {
    let stated = Moment::from_origin(Duration::from_millis(record.sent_ms?));
    world.nodes.get(&record.writer)?.clock.when(stated)
}

/// When the present leader record was written.
#[derive(Default)]
pub(super) struct SilenceIsWaitedFor {
    written: Option<(Mark, Duration)>,
}

impl Invariant for SilenceIsWaitedFor {
    fn name(&self) -> &'static str {
        "silence_is_waited_for"
    }

    fn look(&mut self, world: &World) -> Option<String> {
        let mut broken = None;
        let mut forgot = false;
        for fact in &world.facts {
            match fact {
                Fact::StoreForgot => (self.written, forgot) = (None, true),
                Fact::LeaderWritten { before } => {
                    let rule = world.facts.iter().find_map(|fact| match fact {
                        Fact::SyncWritten { before: Some(before) } => Some(before.rule),
                        _ => None,
                    });
                    if let (Some(before), Some(rule)) = (before, rule)
                        && let Some((winner, _)) = world.records.taken_over(Some(before))
                        && let Some((mark, at)) = self.written
                        && before.holder.is_some()
                        && before.mark == mark
                        && world.clocks_honest()
                    {
                        let mut spans = match rule {
                            ElectionRule::Asynchronous => vec![(at, before.ttl())],
                            ElectionRule::Synchronous => {
                                vec![
                                    (at, before.suspicion() / 2),
                                    (sent(world, before).unwrap_or(at), before.suspicion()),
                                ]
                            }
                        };
                        spans.retain(|(since, needed)| world.now.saturating_sub(*since) < *needed * PERCENT / 100);
                        if let Some((since, needed)) = spans.pop() {
                            let waited = world.now.saturating_sub(since);
                            broken = Some(format!("{winner} took over after {waited:?} of {needed:?}"));
                        }
                    }
                    self.written = world.records.leader.as_ref().filter(|_| !forgot).map(|now| (now.mark, world.now));
                }
                _ => {}
            }
        }
        broken
    }
}

#[cfg(test)]
mod tests {
    use odoo_ha_core::policy::SyncMode;

    use super::super::doctored::{breaks_among_others, take_over_at_once, whole};

    #[test]
    fn a_takeover_right_after_a_renewal_is_seen() {
        let (mut world, _, others) = whole(SyncMode::Synchronous);
        take_over_at_once(&mut world, &others[0]);
        breaks_among_others(&mut world, "silence_is_waited_for");
    }
}
