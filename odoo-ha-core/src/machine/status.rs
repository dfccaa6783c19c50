//! What a member can say of itself and of what it sees.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::database::{DatabaseStatus, SynchronousStandbys};
use crate::lsn::Timeline;
use crate::member::{ClusterId, MemberId};
use crate::policy::Policy;
use crate::records::{LeaderRecord, MemberRecord, RequestRecord, SyncRecord};
use crate::term::Term;
use crate::time::Moment;

use super::state::StateName;

/// A picture of one member at one moment.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Status {
    /// The cluster.
    pub cluster: ClusterId,
    /// This member.
    pub member: MemberId,
    /// What it is doing.
    pub state: StateName,
    /// The term in force, as far as it knows.
    pub term: Term,
    /// Who holds leadership by the record; `None`: nobody, or not known.
    pub leader: Option<MemberId>,
    /// How much longer this member's own leadership is certain; `None` when it has none. [`Duration::MAX`] while paused.
    pub leads_for: Option<Duration>,
    /// When this member's own leadership ends, by its own clock; `None` when it has none, [`Moment::MAX`] while paused. Unlike
    /// [`leads_for`](Self::leads_for) it means the same however old the picture is.
    pub leads_until: Option<Moment>,
    /// The address is here.
    pub address_here: bool,
    /// Automatic failover is suspended.
    pub paused: bool,
    /// The timeline of the present reign.
    pub timeline: Timeline,
    /// The local database.
    pub database: Option<DatabaseStatus>,
    /// Who must acknowledge a commit, by the record.
    pub synchronous: SynchronousStandbys,
    /// The leader record.
    pub leader_record: Option<LeaderRecord>,
    /// The sync record.
    pub sync_record: Option<SyncRecord>,
    /// What the members say of themselves.
    pub members: BTreeMap<MemberId, MemberRecord>,
    /// The last wish of an operator.
    pub request: Option<RequestRecord>,
    /// What is striven for: by the store, where the policy stands there, else by this member's own configuration.
    pub policy: Policy,
    /// Why the policy in the store is not followed, when it cannot be; the last good one is in force then.
    pub policy_refused: Option<String>,
    /// What stands in the way, and what to do about it.
    pub refusal: Option<String>,
}
