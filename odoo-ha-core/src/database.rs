//! What the machine knows of a database and what it orders it to do.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::lsn::{Lsn, Position, Timeline};
use crate::member::{DataId, MemberId, SystemId};
use crate::term::Term;

/// Where a member's database listens; without secrets, so it may stand in the store.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Endpoint {
    /// Name, address, or directory of a Unix socket.
    pub host: String,
    /// TCP port (for a Unix socket, the number in its name).
    pub port: u16,
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// A member to stream from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Upstream {
    /// The member.
    pub member: MemberId,
    /// Where its database listens.
    pub endpoint: Endpoint,
}

/// Which standbys must have flushed a commit before it is acknowledged (`synchronous_standby_names`).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SynchronousStandbys {
    /// None: commits are acknowledged by the primary alone.
    #[default]
    Nobody,
    /// Every one of these (`FIRST n (…)`). Never empty.
    AllOf(BTreeSet<MemberId>),
    /// Any `k` of these (`ANY k (…)`).
    AnyOf {
        /// How many, at least 1 and at most as many as there are names.
        k: u32,
        /// Of whom.
        names: BTreeSet<MemberId>,
    },
}

impl SynchronousStandbys {
    /// All of these names, or nobody when there are none.
    pub fn all_of(names: BTreeSet<MemberId>) -> Self {
        if names.is_empty() { Self::Nobody } else { Self::AllOf(names) }
    }

    /// Any `k` of these; all of them when `k` is as many as there are, nobody when there are none or `k` is 0.
    pub fn of(k: u32, names: BTreeSet<MemberId>) -> Self {
        match k as usize {
            0 => Self::Nobody,
            k if k >= names.len() => Self::all_of(names),
            _ => Self::AnyOf { k, names },
        }
    }

    /// How many standbys must flush a commit.
    pub fn required(&self) -> usize {
        match self {
            Self::Nobody => 0,
            Self::AllOf(names) => names.len(),
            Self::AnyOf { k, .. } => *k as usize,
        }
    }

    /// Whether this member is named.
    pub fn names(&self, member: &MemberId) -> bool {
        match self {
            Self::Nobody => false,
            Self::AllOf(names) | Self::AnyOf { names, .. } => names.contains(member),
        }
    }

    /// How many of these standbys have, at the least, every commit that was acknowledged while this was in force: those that must acknowledge,
    /// less those of them that may be others.
    pub fn reaches<'a>(&self, counted: impl IntoIterator<Item = &'a MemberId>) -> usize {
        let waited_for = match self {
            Self::Nobody => return 0,
            Self::AllOf(names) | Self::AnyOf { names, .. } => names.len(),
        };
        let of_these = counted.into_iter().filter(|member| self.names(member)).count();
        self.required().saturating_sub(waited_for - of_these)
    }
}

/// What the local database is doing, as read from it, never assumed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DatabaseState {
    /// There is no data directory, or an empty one.
    Absent,
    /// There is one, shut down cleanly.
    StoppedCleanly,
    /// There is one that was not shut down cleanly; it needs crash recovery.
    Crashed,
    /// Starting or in crash recovery; not yet accepting connections.
    Starting,
    /// Accepting writes.
    Primary,
    /// In recovery, accepting reads.
    Standby,
    /// Its process lives but did not answer on a fresh connection in time.
    Unresponsive,
}

impl DatabaseState {
    /// Whether a process of it may be running.
    pub const fn runs(self) -> bool {
        match self {
            Self::Absent | Self::StoppedCleanly | Self::Crashed => false,
            Self::Starting | Self::Primary | Self::Standby | Self::Unresponsive => true,
        }
    }

    /// Whether there are data on disk.
    pub const fn has_data(self) -> bool {
        !matches!(self, Self::Absent)
    }
}

/// One standby as its upstream sees it (`pg_stat_replication`).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct StandbyStatus {
    /// It streams (it has caught up); exactly one WAL sender bears its name and holds its slot.
    pub streaming: bool,
    /// What it has flushed.
    pub flushed: Lsn,
    /// What it has replayed.
    pub replayed: Lsn,
    /// PostgreSQL counts it as synchronous (`sync_state` is `sync` or `quorum`).
    pub synchronous: bool,
}

