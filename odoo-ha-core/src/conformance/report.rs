//! What a suite found.

use std::fmt;

/// What one suite found about one implementation, one entry a check.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct Report {
    role: &'static str,
    checks: Vec<Check>,
}

/// One check and how it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// Its name, a sentence in snake case; it does not change between versions without a note.
    pub name: &'static str,
    /// How it ended.
    pub outcome: Outcome,
}

/// How a check ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The contract was kept.
    Passed,
    /// It was not tried; the text says which capability is missing.
    Skipped(String),
    /// The contract was broken.
    Failed(Finding),
}

/// A broken contract.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What should have been seen.
    pub expected: String,
    /// What was seen.
    pub seen: String,
    /// The sentence of the role's documentation that was broken.
    pub contract: &'static str,
}

impl Finding {
    /// A broken contract.
    pub(crate) fn new(contract: &'static str, expected: impl Into<String>, seen: impl Into<String>) -> Self {
        Self { expected: expected.into(), seen: seen.into(), contract }
    }
}

impl Report {
    pub(crate) const fn new(role: &'static str) -> Self {
        Self { role, checks: Vec::new() }
    }

    pub(crate) fn add(&mut self, name: &'static str, outcome: Outcome) {
        self.checks.push(Check { name, outcome });
    }

    /// The role whose contract it is about.
    pub const fn role(&self) -> &'static str {
        self.role
    }

    /// All checks, in the order in which they ran.
    pub fn checks(&self) -> &[Check] {
        &self.checks
    }

    /// Whether no check failed. Skipped ones do not count as failed.
    pub fn passed(&self) -> bool {
        self.failures().next().is_none()
    }

    /// The checks that failed.
    pub fn failures(&self) -> impl Iterator<Item = (&'static str, &Finding)> {
        self.checks.iter().filter_map(|check| match &check.outcome {
            Outcome::Failed(finding) => Some((check.name, finding)),
            Outcome::Passed | Outcome::Skipped(_) => None,
        })
    }

    /// The names of the checks that were skipped, with the reason.
    pub fn skips(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.checks.iter().filter_map(|check| match &check.outcome {
            Outcome::Skipped(why) => Some((check.name, why.as_str())),
            Outcome::Passed | Outcome::Failed(_) => None,
        })
    }

    /// For use in a test.
    ///
    /// # Panics
    ///
    /// When a check failed, with the whole report as its message.
    #[expect(clippy::panic, reason = "this is how a test fails; nothing but tests calls it")]
    pub fn assert_passed(&self) {
        if !self.passed() {
            panic!("{self}");
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (failed, skipped) = (self.failures().count(), self.skips().count());
        let passed = self.checks.len() - failed - skipped;
        writeln!(f, "conformance of a {}: {passed} passed, {skipped} skipped, {failed} failed", self.role)?;
        for check in &self.checks {
            match &check.outcome {
                Outcome::Passed => writeln!(f, "  passed   {}", check.name)?,
                Outcome::Skipped(why) => writeln!(f, "  skipped  {}: {why}", check.name)?,
                Outcome::Failed(finding) => {
                    writeln!(f, "  FAILED   {}", check.name)?;
                    writeln!(f, "           expected: {}", finding.expected)?;
                    writeln!(f, "           seen:     {}", finding.seen)?;
                    writeln!(f, "           contract: {}", finding.contract)?;
                }
            }
        }
        Ok(())
    }
}
