//! The guard with real processes: a real PostgreSQL, an agent that is killed, frozen, restarted, and the guard itself killed.
#![expect(clippy::expect_used, reason = "helpers of tests: their panic is a failed test")]

mod agent;
mod postgres;
mod rights;
mod situations;

use std::time::{Duration, Instant};

/// Longest wait for anything that must happen: generous, for a machine that does other things too.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Looks until it is so.
pub(crate) fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < PATIENCE, "not within {PATIENCE:?}: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}
