//! What of a node the judges compare from look to look.

use odoo_ha_core::database::DatabaseState;
use odoo_ha_core::member::{DataId, MemberId};
use odoo_ha_core::term::{Mark, Term};

use super::Node;

/// A node at the last look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Glimpse {
    /// What its database was doing.
    pub state: DatabaseState,
    /// The term beside the data.
    pub term: Term,
    /// The timeline of the next record.
    pub timeline: u32,
    /// Which copy.
    pub data: Option<DataId>,
    /// How many records the log had.
    pub end: usize,
    /// The last of them.
    pub last: Option<(u32, u64)>,
    /// It streamed.
    pub streaming: bool,
    /// From whom.
    pub upstream: Option<MemberId>,
    /// The newest leader record that the member had acted on.
    pub mark: Mark,
    /// The highest term in which it had led.
    pub led: Term,
}

impl Glimpse {
    /// Of a node, now.
    pub fn of(node: &Node) -> Self {
        let database = &node.database;
        Self {
            state: database.state,
            term: database.term,
            timeline: database.timeline,
            data: database.data_id.clone(),
            end: database.log.len(),
            last: database.log.last().copied(),
            streaming: database.streaming,
            upstream: database.upstream.clone(),
            mark: node.memo.mark,
            led: node.memo.led,
        }
    }

    /// Whether a node is still that, with a log that is the same or longer.
    pub fn still_is(&self, node: &Node) -> bool {
        let database = &node.database;
        self.state == database.state
            && self.term == database.term
            && self.streaming == database.streaming
            && self.mark == node.memo.mark
            && self.led == node.memo.led
            && (self.timeline == database.timeline || self.streaming)
            && self.log_is_kept(node)
            && self.data == database.data_id
            && self.upstream == database.upstream
    }

    /// Whether the log is the same or was added to. Compares the last record only: no two records have one place, timeline and id.
    pub fn log_is_kept(&self, node: &Node) -> bool {
        self.end == 0 || node.database.log.get(self.end - 1) == self.last.as_ref()
    }

    /// Notes a longer log.
    pub fn grow(&mut self, node: &Node) {
        self.end = node.database.log.len();
        self.last = node.database.log.last().copied();
        self.timeline = node.database.timeline;
    }

    /// Became primary since.
    pub fn became_primary(&self, node: &Node) -> bool {
        self.state != DatabaseState::Primary && node.database.state == DatabaseState::Primary
    }
}
