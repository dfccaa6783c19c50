//! What a member says of itself.

use serde::{Deserialize, Serialize};

use super::{Header, Record};
use crate::database::{DatabaseState, Endpoint};
use crate::lsn::{Lsn, Timeline};
use crate::member::{DataId, MemberId, SystemId, Tags};
use crate::term::{Mark, Term};

/// A member's own account: for operators, for whoever streams from it, and for the safety of beginnings (who has data).
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct MemberRecord {
    /// What every record begins with.
    pub header: Header,
    /// Who.
    pub member: MemberId,
    /// Where its database listens for the other members.
    pub endpoint: Endpoint,
    /// What its database is doing.
    pub database: DatabaseState,
    /// Of which cluster its data are.
    pub system_id: Option<SystemId>,
    /// Which copy it has.
    pub data: Option<DataId>,
    /// The term beside its data.
    pub data_term: Term,
    /// The newest leader record it acted on.
    pub remembered: Mark,
    /// The timeline of its last record.
    pub timeline: Timeline,
    /// The end of its log.
    pub lsn: Lsn,
    /// Whom it streams from, at this moment.
    pub streams_from: Option<MemberId>,
    /// The operator's words about it.
    pub tags: Tags,
    /// It is leaving, or its data are about to be replaced: it must not be waited for.
    pub leaving: bool,
    /// The state of its machine.
    pub state: String,
    /// What stands in its way, if something does.
    pub refusal: Option<String>,
    /// The summed weights of its failing probes.
    pub penalty: u32,
    /// Where other members ask it what they cannot ask the store; `None`: nowhere.
    #[serde(default)]
    pub peer: Option<String>,
}

impl Record for MemberRecord {
    fn header(&self) -> &Header {
        &self.header
    }
}
