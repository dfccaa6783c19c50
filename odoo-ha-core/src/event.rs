//! What happened, as data: the same for logs, notifiers, streams and the quickstart.

use serde::{Deserialize, Serialize};

use crate::database::FollowedBy;
use crate::lsn::{Lsn, Timeline};
use crate::member::{ClusterId, MemberId};
use crate::policy::Policy;
use crate::term::Term;

/// How urgent an event is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Roles and members change as they should.
    Info,
    /// Look tomorrow.
    Warning,
    /// Wake someone.
    Error,
}

/// One thing that happened on one member.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Event {
    /// Unique within the cluster: member, incarnation and a counter.
    pub id: String,
    /// The cluster.
    pub cluster: ClusterId,
    /// The member on which it happened.
    pub member: MemberId,
    /// The term in force there.
    pub term: Term,
    /// What happened.
    pub kind: EventKind,
    /// A sentence for the operator.
    pub sentence: String,
}

impl Event {
    /// An event.
    pub fn new(
        id: String,
        cluster: ClusterId,
        member: MemberId,
        term: Term,
        kind: EventKind,
        sentence: String,
    ) -> Self {
        Self { id, cluster, member, term, kind, sentence }
    }

    /// How urgent it is.
    pub const fn severity(&self) -> Severity {
        self.kind.severity()
    }
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "event")]
#[non_exhaustive]
pub enum EventKind {
    /// The machine changed its state; names as in the table of transitions.
    StateChanged {
        /// From.
        from: String,
        /// To.
        to: String,
        /// Why.
        cause: String,
    },
    /// The cluster was begun here.
    ClusterBootstrapped,
    /// The leader's record stayed unchanged for too long.
    LeaderSuspected {
        /// Who was silent; `None` when there was no leader.
        leader: Option<MemberId>,
    },
    /// This member stopped receiving and voted.
    Voted {
        /// The end of its log.
        lsn: Lsn,
    },
    /// This member was elected.
    LeaderElected {
        /// Who led before.
        from: Option<MemberId>,
        /// Bytes of log the old leader was known to have beyond the new one's.
        lsn_gap: u64,
    },
    /// The database here is primary.
    Promoted {
        /// On this timeline.
        timeline: Timeline,
        /// Where the old one was left.
        switch_lsn: Lsn,
        /// Milliseconds that it took.
        duration_ms: u64,
    },
    /// The address is here and users are served.
    Serving,
    /// Leadership is being given up.
    LeadershipGivenUp {
        /// Why.
        reason: String,
    },
    /// Leadership was released: it is free to be taken.
    LeadershipReleased,
    /// The local database died.
    DatabaseDied,
    /// The local database was restarted in place.
    DatabaseRestarted,
    /// The synchronous standbys changed.
    SynchronousStandbysChanged {
        /// Who acknowledges now.
        names: Vec<MemberId>,
        /// How many of them each commit waits for; all of them unless the policy has a quorum.
        k: u32,
    },
    /// A synchronous standby was silent for too long and is no longer waited for.
    StandbyDropped {
        /// The member.
        member: MemberId,
    },
    /// The local database follows a leader again.
    Rejoined {
        /// Whom: the leader, or the standby that its tag `replicate_from` names.
        leader: MemberId,
        /// How.
        by: FollowedBy,
        /// Milliseconds since it began.
        duration_ms: u64,
    },
    /// The local database streams.
    Streaming {
        /// From whom: the leader, or the standby that its tag `replicate_from` names.
        leader: MemberId,
    },
    /// A switchover began.
    SwitchoverStarted {
        /// To whom; `None` for the best.
        target: Option<MemberId>,
    },
    /// Leadership was handed over.
    HandedOver {
        /// To whom.
        target: MemberId,
    },
    /// An operator's wish was refused or failed.
    RequestRefused {
        /// Which (see [`RequestRecord`](crate::records::RequestRecord)); `None` when it never had a name.
        id: Option<String>,
        /// Why.
        why: String,
    },
    /// Automatic failover was suspended or resumed by an operator.
    PauseChanged {
        /// Whether it is suspended now.
        paused: bool,
    },
    /// A leader that does not reach the store goes on by the leave of all members, or need not any longer.
    Failsafe {
        /// Whether it does now.
        active: bool,
    },
    /// Something stands in the way; the machine does not go on until it is gone.
    Refusal {
        /// What, and what to do.
        why: String,
    },
    /// Something failed and is tried again.
    Trouble {
        /// What.
        what: String,
    },
    /// A setting of the database lies outside what is promised.
    OutsideThePromise {
        /// Which.
        what: String,
    },
    /// The cluster's policy in the store was changed, and is followed.
    PolicyChanged {
        /// Who changed it, as they call themselves.
        by: String,
        /// What is striven for now.
        policy: Policy,
    },
    /// What stands in the store as the cluster's policy cannot be used; the last good one goes on.
    PolicyRefused {
        /// Why, and what to do.
        why: String,
    },
    /// A probe changed its mind.
    HealthChanged {
        /// Its name.
        probe: String,
        /// What it found.
        healthy: bool,
    },
    /// An invariant did not hold: a bug. The machine steps down.
    InvariantBroken {
        /// Which.
        which: String,
    },
}

impl EventKind {
    /// How urgent it is.
    pub const fn severity(&self) -> Severity {
        match self {
            Self::InvariantBroken { .. }
            | Self::Refusal { .. }
            | Self::PolicyRefused { .. }
            | Self::OutsideThePromise { .. } => Severity::Error,
            Self::LeaderSuspected { .. }
            | Self::LeadershipGivenUp { .. }
            | Self::DatabaseDied
            | Self::StandbyDropped { .. }
            | Self::RequestRefused { .. }
            | Self::Failsafe { active: true }
            | Self::Trouble { .. } => Severity::Warning,
            Self::HealthChanged { healthy, .. } => {
                if *healthy {
                    Severity::Info
                } else {
                    Severity::Warning
                }
            }
            Self::StateChanged { .. }
            | Self::ClusterBootstrapped
            | Self::Voted { .. }
            | Self::LeaderElected { .. }
            | Self::Promoted { .. }
            | Self::Serving
            | Self::LeadershipReleased
            | Self::DatabaseRestarted
            | Self::SynchronousStandbysChanged { .. }
            | Self::Rejoined { .. }
            | Self::Streaming { .. }
            | Self::SwitchoverStarted { .. }
            | Self::HandedOver { .. }
            | Self::Failsafe { active: false }
            | Self::PolicyChanged { .. }
            | Self::PauseChanged { .. } => Severity::Info,
        }
    }
}
