//! Databases whose log is a list, so that "is a prefix of" and "was acknowledged" can be looked at.

use std::collections::BTreeMap;

use odoo_ha_core::database::{DatabaseState, DatabaseStatus, StandbyStatus, SynchronousStandbys};
use odoo_ha_core::lsn::{Lsn, Timeline};
use odoo_ha_core::member::{DataId, MemberId, SystemId};
use odoo_ha_core::term::Term;

/// What left the data worthless.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HalfWay {
    /// A rewind that did not end.
    Rewind,
    /// A copy that did not end.
    Clone,
}

/// One member's database.
#[derive(Clone, Debug)]
pub struct Database {
    /// What it is doing.
    pub state: DatabaseState,
    /// Of which cluster.
    pub system_id: Option<SystemId>,
    /// Which copy.
    pub data_id: Option<DataId>,
    /// Beside the data.
    pub term: Term,
    /// The timeline of the next record.
    pub timeline: u32,
    /// The log: of each record the timeline it was written on, and the client's id (0: none).
    pub log: Vec<(u32, u64)>,
    /// Whom it follows.
    pub upstream: Option<MemberId>,
    /// It streams.
    pub streaming: bool,
    /// Who must have a record before it is acknowledged.
    pub synchronous: SynchronousStandbys,
    /// Data written by a primary of an older reign that was not shut down are not followed as they are.
    pub was_primary: bool,
    /// It does not answer.
    pub hung: bool,
    /// A fast shutdown does not end in time.
    pub slow_shutdown: bool,
    /// The data are worthless.
    pub broken: Option<HalfWay>,
    /// It says "saved" before anybody else has it, whatever it was told to wait for.
    pub hasty: bool,
}

impl Database {
    /// No data.
    pub fn absent() -> Self {
        Self {
            state: DatabaseState::Absent,
            system_id: None,
            data_id: None,
            term: Term(0),
            timeline: 0,
            log: Vec::new(),
            upstream: None,
            streaming: false,
            synchronous: SynchronousStandbys::Nobody,
            was_primary: false,
            hung: false,
            slow_shutdown: false,
            broken: None,
            hasty: false,
        }
    }

    /// The end of the log.
    pub fn lsn(&self) -> Lsn {
        Lsn(self.log.len() as u64)
    }

    /// Adds a record.
    pub fn append(&mut self, id: u64) {
        self.log.push((self.timeline, id));
    }

    /// Whether this log is the beginning of the other.
    pub fn is_prefix_of(&self, other: &Database) -> bool {
        other.log.len() >= self.log.len() && other.log[..self.log.len()] == self.log[..]
    }

    /// As read.
    pub fn status(&self, standbys: BTreeMap<MemberId, StandbyStatus>) -> DatabaseStatus {
        let mut status = DatabaseStatus::absent();
        status.state = if self.hung && self.state.runs() { DatabaseState::Unresponsive } else { self.state };
        status.system_id = self.system_id;
        status.data_id = self.data_id.clone();
        status.term = self.term;
        status.timeline = Timeline(self.log.last().map_or(self.timeline, |(timeline, _)| *timeline));
        if self.state == DatabaseState::Primary {
            status.timeline = Timeline(self.timeline);
        }
        status.lsn = self.lsn();
        status.replayed = self.lsn();
        status.streaming = self.streaming;
        status.upstream = self.upstream.clone();
        status.standbys = standbys;
        status.synchronous = Some(self.synchronous.clone());
        status
    }
}
