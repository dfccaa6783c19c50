//! A standby whose replay is delayed (`recovery_min_apply_delay`): nothing waits for its replay, and it never freezes.
//!
//! PostgreSQL looks for a new upstream only when everything that was received is replayed, however late that is. So a delayed standby is told whom to
//! follow at once, and does so later; that its log belongs to that upstream's history is looked at when it has come to its end.

use std::time::Duration;

use odoo_ha_core::database::FollowOrder;
use odoo_ha_core::error::Error;
use odoo_ha_core::lsn::{Lsn, Timeline};
use rustix::process::{Pid, Signal, kill_process};
use tokio::time::Instant;

use super::client::Session;
use super::error::{malformed, not_ready};
use super::follow::upstream_history;
use super::freeze::{AT_THE_END, LOOK};
use super::{LOOK_INTERVAL, PostgresReplication, history};

/// How long its receiver may take to leave.
const RECEIVER_TIMEOUT: Duration = Duration::from_secs(3);

impl PostgresReplication {
    /// Whether this member is a delayed standby.
    pub(super) fn is_delayed(&self) -> bool {
        !self.config.apply_delay.is_zero()
    }

    /// Whether the database runs as a standby that has not replayed yet what it has: then it cannot be frozen without making up for its delay.
    pub(super) async fn is_behind(&self) -> Result<bool, Error> {
        let Some(postmaster) = self.postmaster().filter(|_| self.is_delayed()) else { return Ok(false) };
        self.phase("looking how far the delayed replay is");
        let session = self.session(&postmaster).await?;
        if !session.row("select pg_is_in_recovery()").await?.is_true(0) {
            return Ok(false);
        }
        let row = session.row(LOOK).await?;
        Ok(row.get(1) != Some(AT_THE_END))
    }

    /// Ends what still receives from the upstream of before: it would go on until everything is replayed, and so receive what the cluster has left.
    /// The next one is started with the settings in force by then.
    pub(super) async fn end_receiver(&self) -> Result<(), Error> {
        let Some(postmaster) = self.postmaster() else { return Ok(()) };
        let session = self.session(&postmaster).await?;
        self.phase("ending the receiver of a delayed standby");
        let begun = Instant::now();
        let receivers = "select pid from pg_stat_activity where backend_type = 'walreceiver'";
        let first = session.rows(receivers).await?;
        let mut left = Vec::new();
        for row in &first {
            let number = row.parse::<i32>(0)?;
            let pid = Pid::from_raw(number).ok_or_else(|| malformed("a process has the number 0"))?;
            // It may have ended by itself. A normal end of a receiver disturbs nobody else.
            let _ = kill_process(pid, Signal::TERM);
            left.push(number.to_string());
        }
        while !left.is_empty() {
            let still = format!("{receivers} and pid in ({})", left.join(", "));
            if session.rows(&still).await?.is_empty() {
                break;
            }
            if begun.elapsed() > RECEIVER_TIMEOUT {
                return Err(not_ready("the receiver of the delayed standby does not end").hint("it is tried again"));
            }
            tokio::time::sleep(LOOK_INTERVAL).await;
        }
        Ok(())
    }

    /// Why a delayed standby, which ends here, is no beginning of the upstream; `None` when it is.
    ///
    /// Other standbys are looked at before they follow a reign; a delayed one when it has replayed all it had.
    pub(super) async fn left_history(
        &self,
        upstream: &Session,
        order: &FollowOrder,
        end: Lsn,
        segment_bytes: u64,
    ) -> Result<Option<String>, Error> {
        if !self.is_delayed() {
            return Ok(None);
        }
        let theirs = upstream_history(upstream, order.timeline).await?;
        let known = self.control().await?.timeline();
        let timeline: Timeline = history::timeline_of_end(self.data_dir(), known, end, segment_bytes)?;
        if timeline == order.timeline || theirs.left(timeline).is_some_and(|left| end <= left) {
            return Ok(None);
        }
        Ok(Some(format!("the data end at {end} on timeline {timeline}, which the cluster has left")))
    }
}
