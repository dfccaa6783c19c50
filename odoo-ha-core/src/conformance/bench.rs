//! What all suites share: running checks, limits, names.

use std::collections::hash_map::RandomState;
use std::fmt::{Debug, Write};
use std::future::Future;
use std::hash::{BuildHasher, Hasher};
use std::time::Duration;

use super::report::{Finding, Outcome, Report};
use super::timer::{BoxFuture, Timer, within};
use crate::error::{Error, ErrorKind};

/// How a check ends.
pub(crate) type Checked = Result<(), Finding>;

/// The deadline that the suites give to calls that should simply work: long, so that a busy machine fails nothing.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A call that outlives its own deadline by this much is taken to hang.
pub const HANGS_AFTER: Duration = Duration::from_secs(5);

/// How long the suites look for what must not happen.
pub const QUIET: Duration = Duration::from_millis(300);

/// The longest time for one check; a clone of a real database is the slowest thing in one.
const CHECK_LIMIT: Duration = Duration::from_secs(180);

/// Runs the checks of one suite.
pub(crate) struct Suite<'a> {
    report: Report,
    timer: &'a dyn Timer,
}

impl<'a> Suite<'a> {
    pub(crate) fn new(role: &'static str, timer: &'a dyn Timer) -> Self {
        Self { report: Report::new(role), timer }
    }

    /// Runs one check with a limit.
    pub(crate) async fn check(&mut self, name: &'static str, check: BoxFuture<'_, Checked>) {
        let outcome = match within(self.timer, CHECK_LIMIT, check).await {
            Some(Ok(())) => Outcome::Passed,
            Some(Err(finding)) => Outcome::Failed(finding),
            None => Outcome::Failed(Finding::new(
                "Every call has a `timeout` from its caller. An implementation ends by then.",
                format!("the check ends within {CHECK_LIMIT:?}"),
                "it did not",
            )),
        };
        self.report.add(name, outcome);
    }

    pub(crate) fn skip(&mut self, name: &'static str, why: &str) {
        self.report.add(name, Outcome::Skipped(why.to_owned()));
    }

    pub(crate) fn finish(self) -> Report {
        self.report
    }
}

/// Passes when `holds`, else fails with this sentence.
pub(crate) fn ensure(holds: bool, contract: &'static str, expected: &str, seen: impl Debug) -> Checked {
    if holds { Ok(()) } else { Err(Finding::new(contract, expected, shorten(&seen))) }
}

/// Turns an error of a call that should have worked into a finding.
pub(crate) trait ShouldWork<T> {
    /// The value, or a finding that names what should have worked.
    fn should_work(self, what: &str) -> Result<T, Finding>;
}

impl<T> ShouldWork<T> for Result<T, Error> {
    fn should_work(self, what: &str) -> Result<T, Finding> {
        self.map_err(|error| {
            let seen = format!("{}: {}", error.kind(), error.chain());
            Finding::new("An operation that nothing stands against succeeds.", format!("{what} works"), seen)
        })
    }
}

/// Passes when the call failed with one of these kinds.
pub(crate) fn ensure_error<T: Debug>(
    result: &Result<T, Error>,
    kinds: &[ErrorKind],
    contract: &'static str,
    what: &str,
) -> Checked {
    if result.as_ref().is_err_and(|error| kinds.contains(&error.kind())) {
        return Ok(());
    }
    let names: Vec<_> = kinds.iter().map(|kind| kind.as_str()).collect();
    Err(Finding::new(contract, format!("{what} ends as {}", names.join(" or ")), describe(result)))
}

/// Fails when the call does not end soon after its own deadline.
pub(crate) async fn ends<T>(
    timer: &dyn Timer,
    what: &str,
    deadline: Duration,
    call: impl Future<Output = T>,
) -> Result<T, Finding> {
    within(timer, deadline + HANGS_AFTER, call).await.ok_or_else(|| {
        Finding::new(
            "Every call has a `timeout` from its caller. An implementation ends by then.",
            format!("{what} with a timeout of {deadline:?} has ended {HANGS_AFTER:?} later"),
            "it had not",
        )
    })
}

/// A result in one line, with the whole chain of an error.
pub(crate) fn describe<T: Debug>(result: &Result<T, Error>) -> String {
    match result {
        Ok(value) => format!("Ok({})", shorten(value)),
        Err(error) => format!("{}: {}", error.kind(), error.chain()),
    }
}

/// A value as text, cut where it grows beyond reading.
pub(crate) fn shorten(value: &impl Debug) -> String {
    const LONGEST: usize = 600;
    let text = format!("{value:?}");
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}… ({} bytes)", &text[..end], text.len()),
        None => text,
    }
}

/// Some characters that no other run of a suite draws: stores outlive a run.
pub(crate) fn run_id() -> String {
    let mut text = String::new();
    let number = RandomState::new().build_hasher().finish();
    // Writing to a String cannot fail.
    let _ = write!(text, "{:010x}", number & 0xff_ffff_ffff);
    text
}
