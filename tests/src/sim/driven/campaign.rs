//! Many clusters of the real driver, one seed after the other, told as those of machines alone are.

use std::fmt::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use super::super::{Bounds, Broken, Outcome, Report, Tally};
use super::{Options, run};

/// So many lines before the end are shown.
const LINES: usize = 150;

/// Runs them. `progress` is called after every seed, in the order of the seeds.
pub fn campaign(options: &Options, bounds: &Bounds, progress: impl FnMut(&Report)) -> Report {
    bounds.run(|seed| one(seed, options), progress)
}

/// One of them, from its beginning to its end.
fn one(seed: u64, options: &Options) -> Outcome {
    match catch_unwind(AssertUnwindSafe(|| run(seed, options))) {
        Ok(outcome) => told(outcome),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
            let broken = broken(Duration::ZERO, "no panic", text.unwrap_or_default(), String::new());
            Outcome { seed, tally: Tally::default(), digest: seed, broken: Some(broken) }
        }
    }
}

fn broken(at: Duration, invariant: &str, what: String, timeline: String) -> Broken {
    Broken { step: 0, at, invariant: invariant.to_owned(), what, timeline }
}

fn told(outcome: super::Outcome) -> Outcome {
    let tally = Tally {
        failovers: outcome.failovers,
        faults: outcome.faults,
        saved: outcome.acknowledged,
        calls: outcome.calls,
        lived: outcome.simulated,
        ..Tally::default()
    };
    let broken = outcome.violations.first().map(|first| {
        let mut timeline = format!("  {}\n", outcome.about);
        let left_out = outcome.timeline.len().saturating_sub(LINES);
        if left_out > 0 {
            timeline.push_str("  … earlier lines are left out\n");
        }
        for line in outcome.timeline.iter().skip(left_out) {
            let _ = writeln!(timeline, "  {line}");
        }
        broken(first.at, first.judge, first.what.clone(), timeline)
    });
    Outcome { seed: outcome.seed, tally, digest: outcome.digest, broken }
}

#[cfg(test)]
mod tests {
    use super::super::{Outcome, Violation};
    use super::told;
    use std::time::Duration;

    #[test]
    fn what_was_seen_is_told_with_the_last_lines() {
        let seen = Violation { at: Duration::from_secs(7), judge: "one_believer", what: "a and b".into() };
        let outcome = Outcome {
            seed: 3,
            about: "2 members".into(),
            violations: vec![seen],
            failovers: 1,
            faults: 2,
            acknowledged: 4,
            calls: 5,
            simulated: Duration::from_secs(9),
            digest: 6,
            timeline: (0..200).map(|line| format!("line {line}")).collect(),
        };
        let told = told(outcome);
        assert_eq!((told.tally.failovers, told.tally.saved, told.tally.calls), (1, 4, 5));
        let broken = told.broken.expect("it was seen");
        assert_eq!(
            (broken.invariant.as_str(), broken.what.as_str(), broken.at.as_secs()),
            ("one_believer", "a and b", 7)
        );
        assert!(broken.timeline.starts_with("  2 members\n"), "{}", broken.timeline);
        assert!(broken.timeline.ends_with("  line 199\n") && !broken.timeline.contains("line 49\n"));
    }
}
