//! Makes the story of a violation short: leaves out of a plan what is not needed for it.

use super::{Outcome, Plan, run};

/// At most so many runs.
const MOST_RUNS: usize = 400;

/// The shortest plan found by leaving out steps that still breaks the same invariant, and its run; `None` when the plan breaks nothing.
pub fn shrink(plan: &Plan) -> Option<(Plan, Outcome)> {
    let first = run(plan, false);
    let broken = first.broken.as_ref()?;
    let (invariant, last) = (broken.invariant.clone(), broken.step);
    let mut best = plan.clone();
    best.steps.retain(|step| step.number <= last);
    let mut runs = 0;
    let mut fails = |candidate: &Plan| {
        runs += 1;
        runs <= MOST_RUNS && run(candidate, false).broken.is_some_and(|broken| broken.invariant == invariant)
    };
    let mut chunk = best.steps.len().div_ceil(2).max(1);
    loop {
        let mut at = 0;
        let mut shorter = false;
        while at < best.steps.len() {
            let mut candidate = best.clone();
            let end = (at + chunk).min(candidate.steps.len());
            candidate.steps.drain(at..end);
            if fails(&candidate) {
                best = candidate;
                shorter = true;
            } else {
                at = end;
            }
        }
        if chunk == 1 && !shorter {
            break;
        }
        chunk = chunk.div_ceil(2).max(1);
    }
    let told = run(&best, true);
    told.broken.is_some().then_some((best, told))
}
