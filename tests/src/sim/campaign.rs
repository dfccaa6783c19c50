//! Many worlds, one seed after the other, on as many threads as wanted: what is reported depends on the seeds alone.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use super::{Outcome, Plan, Profile, Tally, run};

/// Which worlds are run.
#[derive(Clone, Debug)]
pub struct Campaign {
    /// By which weights.
    pub profile: &'static Profile,
    /// The first seed.
    pub first_seed: u64,
    /// So many seeds; without a number, until something else ends it.
    pub seeds: Option<u64>,
    /// So many members in every world; without a number, as drawn.
    pub nodes: Option<usize>,
    /// On so many threads.
    pub threads: usize,
    /// No world is begun after this.
    pub time: Option<Duration>,
    /// No more than are needed for so many failovers.
    pub failovers: Option<u64>,
    /// A violation does not end it.
    pub keep_going: bool,
}

/// What became of it: of all seeds from the first to the last, without a gap.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// So many.
    pub seeds: u64,
    /// What is counted.
    pub tally: Tally,
    /// A number that follows from everything that happened in all of them.
    pub digest: u64,
    /// Runs in which something was seen that must never be, the lowest seed first.
    pub broken: Vec<Outcome>,
}

impl Report {
    fn take(&mut self, outcome: Outcome) {
        self.seeds += 1;
        self.tally.add(&outcome.tally);
        self.digest = (self.digest.rotate_left(7) ^ outcome.digest).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        if outcome.broken.is_some() {
            self.broken.push(outcome);
        }
    }
}

/// Which seeds are run, and what ends it.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// The first seed.
    pub first_seed: u64,
    /// So many seeds; without a number, until something else ends it.
    pub seeds: Option<u64>,
    /// On so many threads.
    pub threads: usize,
    /// No world is begun after this.
    pub time: Option<Duration>,
    /// No more than are needed for so many failovers.
    pub failovers: Option<u64>,
    /// A violation does not end it.
    pub keep_going: bool,
}

impl Campaign {
    /// Runs them. `progress` is called after every seed, in the order of the seeds.
    pub fn run(&self, progress: impl FnMut(&Report)) -> Report {
        self.bounds().run(|seed| self.one(seed), progress)
    }

    /// Which seeds, and what ends it.
    pub const fn bounds(&self) -> Bounds {
        Bounds {
            first_seed: self.first_seed,
            seeds: self.seeds,
            threads: self.threads,
            time: self.time,
            failovers: self.failovers,
            keep_going: self.keep_going,
        }
    }

    /// The plan of one seed.
    pub fn plan(&self, seed: u64) -> Plan {
        Plan::new(seed, self.profile, self.nodes)
    }

    /// A run that broke something is done once more, told.
    fn one(&self, seed: u64) -> Outcome {
        let plan = self.plan(seed);
        let outcome = run(&plan, false);
        if outcome.broken.is_some() { run(&plan, true) } else { outcome }
    }
}

impl Bounds {
    /// Runs one seed after the other, on all threads, and takes the outcomes in the order of the seeds.
    pub(super) fn run(&self, one: impl Fn(u64) -> Outcome + Sync, mut progress: impl FnMut(&Report)) -> Report {
        let mut report = Report::default();
        let (next, stop) = (AtomicU64::new(self.first_seed), AtomicBool::new(false));
        let end = self.seeds.map_or(u64::MAX, |seeds| self.first_seed.saturating_add(seeds));
        let began = Instant::now();
        thread::scope(|scope| {
            let (send, receive) = mpsc::channel();
            for _ in 0..self.threads.max(1) {
                let (send, next, stop) = (send.clone(), &next, &stop);
                let one = &one;
                scope.spawn(move || {
                    while !stop.load(Ordering::Relaxed) && self.time.is_none_or(|time| began.elapsed() < time) {
                        let seed = next.fetch_add(1, Ordering::Relaxed);
                        if seed >= end || send.send(one(seed)).is_err() {
                            break;
                        }
                    }
                });
            }
            drop(send);
            let mut early = BTreeMap::new();
            let mut wanted = self.first_seed;
            for outcome in receive {
                early.insert(outcome.seed, outcome);
                while let Some(outcome) = early.remove(&wanted)
                    && !stop.load(Ordering::Relaxed)
                {
                    wanted += 1;
                    report.take(outcome);
                    progress(&report);
                    let enough = self.failovers.is_some_and(|enough| report.tally.failovers >= enough);
                    let broken = !report.broken.is_empty() && !self.keep_going;
                    stop.store(enough || broken, Ordering::Relaxed);
                }
            }
        });
        report
    }
}
