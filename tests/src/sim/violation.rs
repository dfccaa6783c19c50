//! Something that must never be, and was.

use std::fmt;
use std::time::Duration;

/// What was seen, when, and which invariant it breaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The invariant's name, as in `sim/invariants`.
    pub invariant: &'static str,
    /// When.
    pub at: Duration,
    /// What was seen.
    pub text: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at {:.3}: {}: {}", self.at.as_secs_f64(), self.invariant, self.text)
    }
}
