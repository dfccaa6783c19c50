//! Stopping: every process of the instance, and everything that a dropped order had begun. Settings stay as they are.

use std::time::Duration;

use odoo_ha_core::database::{StopMode, Stopped};
use odoo_ha_core::error::Error;
use odoo_ha_core::lsn::{Lsn, Timeline};
use rustix::process::Signal;

use super::instance::Instance;
use super::process::Postmaster;
use super::{LOOK_INTERVAL, PostgresReplication, SMALL_PROGRAM_TIMEOUT, wal};

/// How long an immediate shutdown may take before SIGKILL: PostgreSQL's processes only have to leave.
const IMMEDIATE_TIMEOUT: Duration = Duration::from_millis(500);

/// How long children of a postmaster that ended by itself may take to notice it.
const CHILDREN_TIMEOUT: Duration = Duration::from_millis(500);

impl PostgresReplication {
    pub(super) async fn stop_all(&self, mode: StopMode, timeout: Duration) -> Result<Stopped, Error> {
        let mut instance = Instance::default();
        instance.look(&[self.data_dir(), self.programs.work_dir()]);
        if let Some(postmaster) = self.postmaster() {
            match mode {
                StopMode::Fast => self.stop_fast(&postmaster).await?,
                StopMode::AtOnce { fast_for_ms } => {
                    self.stop_at_once(&postmaster, Duration::from_millis(fast_for_ms), timeout).await?;
                }
            }
        }
        self.end_leftovers(&mut instance, mode).await;
        self.phase("waiting for a dropped order's work on files to end");
        self.quiet().await;
        self.how_it_stopped().await
    }

    async fn stop_fast(&self, postmaster: &Postmaster) -> Result<(), Error> {
        self.phase("waiting for the fast shutdown; it goes on");
        postmaster.signal(Signal::INT)?;
        postmaster.exited().await
    }

    async fn stop_at_once(&self, postmaster: &Postmaster, fast_for: Duration, timeout: Duration) -> Result<(), Error> {
        if !fast_for.is_zero() {
            self.phase("waiting for the fast shutdown");
            postmaster.signal(Signal::INT)?;
            if let Ok(ended) = tokio::time::timeout(fast_for, postmaster.exited()).await {
                return ended;
            }
        }
        self.phase("waiting for the immediate shutdown");
        postmaster.signal(Signal::QUIT)?;
        // What does not leave by then gets SIGKILL.
        let _left = tokio::time::timeout(IMMEDIATE_TIMEOUT.min(timeout / 4), postmaster.exited()).await;
        Ok(())
    }

    /// Waits for those that are leaving, then kills until none is left.
    async fn end_leftovers(&self, instance: &mut Instance, mode: StopMode) {
        let dirs = [self.data_dir(), self.programs.work_dir()];
        let begun = tokio::time::Instant::now();
        if mode == StopMode::Fast {
            while !instance.look(&dirs).is_empty() && begun.elapsed() < CHILDREN_TIMEOUT {
                tokio::time::sleep(LOOK_INTERVAL).await;
            }
        }
        self.phase("waiting for processes to die of SIGKILL");
        while instance.kill(&dirs) > 0 {
            tokio::time::sleep(LOOK_INTERVAL).await;
        }
    }

    async fn how_it_stopped(&self) -> Result<Stopped, Error> {
        self.phase("reading where the log ends");
        if !self.data_dir().join("PG_VERSION").exists() || self.recall().await?.data_are_broken() {
            return Ok(Stopped { clean: false, lsn: Lsn(0), timeline: Timeline(0) });
        }
        let control = self.control().await?;
        let lsn = wal::end_of_stopped(&self.programs, self.data_dir(), &control, SMALL_PROGRAM_TIMEOUT).await?;
        Ok(Stopped { clean: control.is_clean(), lsn, timeline: control.timeline() })
    }
}
