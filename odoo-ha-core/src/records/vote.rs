//! Votes: what a frozen member has, and against which version of the leader record it says so.

use serde::{Deserialize, Serialize};

use super::{Header, Record};
use crate::lsn::{Position, Timeline};
use crate::member::{DataId, MemberId};
use crate::store::Version;
use crate::term::Mark;

/// One version of the leader record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct LeaderRef {
    /// Its mark: a record with a greater one is newer.
    pub mark: Mark,
    /// Its version in the store.
    pub version: Version,
}

/// A vote. It binds its member (which stays frozen) until that has seen a leader record newer than the one named.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct VoteRecord {
    /// What every record begins with.
    pub header: Header,
    /// Who votes.
    pub member: MemberId,
    /// With which copy.
    pub data: DataId,
    /// Against which leader record. `None` withdraws.
    pub against: Option<LeaderRef>,
    /// How far the copy is.
    pub position: Position,
    /// The timeline of its last record.
    pub timeline: Timeline,
    /// Preference among equally advanced.
    pub priority: i32,
    /// Health penalty: the summed weights of its failing probes. Less is preferred.
    pub penalty: u32,
    /// May win. A member that may not can still make a set of votes sufficient.
    pub electable: bool,
}

impl Record for VoteRecord {
    fn header(&self) -> &Header {
        &self.header
    }
}
