//! One simulated database: its data and whether its process runs.

use std::collections::BTreeSet;

use odoo_ha_core::database::{DatabaseState, SynchronousStandbys};
use odoo_ha_core::lsn::Lsn;
use odoo_ha_core::member::{DataId, MemberId, SystemId};
use odoo_ha_core::term::Term;

use super::wal::Wal;

/// One node's database.
#[derive(Clone, Debug, Default)]
pub(super) struct Database {
    pub(super) data: Option<Data>,
    pub(super) running: bool,
    /// Lives and does not answer, as a stopped (SIGSTOP) process.
    pub(super) hung: bool,
    /// Counts the starts of the process, so that one run is told from the next.
    pub(super) starts: u64,
}

/// What stands on its disk.
#[derive(Clone, Debug)]
pub(super) struct Data {
    pub(super) system_id: SystemId,
    pub(super) data_id: DataId,
    pub(super) term: Term,
    pub(super) wal: Wal,
    pub(super) clean: bool,
    /// To be started in recovery.
    pub(super) standby: bool,
    pub(super) upstream: Option<MemberId>,
    pub(super) synchronous: SynchronousStandbys,
    pub(super) slots: BTreeSet<MemberId>,
    /// Where the last promotion of this copy left the timeline before.
    pub(super) switch_lsn: Lsn,
    /// Where its last recovery ended.
    pub(super) recovered: Lsn,
}

impl Database {
    pub(super) fn state(&self) -> DatabaseState {
        match &self.data {
            None => DatabaseState::Absent,
            Some(data) if !self.running => {
                if data.clean {
                    DatabaseState::StoppedCleanly
                } else {
                    DatabaseState::Crashed
                }
            }
            Some(_) if self.hung => DatabaseState::Unresponsive,
            Some(data) if data.standby => DatabaseState::Standby,
            Some(_) => DatabaseState::Primary,
        }
    }

    /// Its data, when it runs and answers.
    pub(super) fn answering(&self) -> Option<&Data> {
        self.data.as_ref().filter(|_| self.running && !self.hung)
    }

    pub(super) fn is_primary(&self) -> bool {
        self.running && self.data.as_ref().is_some_and(|data| !data.standby)
    }

    /// Starts the process unless it runs. A database that runs is not clean.
    pub(super) fn run(&mut self) {
        if !self.running {
            self.running = true;
            self.starts += 1;
        }
        if let Some(data) = &mut self.data {
            data.clean = false;
        }
    }

    /// Ends the process as SIGKILL does.
    pub(super) fn kill(&mut self) {
        self.running = false;
        self.hung = false;
    }
}
