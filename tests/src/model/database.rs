//! Databases whose log is a short list, and what orders do to them.

use std::collections::BTreeMap;

use odoo_ha_core::database::{
    BootstrapOrder, Bootstrapped, DatabaseState, DatabaseStatus, Frozen, PromoteOrder, Promoted, StandbyStatus,
    StartPrimaryOrder, Started, Stopped, SynchronousStandbys,
};
use odoo_ha_core::error::{ErrorKind, Failure};
use odoo_ha_core::lsn::{Lsn, Timeline};
use odoo_ha_core::member::{DataId, MemberId, SystemId};
use odoo_ha_core::term::Term;

/// One member's database.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Database {
    pub(super) state: DatabaseState,
    pub(super) data_id: Option<DataId>,
    /// Beside the data.
    pub(super) term: Term,
    /// The timeline of the next record.
    pub(super) timeline: u32,
    /// Of each record the timeline, and the client's commit (0: none).
    pub(super) log: Vec<(u32, u8)>,
    pub(super) upstream: Option<MemberId>,
    pub(super) streaming: bool,
    pub(super) synchronous: SynchronousStandbys,
    /// How often it was cloned.
    pub(super) copies: u32,
}

impl Database {
    pub(super) fn absent() -> Self {
        Self {
            state: DatabaseState::Absent,
            data_id: None,
            term: Term(0),
            timeline: 0,
            log: Vec::new(),
            upstream: None,
            streaming: false,
            synchronous: SynchronousStandbys::Nobody,
            copies: 0,
        }
    }

    pub(super) fn lsn(&self) -> Lsn {
        Lsn(self.log.len() as u64)
    }

    pub(super) fn append(&mut self, commit: u8) {
        self.log.push((self.timeline, commit));
    }

    pub(super) fn has(&self, commit: u8) -> bool {
        self.log.iter().any(|(_, id)| *id == commit)
    }

    pub(super) fn is_prefix_of(&self, other: &Self) -> bool {
        other.log.starts_with(&self.log)
    }

    fn last_timeline(&self) -> Timeline {
        Timeline(self.log.last().map_or(self.timeline, |(timeline, _)| *timeline))
    }

    pub(super) fn status(&self, standbys: BTreeMap<MemberId, StandbyStatus>) -> DatabaseStatus {
        let primary = self.state == DatabaseState::Primary;
        DatabaseStatus {
            state: self.state,
            system_id: self.data_id.as_ref().map(|_| SystemId(7)),
            data_id: self.data_id.clone(),
            term: self.term,
            timeline: if primary { Timeline(self.timeline) } else { self.last_timeline() },
            lsn: self.lsn(),
            replayed: self.lsn(),
            streaming: self.streaming,
            upstream: self.upstream.clone(),
            standbys,
            synchronous: Some(self.synchronous.clone()),
            ..DatabaseStatus::absent()
        }
    }

    pub(super) fn bootstrap(&mut self, name: &MemberId, order: &BootstrapOrder) -> Bootstrapped {
        let data_id = DataId(format!("{name}-first-{}", order.term));
        self.state = DatabaseState::Primary;
        self.data_id = Some(data_id.clone());
        self.term = order.term;
        self.timeline = 1;
        self.append(0);
        Bootstrapped { system_id: SystemId(7), data_id, timeline: Timeline(1), lsn: self.lsn() }
    }

    pub(super) fn start_primary(&mut self, order: &StartPrimaryOrder) -> Result<Started, Failure> {
        if self.term != order.term {
            return Err(Failure::new(ErrorKind::Fenced, "the data have another term"));
        }
        if self.state == DatabaseState::Standby {
            return Err(Failure::new(ErrorKind::NotReady, "a standby's data"));
        }
        self.state = DatabaseState::Primary;
        self.synchronous = order.synchronous.clone();
        Ok(Started { lsn: self.lsn(), timeline: Timeline(self.timeline) })
    }

    pub(super) fn promote(&mut self, order: &PromoteOrder) -> Result<Promoted, Failure> {
        if order.term < self.term {
            return Err(Failure::new(ErrorKind::Fenced, "an older term"));
        }
        if self.lsn() < order.at_least {
            return Err(Failure::new(ErrorKind::NotReady, "the data do not reach"));
        }
        let switch_lsn = self.lsn();
        if self.state != DatabaseState::Primary {
            self.state = DatabaseState::Primary;
            self.term = order.term;
            self.timeline = order.timeline.0;
            self.synchronous = order.synchronous.clone();
            self.upstream = None;
            self.streaming = false;
            self.append(0);
        }
        Ok(Promoted { timeline: order.timeline, switch_lsn, lsn: self.lsn() })
    }

    pub(super) fn freeze(&mut self) -> Result<Frozen, Failure> {
        let frozen = self.frozen()?;
        self.state = DatabaseState::Standby;
        self.upstream = None;
        self.streaming = false;
        Ok(frozen)
    }

    /// What a frozen database would say of itself.
    pub(super) fn frozen(&self) -> Result<Frozen, Failure> {
        let Some(data_id) = self.data_id.clone() else {
            return Err(Failure::new(ErrorKind::NotReady, "no data"));
        };
        Ok(Frozen { data_id, lsn: self.lsn(), timeline: self.last_timeline() })
    }

    /// Ends its processes. `clean`: with a shutdown checkpoint, which the caller has appended already.
    pub(super) fn stop(&mut self, clean: bool) -> Stopped {
        if self.state.runs() {
            self.state = if clean { DatabaseState::StoppedCleanly } else { DatabaseState::Crashed };
        }
        self.streaming = false;
        let clean = self.state == DatabaseState::StoppedCleanly;
        Stopped { clean, lsn: self.lsn(), timeline: Timeline(self.timeline) }
    }
}
