//! Running the checker, and what it found.

use std::time::{Duration, Instant};

use stateright::{Checker, HasDiscoveries, Model};

use super::bounds::Bounds;
use super::judgement::{ALWAYS, SOMETIMES};
use super::state::Wrong;
use super::{Cluster, Step};

/// A way to a state, and what that looks like.
#[derive(Clone, Debug)]
pub struct Found {
    /// Of which property.
    pub property: &'static str,
    /// The steps.
    pub steps: Vec<Step>,
    /// The states on the way, for a person.
    pub story: String,
}

/// What an exploration came to.
#[derive(Clone, Debug)]
pub struct Report {
    /// Steps that were taken: states with repetitions.
    pub states: usize,
    /// Different states.
    pub unique: usize,
    /// The longest way, in steps.
    pub depth: usize,
    /// It took so long.
    pub took: Duration,
    /// What must never be, with a shortest way to it.
    pub wrong: Vec<(Wrong, Found)>,
    /// What had to be reached and was.
    pub reached: Vec<Found>,
    /// Nothing within the bounds was left out.
    pub complete: bool,
}

impl Report {
    /// Whether a state of this name was reached.
    pub fn reached(&self, property: &str) -> bool {
        self.reached.iter().any(|found| found.property == property)
    }

    /// The names of all states that can be looked for.
    pub fn landmarks() -> Vec<&'static str> {
        SOMETIMES.iter().map(|(name, _)| *name).collect()
    }
}

/// Explores everything within the bounds; ends early where something is found that must never be.
///
/// With one thread the ways are the shortest; with more, depth is bounded less exactly.
pub fn check(bounds: Bounds, threads: usize, limit: Option<Duration>) -> Report {
    let began = Instant::now();
    let model = Cluster::new(bounds);
    let builder = model.clone().checker().threads(threads).finish_when(HasDiscoveries::AnyFailures);
    let builder = match limit {
        Some(limit) => builder.timeout(limit),
        None => builder,
    };
    let checker = builder.spawn_bfs().join();
    let found = checker.discoveries();
    let took = began.elapsed();
    let mut report = Report {
        states: checker.state_count(),
        unique: checker.unique_state_count(),
        depth: checker.max_depth().saturating_sub(1),
        took,
        wrong: Vec::new(),
        reached: Vec::new(),
        complete: checker.is_done() && limit.is_none_or(|limit| took < limit),
    };
    let tell = |property: &'static str| {
        let path = found.get(property)?.clone().into_vec();
        let mut story = String::new();
        for (state, step) in &path {
            story.push_str(&state.picture());
            if let Some(step) = step {
                story.push_str(&format!("-> {step:?}\n"));
            }
        }
        let steps = path.into_iter().filter_map(|(_, step)| step).collect();
        Some(Found { property, steps, story })
    };
    for (property, wrong, _) in ALWAYS {
        if let Some(found) = tell(property) {
            report.wrong.push((wrong, found));
        }
    }
    report.reached = SOMETIMES.iter().filter_map(|(property, _)| tell(property)).collect();
    report
}
