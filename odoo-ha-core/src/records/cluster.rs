//! What outlives every reign: the identity of the database, and which term had which timeline.

use serde::{Deserialize, Serialize};

use super::{Header, Record};
use crate::lsn::{Lsn, Timeline};
use crate::member::{MemberId, SystemId};
use crate::term::Term;

/// Longest history that is kept; the oldest rows go first.
pub const MAX_HISTORY_ROWS: usize = 200;

/// The identity of the cluster's database.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ClusterRecord {
    /// What every record begins with.
    pub header: Header,
    /// Made by `initdb`.
    pub system_id: SystemId,
}

impl Record for ClusterRecord {
    fn header(&self) -> &Header {
        &self.header
    }
}

/// One reign.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct HistoryRow {
    /// Its term.
    pub term: Term,
    /// Who led.
    pub leader: MemberId,
    /// Its timeline.
    pub timeline: Timeline,
    /// Where the timeline before was left: what lies beyond has diverged.
    pub switch_lsn: Lsn,
}

/// The reigns, oldest first.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct HistoryRecord {
    /// What every record begins with.
    pub header: Header,
    /// Ordered by term; each timeline at most once.
    pub rows: Vec<HistoryRow>,
}

impl HistoryRecord {
    /// The term that owns this timeline.
    pub fn term_of(&self, timeline: Timeline) -> Option<Term> {
        self.rows.iter().find(|row| row.timeline == timeline).map(|row| row.term)
    }

    /// Where this timeline was left by the next reign that is recorded; `None` while it is the newest.
    pub fn left_at(&self, timeline: Timeline) -> Option<Lsn> {
        let at = self.rows.iter().position(|row| row.timeline == timeline)?;
        self.rows.get(at + 1).map(|next| next.switch_lsn)
    }
}

impl Record for HistoryRecord {
    fn header(&self) -> &Header {
        &self.header
    }

    fn validate(&self) -> Result<(), String> {
        if self.rows.len() > MAX_HISTORY_ROWS {
            return Err(format!("the history has {} rows", self.rows.len()));
        }
        if self.rows.windows(2).any(|pair| pair[0].term >= pair[1].term || pair[0].timeline >= pair[1].timeline) {
            return Err("the history is not in order".into());
        }
        Ok(())
    }
}
