//! Whole clusters of the **real driver** in a made-up world: two to five members, each with every role, in one runtime of one
//! thread whose clock is paused. All that happens, and in which order, follows from one seed.
//!
//! What is real: the driver from the handle to the last look at the clock before a call, its queues, deadlines, watches, memo
//! files and locks, and the machine in it. What is made up: store, databases, address, services, files, watchdog, clocks, and
//! the threads: a lane is a set of tasks that can be frozen or blocked ([`odoo_ha_core::driver::Turns`]).
//!
//! What it never does: real waiting, or choosing by anything but the seed. Where to go next: `faults` is what goes wrong,
//! `judges` what must never be, `mood` how one call goes, `cluster` how a run goes.

mod campaign;
mod chance;
mod clock;
mod cluster;
mod data;
mod database;
mod dcs;
mod faces;
mod faults;
mod judges;
mod mood;
mod motion;
mod state;
mod turns;

use std::time::Duration;

use odoo_ha_core::policy::SyncMode;
use tokio::runtime::Builder;

use super::Store;
pub use campaign::campaign;
use cluster::Cluster;
use state::locked;

/// How a run goes; what is not said is drawn.
#[derive(Clone, Debug)]
pub struct Options {
    /// How many members; by default two to five.
    pub members: Option<usize>,
    /// The synchronous mode.
    pub mode: Option<SyncMode>,
    /// What goes wrong.
    pub profile: Profile,
    /// How many rounds of faults.
    pub rounds: u32,
}

impl Default for Options {
    fn default() -> Self {
        Self { members: None, mode: None, profile: Profile::Harsh, rounds: 8 }
    }
}

/// What goes wrong in a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// Nothing.
    Calm,
    /// Everything that the world has.
    Harsh,
}

impl Profile {
    /// All of them.
    pub const ALL: &'static [Self] = &[Self::Calm, Self::Harsh];

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Calm => "calm",
            Self::Harsh => "harsh",
        }
    }

    /// What it is for.
    pub const fn about(self) -> &'static str {
        match self {
            Self::Calm => "nothing goes wrong: a cluster begins, and serves",
            Self::Harsh => "everything that the driver's world has, in rounds",
        }
    }

    /// The one of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|profile| profile.name() == name)
    }
}

/// Something that must never be, and was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// When, since the run began.
    pub at: Duration,
    /// Which judge saw it.
    pub judge: &'static str,
    /// What.
    pub what: String,
}

/// What a run came to.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Its seed.
    pub seed: u64,
    /// Who was in it, with which times.
    pub about: String,
    /// What must never be; empty if all is well.
    pub violations: Vec<Violation>,
    /// How often leadership changed to a member that then served.
    pub failovers: u64,
    /// How often something went wrong, or was wished.
    pub faults: u64,
    /// How many writes the client was told are saved.
    pub acknowledged: u64,
    /// How many calls of roles the drivers made.
    pub calls: u64,
    /// How long it took by the world's clock.
    pub simulated: Duration,
    /// All that happened, as one number: the same seed gives the same.
    pub digest: u64,
    /// What happened, for a person; the oldest lines are left out.
    pub timeline: Vec<String>,
}

impl Outcome {
    /// All is well.
    pub fn is_sound(&self) -> bool {
        self.violations.is_empty()
    }
}

/// Runs one seed to its end, or to the first violation.
pub fn run(seed: u64, options: &Options) -> Outcome {
    let runtime = Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime of one thread without IO needs nothing that may be missing");
    runtime.block_on(async {
        let cluster = Cluster::new(seed, options);
        cluster.play().await;
        let state = locked(&cluster.world);
        Outcome {
            seed,
            about: state.about.clone(),
            violations: state.violations.clone(),
            faults: state.faults,
            failovers: (state.reigns.len() as u64).saturating_sub(1),
            acknowledged: state.client.acknowledged.len() as u64,
            calls: state.calls,
            simulated: state.age(),
            digest: state.trace.digest(),
            timeline: state.trace.lines(),
        }
    })
}