/// All that can be read of the local database.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct DatabaseStatus {
    /// What it is doing.
    pub state: DatabaseState,
    /// Of which cluster its data are; `None` when there are no data.
    pub system_id: Option<SystemId>,
    /// Which copy; `None` when there are no data.
    pub data_id: Option<DataId>,
    /// The term written beside the data: of the last reign that this copy led or followed.
    pub term: Term,
    /// The timeline of its last record.
    pub timeline: Timeline,
    /// The end of its log: flushed position of a primary (what a crash leaves); the greater of received and replayed of a standby; the end
    /// known from the control file when stopped.
    pub lsn: Lsn,
    /// Of a standby: what it has replayed.
    pub replayed: Lsn,
    /// Of a standby: whether it streams from its upstream at this moment.
    pub streaming: bool,
    /// Of a standby: whom it is told to follow; `None` for nobody (an empty `primary_conninfo`).
    pub upstream: Option<MemberId>,
    /// Its own standbys.
    pub standbys: BTreeMap<MemberId, StandbyStatus>,
    /// `synchronous_standby_names` as in force for a new session; `None` while it cannot be read or is foreign.
    pub synchronous: Option<SynchronousStandbys>,
    /// Settings that weaken the promise (fsync off, …), each as a sentence for the operator.
    pub weaknesses: Vec<String>,
    /// Settings that were changed and wait for a restart of the database, by name.
    pub pending_restart: Vec<String>,
}

impl DatabaseStatus {
    /// The status of a member that has no data.
    pub fn absent() -> Self {
        Self {
            state: DatabaseState::Absent,
            system_id: None,
            data_id: None,
            term: Term(0),
            timeline: Timeline(0),
            lsn: Lsn(0),
            replayed: Lsn(0),
            streaming: false,
            upstream: None,
            standbys: BTreeMap::new(),
            synchronous: None,
            weaknesses: Vec::new(),
            pending_restart: Vec::new(),
        }
    }
}

/// How a database is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StopMode {
    /// End all sessions, write a shutdown checkpoint, let connected standbys receive it (PostgreSQL's fast shutdown). When the
    /// timeout runs out, the shutdown goes on; the caller decides.
    Fast,
    /// Fast for as long as `fast_for_ms`, then at once, then SIGKILL to every process of the instance: when the call
    /// returns `Ok`, no process is left.
    AtOnce {
        /// Milliseconds for the fast attempt; 0 for none.
        fast_for_ms: u64,
    },
}

/// The database has stopped; no process of it is left.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Stopped {
    /// Whether it wrote a shutdown checkpoint.
    pub clean: bool,
    /// Where its log ends: of a clean stop, the end of the shutdown checkpoint's record. Of an unclean one, what is known.
    pub lsn: Lsn,
    /// The timeline of its last record.
    pub timeline: Timeline,
}

/// Makes a new, empty database cluster and starts it as primary.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct BootstrapOrder {
    /// The first term.
    pub term: Term,
    /// Take the data that are there instead of making new ones. Without it, a directory that is not empty is an error.
    pub adopt: bool,
}

/// A cluster has begun.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Bootstrapped {
    /// Of the new database.
    pub system_id: SystemId,
    /// Of this copy.
    pub data_id: DataId,
    /// Its timeline.
    pub timeline: Timeline,
    /// The end of its log.
    pub lsn: Lsn,
}

/// Starts the local data as primary: only under leadership by record of the very term beside the data.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct StartPrimaryOrder {
    /// The fencing token; the data's own term must equal it.
    pub term: Term,
    /// In force before the first connection is accepted.
    pub synchronous: SynchronousStandbys,
    /// A physical slot is kept for each.
    pub members: BTreeSet<MemberId>,
}

/// The database serves as primary.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Started {
    /// Where recovery ended.
    pub lsn: Lsn,
    /// Its timeline.
    pub timeline: Timeline,
}

/// Makes the local database a streaming standby, from whatever state it is in.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FollowOrder {
    /// The reign that is followed; written beside the data.
    pub term: Term,
    /// Whom to stream from: the leader of that reign, or a standby that follows it. Never a standby when the data may be discarded.
    pub upstream: Upstream,
    /// The timeline of that reign.
    pub timeline: Timeline,
    /// The database's identity; a copy of another is refused.
    pub system_id: SystemId,
    /// Local data may be rewound or replaced. Without it, data that cannot follow as they are make the call fail as
    /// [`Diverged`](crate::error::ErrorKind::Diverged), untouched.
    pub may_discard: bool,
    /// Replace the local data even if they could follow (operator's `reinit`). Needs `may_discard`.
    pub reclone: bool,
    /// A physical slot is kept for each of the other members.
    pub members: BTreeSet<MemberId>,
}

