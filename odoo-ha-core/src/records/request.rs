//! The operator's wish: one at a time, answered where it stands.

use serde::{Deserialize, Serialize};

use super::{Header, Record};
use crate::member::MemberId;

/// What is wished.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RequestKind {
    /// Hand leadership over without loss.
    Switchover {
        /// To whom; `None`: to the best.
        target: Option<MemberId>,
    },
    /// Make a member leader though the present one cannot hand over.
    Failover {
        /// Whom.
        target: MemberId,
        /// The operator accepts, in words, that acknowledged commits may be lost.
        accept_data_loss: bool,
    },
    /// Suspend automatic failover.
    Pause,
    /// Resume it.
    Resume,
}

/// What became of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RequestOutcome {
    /// Not yet.
    Pending,
    /// It was done.
    Done,
    /// It was not, and why.
    Refused(String),
}

/// A wish and what became of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct RequestRecord {
    /// What every record begins with. The nonce is that of whoever wrote this version.
    pub header: Header,
    /// Names the wish; stays the same when it is answered.
    pub id: String,
    /// What is wished.
    pub kind: RequestKind,
    /// What became of it.
    pub outcome: RequestOutcome,
}

impl Record for RequestRecord {
    fn header(&self) -> &Header {
        &self.header
    }
}
