//! Named sets of weights: what happens in a run, how often, and what is judged of it.

use odoo_ha_core::policy::SyncMode;

use super::{FaultKind, WishKind};

/// How the clocks of the members run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clocks {
    /// In half of the worlds all alike, in the others at rates that differ by up to one part in fifty: within the margin.
    Within,
    /// Up to a third too fast or too slow: far beyond what is promised.
    Beyond,
}

/// What must hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judged {
    /// Everything.
    All,
    /// That no acknowledged write is lost. Nothing else is promised in such a world.
    Durability,
}

/// A named set of weights.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    /// Its name.
    pub name: &'static str,
    /// What it is for.
    pub about: &'static str,
    /// From so many to so many members.
    pub nodes: (usize, usize),
    /// From so many to so many milliseconds.
    pub ttl: (u64, u64),
    /// Modes to begin with.
    pub modes: &'static [(u32, SyncMode)],
    /// How the clocks run.
    pub clocks: Clocks,
    /// What is judged.
    pub judged: Judged,
    /// What breaks.
    pub faults: &'static [(u32, FaultKind)],
    /// What operators do.
    pub wishes: &'static [(u32, WishKind)],
    /// So many deeds of a hundred are wishes.
    pub wishes_percent: u64,
    /// Rounds of faults in one world.
    pub rounds: u64,
    /// At most so many deeds in one round.
    pub deeds: u64,
    /// Once in so many rounds everything is mended, and the cluster has to become whole.
    pub peace_once_in: u64,
    /// A connection between databases on which nothing arrives is given up after so many milliseconds; 0: at once.
    pub notice_ms: u64,
    /// Databases say "saved" before anybody else has it: a broken promise, to see that it is seen.
    pub hasty: bool,
}

use FaultKind as F;
use SyncMode::{Asynchronous, Strict, Synchronous};
use WishKind as W;

/// What kills or cuts off, and is over at once.
const PLAIN: &[(u32, FaultKind)] = &[
    (4, F::DatabaseKilled),
    (4, F::HostCrashed),
    (2, F::AgentKilled),
    (2, F::AgentFrozen),
    (2, F::CutFromStore),
    (1, F::CutFromPeers),
    (1, F::Unanswered),
    (1, F::ServicesAil),
    (1, F::FilesAil),
];

/// All there is.
const ALL: &[(u32, FaultKind)] = &[
    (6, F::DatabaseKilled),
    (6, F::HostCrashed),
    (4, F::AgentKilled),
    (4, F::AgentFrozen),
    (4, F::CutFromStore),
    (4, F::CutFromPeers),
    (5, F::Unanswered),
    (2, F::DatabaseHangs),
    (2, F::ShutdownSlow),
    (2, F::PromotionFails),
    (1, F::StartFails),
    (2, F::ReadsFail),
    (2, F::MemoFails),
    (3, F::WatchStalled),
    (3, F::StoreSlow),
    (4, F::AgentDies),
    (2, F::ClockJumps),
    (1, F::EverythingCrashed),
    (2, F::ServicesAil),
    (2, F::FilesAil),
    // What an operator has to do about it does not go with everything else at once: `forgetful` draws it.
    (0, F::StoreRestored),
    (0, F::StoreWiped),
];

/// What the world itself does: disks, networks, machines, the store as a whole.
const PHYSICS: &[(u32, FaultKind)] = &[
    (4, F::DatabaseKilled),
    (4, F::HostCrashed),
    (2, F::AgentKilled),
    (2, F::AgentFrozen),
    (1, F::CutFromStore),
    (1, F::Unanswered),
    (1, F::DatabaseHangs),
    (1, F::AgentDies),
    (3, F::LinkCut),
    (3, F::Partition),
    (2, F::NetworkSlow),
    (3, F::StoreOneWay),
    (2, F::StoreLossy),
    (1, F::StoreAway),
    (2, F::StoreLeaderLost),
    (3, F::MachineSuspended),
    (2, F::DiskFull),
    (2, F::DiskSlow),
    (2, F::PromotionSlow),
    (1, F::StopHangs),
    (2, F::CopyBreaks),
    (2, F::CopySlow),
    (3, F::SettingsSlow),
    (2, F::ReplayHeld),
    (2, F::ReplaySlow),
    (2, F::AddressAils),
    (1, F::AddressLost),
    (1, F::ServicesAil),
    (1, F::FilesAil),
];

/// The same with machines whose clocks stand still.
const PAUSES: &[(u32, FaultKind)] = &[
    (4, F::DatabaseKilled),
    (4, F::HostCrashed),
    (2, F::AgentFrozen),
    (2, F::CutFromStore),
    (2, F::CutFromPeers),
    (3, F::LinkCut),
    (2, F::Partition),
    (2, F::SettingsSlow),
    (2, F::DiskSlow),
    (3, F::MachineSuspended),
    (6, F::MachinePaused),
];

