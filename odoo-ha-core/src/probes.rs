//! When the verdicts of a probe are believed.

use crate::policy::ProbeSettings;

/// What a probe found. How many in a row it takes to believe it is the core's business
/// ([`ProbeSettings`]).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// It works.
    Healthy,
    /// It does not; the text says what was seen.
    Unhealthy(String),
}

/// What is believed of the thing that a probe looks at.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub enum Health {
    /// Too few verdicts in a row to say: nothing is concluded from it.
    #[default]
    Unknown,
    /// It works.
    Healthy,
    /// It does not; the text is what the latest unhealthy verdict said.
    Unhealthy(String),
}

/// Counts the verdicts of one probe and believes them after [`rise`](ProbeSettings::rise) or
/// [`fall`](ProbeSettings::fall) equal ones in a row.
///
/// It knows no clock and does no input or output. A check that ended in an error counts neither way and is not
/// handed in; it does not break a row either.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ProbeTracker {
    rise: u32,
    fall: u32,
    health: Health,
    row: Row,
}

/// The verdicts in a row that speak against what is believed. Ends at `rise` or `fall`, so it never overflows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Row {
    None,
    Healthy(u32),
    Unhealthy(u32),
}

impl ProbeTracker {
    /// A tracker that believes nothing yet. A `rise` or `fall` of zero counts as one.
    pub fn new(settings: &ProbeSettings) -> Self {
        Self { rise: settings.rise.max(1), fall: settings.fall.max(1), health: Health::Unknown, row: Row::None }
    }

    /// What is believed now.
    pub const fn health(&self) -> &Health {
        &self.health
    }

    /// Whether it is believed to be unhealthy; what is unknown is not.
    pub const fn is_unhealthy(&self) -> bool {
        matches!(self.health, Health::Unhealthy(_))
    }

    /// Takes one verdict. Returns the new belief when it went from one kind to another; a new text of what was unhealthy
    /// already is taken over without being told.
    pub fn handle_verdict(&mut self, verdict: &Verdict) -> Option<&Health> {
        let believed = match verdict {
            Verdict::Healthy => self.handle_healthy(),
            Verdict::Unhealthy(text) => self.handle_unhealthy(text),
        };
        believed.then_some(&self.health)
    }

    fn handle_healthy(&mut self) -> bool {
        if self.health == Health::Healthy {
            self.row = Row::None;
            return false;
        }
        let count = if let Row::Healthy(count) = self.row { count + 1 } else { 1 };
        if count < self.rise {
            self.row = Row::Healthy(count);
            return false;
        }
        self.row = Row::None;
        self.health = Health::Healthy;
        true
    }

    fn handle_unhealthy(&mut self, text: &str) -> bool {
        if self.is_unhealthy() {
            self.row = Row::None;
            self.health = Health::Unhealthy(text.to_owned());
            return false;
        }
        let count = if let Row::Unhealthy(count) = self.row { count + 1 } else { 1 };
        if count < self.fall {
            self.row = Row::Unhealthy(count);
            return false;
        }
        self.row = Row::None;
        self.health = Health::Unhealthy(text.to_owned());
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bad(text: &str) -> Verdict {
        Verdict::Unhealthy(text.into())
    }

    fn tracker() -> ProbeTracker {
        ProbeTracker::new(&ProbeSettings::with(|settings| {
            settings.rise = 2;
            settings.fall = 3;
        }))
    }

    #[test]
    fn believes_only_enough_verdicts_in_a_row() {
        let mut tracker = tracker();
        assert_eq!(tracker.handle_verdict(&Verdict::Healthy), None);
        assert_eq!(tracker.handle_verdict(&bad("no")), None);
        assert_eq!(tracker.handle_verdict(&Verdict::Healthy), None);
        assert_eq!(tracker.handle_verdict(&Verdict::Healthy), Some(&Health::Healthy));
        assert_eq!(tracker.handle_verdict(&Verdict::Healthy), None);
    }

    #[test]
    fn one_good_verdict_breaks_a_row_of_bad_ones() {
        let mut tracker = tracker();
        for _ in 0..2 {
            tracker.handle_verdict(&Verdict::Healthy);
        }
        for _ in 0..5 {
            assert_eq!(tracker.handle_verdict(&bad("a")), None);
            assert_eq!(tracker.handle_verdict(&bad("b")), None);
            assert_eq!(tracker.handle_verdict(&Verdict::Healthy), None);
        }
        tracker.handle_verdict(&bad("a"));
        tracker.handle_verdict(&bad("b"));
        assert_eq!(tracker.handle_verdict(&bad("c")), Some(&Health::Unhealthy("c".into())));
    }

    #[test]
    fn the_latest_text_is_kept() {
        let mut tracker = tracker();
        for text in ["a", "b", "c"] {
            tracker.handle_verdict(&bad(text));
        }
        assert_eq!(tracker.handle_verdict(&bad("d")), None);
        assert_eq!(tracker.health(), &Health::Unhealthy("d".into()));
    }

    #[test]
    fn unknown_is_not_unhealthy_and_zero_counts_as_one() {
        let mut tracker = ProbeTracker::new(&ProbeSettings::with(|settings| settings.rise = 0));
        assert!(!tracker.is_unhealthy());
        assert_eq!(tracker.handle_verdict(&Verdict::Healthy), Some(&Health::Healthy));
    }
}
