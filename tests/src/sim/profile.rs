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

/// What is out of the ordinary in every world of a profile; what exactly is drawn for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Oddity {
    /// Some members are tagged `nofailover`, `nosync` or `replicate_from`, and have priorities.
    Tags,
    /// In asynchronous mode a candidate may lack a few records only.
    LagLimit,
    /// The address is of any kind.
    AddressKinds,
    /// The members can ask one another whether a leader may go on without the store.
    Peers,
    /// There are no watchdogs.
    NoWatchdogs,
    /// A leader is suspected long before its `ttl` is over.
    HastySuspicion,
    /// One member has data of before, which the cluster is to begin with.
    FormerData,
    /// Commits wait for some of the standbys only.
    Quorum,
    /// Whoever begins the cluster dies.
    NastyBeginning,
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
    /// The longest time after a round, in thousandths of the `ttl`.
    pub after_a_round: u64,
    /// What is out of the ordinary.
    pub oddities: &'static [Oddity],
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

/// What makes lag and elections, for members that are told apart.
const TAGGED: &[(u32, FaultKind)] = &[
    (5, F::DatabaseKilled),
    (6, F::HostCrashed),
    (2, F::AgentKilled),
    (2, F::AgentDies),
    (2, F::CutFromStore),
    (3, F::CutFromPeers),
    (3, F::LinkCut),
    (2, F::NetworkSlow),
    (1, F::EverythingCrashed),
];

/// What makes a leader that lives look dead, and its voters die.
const SILENCES: &[(u32, FaultKind)] = &[
    (8, F::AgentDies),
    (2, F::AgentKilled),
    (3, F::AgentFrozen),
    (5, F::CutFromStore),
    (4, F::StoreOneWay),
    (5, F::StoreSlow),
    (3, F::StoreLossy),
    (5, F::Unanswered),
    (4, F::ReadsFail),
    (3, F::WatchStalled),
    (2, F::StoreAway),
    (2, F::ClockJumps),
    (2, F::DatabaseKilled),
    (2, F::HostCrashed),
];

/// What cuts a leader off that could stop in time by itself.
const CUTS: &[(u32, FaultKind)] = &[
    (6, F::CutFromStore),
    (3, F::StoreOneWay),
    (3, F::StoreSlow),
    (3, F::Unanswered),
    (2, F::StoreAway),
    (3, F::ClockJumps),
    (2, F::CutFromPeers),
    (2, F::DatabaseKilled),
];

/// What does not end by itself.
const LASTING: &[(u32, FaultKind)] = &[
    (5, F::HostCrashed),
    (3, F::PromotionFails),
    (3, F::PromotionSlow),
    (3, F::ShutdownSlow),
    (3, F::DatabaseKilled),
    (2, F::AgentKilled),
    (2, F::AgentDies),
    (1, F::StartFails),
    (1, F::CutFromStore),
];

/// Disks that lose what was durable, and what else kills.
const LOSSES: &[(u32, FaultKind)] = &[
    (5, F::CopyEndsEarly),
    (4, F::MemoLost),
    (4, F::DiskLost),
    (3, F::DataForeign),
    (4, F::HostCrashed),
    (3, F::EverythingCrashed),
    (2, F::DatabaseKilled),
    (2, F::CutFromStore),
    (1, F::AgentKilled),
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

/// With changes of the quorum and of the mode.
const QUORUMS: &[(u32, WishKind)] = &[
    (6, W::Switchover),
    (5, W::Quorum),
    (1, W::Mode),
    (1, W::Failover),
    (1, W::Timing),
    (1, W::Reinit),
    (1, W::Shutdown),
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
    after_a_round: 2500,
    oddities: &[],
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
            name: "tags",
            about: "members that must not lead, must not be counted or stream from one another, and limits of lag, in every mode; two to five members",
            nodes: (2, 5),
            modes: &[(2, Asynchronous), (2, Synchronous), (1, Strict)],
            faults: TAGGED,
            wishes: &[(6, W::Switchover), (1, W::Failover), (2, W::Mode), (1, W::Shutdown)],
            deeds: 3,
            after_a_round: 4000,
            oddities: &[Oddity::Tags, Oddity::LagLimit],
            ..USUAL
        },
        Self {
            name: "suspicious",
            about: "leaders that are suspected early and live, and voters that die; three to five members",
            nodes: (3, 5),
            modes: &[(1, Asynchronous), (4, Synchronous), (1, Strict)],
            faults: SILENCES,
            deeds: 4,
            oddities: &[Oddity::HastySuspicion],
            ..USUAL
        },
        Self {
            name: "unguarded",
            about: "no watchdogs, addresses of every kind, and leaders that are cut off",
            modes: &[(1, Asynchronous), (4, Synchronous), (1, Strict)],
            faults: CUTS,
            wishes: &[(4, W::Switchover), (3, W::Timing), (2, W::TimingOfOne)],
            deeds: 3,
            oddities: &[Oddity::NoWatchdogs, Oddity::AddressKinds],
            ..USUAL
        },
        Self {
            name: "beginnings",
            about: "clusters whose beginner dies, or that begin with the data of before",
            nodes: (2, 5),
            rounds: 14,
            oddities: &[Oddity::FormerData, Oddity::NastyBeginning],
            ..USUAL
        },
        Self {
            name: "lasting",
            about: "what does not end by itself: dead hosts, promotions and shutdowns that hang; three to five members",
            nodes: (3, 5),
            ttl: (1000, 3000),
            modes: &[(1, Asynchronous), (3, Synchronous), (1, Strict)],
            faults: LASTING,
            wishes_percent: 25,
            rounds: 8,
            deeds: 3,
            after_a_round: 40_000,
            ..USUAL
        },
        Self {
            name: "losses",
            about: "copies that end too early, memos and disks that are gone, another cluster's data",
            modes: &[(3, Synchronous), (1, Strict)],
            faults: LOSSES,
            wishes: &[(1, W::Switchover)],
            wishes_percent: 10,
            deeds: 2,
            ..USUAL
        },
        Self {
            name: "lost-leaders",
            about: "leaders whose copy ends too early; known and open: not whole in time where a standby comes back meanwhile",
            modes: &[(3, Synchronous), (1, Strict)],
            faults: &[(1, F::LeaderEndsEarly), (1, F::HostCrashed)],
            wishes: &[(1, W::Switchover)],
            deeds: 1,
            peace_once_in: 1,
            ..USUAL
        },
        Self {
            name: "paused",
            about: "clusters that are paused and resumed, with leaders that die meanwhile",
            faults: PLAIN,
            wishes: &[
                (6, W::Pause),
                (4, W::Resume),
                (3, W::Timing),
                (2, W::TimingOfOne),
                (2, W::Failover),
                (1, W::Switchover),
            ],
            wishes_percent: 50,
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
            name: "failsafe",
            about: "members that can ask one another whether a leader may go on without the store",
            nodes: (2, 5),
            oddities: &[Oddity::Peers],
            ..USUAL
        },
        Self {
            name: "quorum",
            about: "commits that wait for any one or two of the standbys, and that number is changed; three to five members",
            nodes: (3, 5),
            faults: ALL,
            wishes: QUORUMS,
            wishes_percent: 25,
            deeds: 3,
            oddities: &[Oddity::Quorum],
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