/// How a standby came to follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FollowedBy {
    /// As it was.
    Nothing,
    /// By `pg_rewind`.
    Rewind,
    /// By a new base backup.
    Clone,
}

/// The database runs as a standby of the ordered upstream.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Followed {
    /// How.
    pub by: FollowedBy,
    /// Of the copy (a new one after a clone).
    pub data_id: DataId,
}

/// The database receives nothing any more and has replayed all it has: a vote can state its end (protocol rules 26, 27).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Frozen {
    /// Of the copy.
    pub data_id: DataId,
    /// The end of its log: max(received, replayed), without the first part of a record that was not received whole.
    pub lsn: Lsn,
    /// The timeline of its last record.
    pub timeline: Timeline,
}

/// Makes a frozen standby the primary of a new reign.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PromoteOrder {
    /// The fencing token, written beside the data; an older one than remembered is refused.
    pub term: Term,
    /// The timeline that the reign reserved: PostgreSQL is made to choose it (protocol rule 31).
    pub timeline: Timeline,
    /// The database's identity; another is refused.
    pub system_id: SystemId,
    /// The data must reach this, or the promotion is refused.
    pub at_least: Lsn,
    /// In force before the promotion.
    pub synchronous: SynchronousStandbys,
    /// A physical slot is kept for each.
    pub members: BTreeSet<MemberId>,
}

/// The database is out of recovery on its new timeline, and that was read from it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Promoted {
    /// The new timeline.
    pub timeline: Timeline,
    /// Where the old timeline was left.
    pub switch_lsn: Lsn,
    /// The end of recovery: what must be on the synchronous standbys before anybody reads it.
    pub lsn: Lsn,
}

/// Sets `synchronous_standby_names`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SynchronousOrder {
    /// The fencing token.
    pub term: Term,
    /// The new value.
    pub standbys: SynchronousStandbys,
    /// Return only once no commit can be acknowledged under the old value, and as many of the named standbys as the new one demands
    /// (of [`AllOf`](SynchronousStandbys::AllOf), each) have flushed everything that could have been (the barrier, protocol
    /// rule 20). Asked for when the change makes acknowledging harder.
    pub barrier: bool,
}

/// One order to the local database. At most one runs at a time, except that `Observe` may run beside any other and
/// `Stop` takes the place of one that runs.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum DatabaseOrder {
    /// Read its status.
    Observe,
    /// Begin a cluster.
    Bootstrap(BootstrapOrder),
    /// Start as primary.
    StartPrimary(StartPrimaryOrder),
    /// Write a checkpoint, so that a shutdown is quick.
    Checkpoint,
    /// Stop.
    Stop(StopMode),
    /// Stream from an upstream.
    Follow(FollowOrder),
    /// Receive nothing any more.
    Freeze,
    /// Become primary.
    Promote(PromoteOrder),
    /// Change who must acknowledge.
    SetSynchronous(SynchronousOrder),
    /// Keep a physical slot for each of these members, and none for other members.
    KeepSlots(BTreeSet<MemberId>),
}

impl DatabaseOrder {
    /// The order as a verb, for logs.
    pub const fn verb(&self) -> &'static str {
        match self {
            Self::Observe => "observe",
            Self::Bootstrap(_) => "bootstrap",
            Self::StartPrimary(_) => "start",
            Self::Checkpoint => "checkpoint",
            Self::Stop(_) => "stop",
            Self::Follow(_) => "follow",
            Self::Freeze => "freeze",
            Self::Promote(_) => "promote",
            Self::SetSynchronous(_) => "set synchronous standbys of",
            Self::KeepSlots(_) => "keep slots of",
        }
    }
}

/// The answer to a [`DatabaseOrder`], one variant an order.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum DatabaseAnswer {
    /// To `Observe`.
    Observed(DatabaseStatus),
    /// To `Bootstrap`.
    Bootstrapped(Bootstrapped),
    /// To `StartPrimary`.
    Started(Started),
    /// To `Stop`.
    Stopped(Stopped),
    /// To `Follow`.
    Followed(Followed),
    /// To `Freeze`.
    Frozen(Frozen),
    /// To `Promote`.
    Promoted(Promoted),
    /// To `Checkpoint`, `SetSynchronous` and `KeepSlots`.
    Done,
}

/// A copy's place among all copies, given the term that owns its timeline.
pub fn position(term: Term, lsn: Lsn) -> Position {
    Position { term, lsn }
}
