//! The leader record: who leads, in which term, until when nobody may take over.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Header, Record};
use crate::lsn::{Lsn, Timeline};
use crate::member::MemberId;
use crate::policy::Timing;
use crate::term::Mark;

/// How the present holder came to hold.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// It began the cluster with a new database.
    Bootstrap,
    /// It began the cluster with the data that it had.
    Adoption,
    /// It was elected.
    Takeover,
    /// The one before handed over to it, its database cleanly stopped.
    HandOver {
        /// Who handed over.
        from: MemberId,
        /// The end of the shutdown checkpoint, which the new holder must have.
        shutdown: Lsn,
    },
}

/// A switchover that is under way.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct PlannedHandOver {
    /// Who will lead.
    pub target: MemberId,
    /// The end of the shutdown checkpoint, once the database has stopped; the target reports when it has it.
    pub shutdown: Option<Lsn>,
}

/// Leadership of a cluster: held by a member, or vacant. Never deleted; rewritten by its holder or a taker only.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct LeaderRecord {
    /// What every record begins with.
    pub header: Header,
    /// The term, and how often the record was rewritten.
    pub mark: Mark,
    /// Who leads; `None`: vacant, may be taken at once.
    pub holder: Option<MemberId>,
    /// Who wrote this version: the holder, one who released it, or one who handed over.
    pub writer: MemberId,
    /// How the holder came to hold.
    pub origin: Origin,
    /// The holder has served as primary in this term: it can be followed.
    pub serving: bool,
    /// An unchanged version may be taken over after this many milliseconds.
    pub ttl_ms: u64,
    /// An unchanged version makes a synchronous cluster's standbys vote after this many milliseconds.
    pub suspicion_ms: u64,
    /// Automatic failover is suspended: this version is not taken over, however old.
    pub paused: bool,
    /// The timeline reserved for this term; no other term may use it.
    pub timeline: Timeline,
    /// A position known to have been acknowledged to users, and (asynchronous) from which lag counts.
    pub lsn: Lsn,
    /// The writer's own clock when it sent this version, in milliseconds since an origin of its own: only the difference to another version of
    /// the same term means something. `None`: the clock had jumped.
    #[serde(default)]
    pub sent_ms: Option<u64>,
    /// A switchover under way.
    pub hand_over: Option<PlannedHandOver>,
    /// Members that could not promote in this term and do not vote against this version.
    pub excluded: BTreeSet<MemberId>,
    /// Whom the holder asks whether it may go on when it does not reach the store; only these may take over from this version. `None`:
    /// it asks nobody, and anybody may.
    #[serde(default)]
    pub failsafe: Option<BTreeSet<MemberId>>,
}

impl LeaderRecord {
    /// How long it stays its holder's.
    pub const fn ttl(&self) -> Duration {
        Duration::from_millis(self.ttl_ms)
    }

    /// Whether this member may take over from this version. The holder itself may, once its belief has ended.
    pub fn may_be_taken_by(&self, member: &MemberId) -> bool {
        self.holder.as_ref() == Some(member) || self.failsafe.as_ref().is_none_or(|listed| listed.contains(member))
    }

    /// How long it may be unchanged before standbys of a synchronous cluster vote.
    pub const fn suspicion(&self) -> Duration {
        Duration::from_millis(self.suspicion_ms)
    }
}

impl Record for LeaderRecord {
    fn header(&self) -> &Header {
        &self.header
    }

    fn validate(&self) -> Result<(), String> {
        if self.ttl() < Timing::MIN_TTL || self.ttl() > Timing::MAX_TTL {
            return Err(format!("ttl_ms {} is not between 1000 and 300000", self.ttl_ms));
        }
        if self.suspicion() < Timing::MIN_SUSPICION || self.suspicion_ms > self.ttl_ms {
            return Err(format!("suspicion_ms {} is not between 300 and ttl_ms {}", self.suspicion_ms, self.ttl_ms));
        }
        if self.mark.term.0 == 0 {
            return Err("the term is 0".into());
        }
        Ok(())
    }
}