/// A store that forgets.
const FORGETFUL: &[(u32, FaultKind)] = &[
    (4, F::DatabaseKilled),
    (4, F::HostCrashed),
    (2, F::AgentKilled),
    (2, F::AgentFrozen),
    (2, F::CutFromStore),
    (1, F::CutFromPeers),
    (1, F::AgentDies),
    (5, F::StoreRestored),
    (1, F::StoreWiped),
];

/// Without a change of the mode.
const STEADY: &[(u32, WishKind)] = &[
    (10, W::Switchover),
    (2, W::Failover),
    (1, W::Pause),
    (2, W::Resume),
    (2, W::Timing),
    (2, W::Reinit),
    (3, W::Shutdown),
    (2, W::Remove),
    (3, W::Add),
];

/// All there is.
const EVERYTHING: &[(u32, WishKind)] = &[
    (10, W::Switchover),
    (2, W::Failover),
    (1, W::FailoverWithLoss),
    (2, W::Pause),
    (4, W::Resume),
    (4, W::Mode),
    (3, W::Timing),
    (3, W::Reinit),
    (4, W::Shutdown),
    (3, W::Remove),
    (4, W::Add),
    (1, W::Recover),
];

const USUAL: Profile = Profile {
    name: "usual",
    about: "a few faults at a time, synchronous or strict, and an operator now and then",
    nodes: (2, 4),
    ttl: (1000, 6000),
    modes: &[(3, Synchronous), (1, Strict)],
    clocks: Clocks::Within,
    judged: Judged::All,
    faults: PLAIN,
    wishes: STEADY,
    wishes_percent: 20,
    rounds: 24,
    deeds: 2,
    peace_once_in: 2,
    notice_ms: 0,
    hasty: false,
};

impl Profile {
    /// All of them.
    pub const ALL: &'static [Self] = &[
        Self {
            name: "calm",
            about: "one fault or switchover at a time, and the cluster becomes whole before the next",
            nodes: (2, 4),
            wishes: &[(1, W::Switchover)],
            deeds: 1,
            peace_once_in: 1,
            ..USUAL
        },
        USUAL,
        Self {
            name: "harsh",
            about: "everything that breaks, and operators at the worst moment, in long chains; two to seven members",
            nodes: (2, 7),
            ttl: (1000, 10_000),
            modes: &[(1, Asynchronous), (4, Synchronous), (2, Strict)],
            faults: ALL,
            wishes: EVERYTHING,
            wishes_percent: 35,
            deeds: 5,
            peace_once_in: 3,
            ..USUAL
        },
        Self {
            name: "clocks",
            about: "clocks that run up to a third too fast or too slow: only that nothing acknowledged is lost is judged",
            clocks: Clocks::Beyond,
            judged: Judged::Durability,
            faults: ALL,
            wishes: STEADY,
            deeds: 4,
            ..USUAL
        },
        Self {
            name: "physics",
            about: "links one way, disks, machines that stand still, a store that loses its leader; two to five members",
            nodes: (2, 5),
            ttl: (1000, 10_000),
            faults: PHYSICS,
            wishes_percent: 20,
            deeds: 3,
            notice_ms: 10_000,
            ..USUAL
        },
        Self {
            name: "pauses",
            about: "machines that stand still with all of their clocks: only that nothing acknowledged is lost is judged",
            nodes: (2, 5),
            clocks: Clocks::Beyond,
            judged: Judged::Durability,
            faults: PAUSES,
            deeds: 3,
            notice_ms: 10_000,
            ..USUAL
        },
        Self {
            name: "asynchronous",
            about: "everything that breaks, in asynchronous mode",
            modes: &[(1, Asynchronous)],
            faults: ALL,
            deeds: 3,
            ..USUAL
        },
        Self {
            name: "strict",
            about: "everything that breaks, in strict mode",
            modes: &[(1, Strict)],
            faults: ALL,
            deeds: 3,
            ..USUAL
        },
        Self {
            name: "forgetful",
            about: "a store that is restored from a backup of the last minute, or wiped, until an operator sees to it",
            nodes: (2, 5),
            modes: &[(3, Synchronous), (1, Strict), (1, Asynchronous)],
            faults: FORGETFUL,
            deeds: 3,
            ..USUAL
        },
        Self {
            name: "hasty-databases",
            about: "databases that say \"saved\" before a standby has it: must be found out, to see what that looks like",
            nodes: (2, 3),
            modes: &[(1, Synchronous)],
            faults: &[(1, F::HostCrashed), (1, F::CutFromPeers)],
            wishes: &[],
            wishes_percent: 0,
            hasty: true,
            ..USUAL
        },
    ];

    /// The one of this name.
    pub fn named(name: &str) -> Option<&'static Self> {
        Self::ALL.iter().find(|profile| profile.name == name)
    }
}
