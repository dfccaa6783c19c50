//! Freezing: the database receives nothing any more, from anybody, durably, and has replayed all it has (protocol rules 26 and 27).

use std::time::Duration;

use odoo_ha_core::database::{Frozen, StopMode};
use odoo_ha_core::error::Error;
use odoo_ha_core::lsn::{Lsn, Timeline};
use odoo_ha_core::member::DataId;
use tokio::time::Instant;

use super::client::Session;
use super::error::not_ready;
use super::memory::{Memory, new_data_id};
use super::process::Postmaster;
use super::settings::Wanted;
use super::start::As;
use super::{LOOK_INTERVAL, PostgresReplication, SMALL_PROGRAM_TIMEOUT, history, wal};

/// How long replay may stand still for a reader before the reader's session is ended.
const READER_GRACE: Duration = Duration::from_millis(100);

/// How long the receiver may take to leave before the database is restarted: it hangs then, and killing it alone would make the
/// postmaster restart everything anyway.
const RECEIVER_GRACE: Duration = Duration::from_secs(1);

/// In which the startup process sleeps when it has found nothing more to replay anywhere.
pub(super) const AT_THE_END: &str = "RecoveryRetrieveRetryInterval";

/// One look: both processes from one snapshot of the statistics, then the positions.
pub(super) const LOOK: &str = "select (select count(*) from pg_stat_activity where backend_type = 'walreceiver'), \
     (select wait_event from pg_stat_activity where backend_type = 'startup'), \
     (select wait_event_type from pg_stat_activity where backend_type = 'startup'), \
     pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn(), \
     case when pg_is_in_recovery() then pg_is_wal_replay_paused() end, \
     (select greatest(c.timeline_id, r.min_recovery_end_timeline) from pg_control_checkpoint() c, pg_control_recovery() r), \
     (select setting::bigint from pg_settings where name = 'wal_segment_size')";

/// A database in recovery that receives nothing, and where its log ends.
pub(super) struct FrozenDatabase {
    pub(super) lsn: Lsn,
    pub(super) timeline: Timeline,
}

impl PostgresReplication {
    pub(super) async fn receive_nothing(&self, timeout: Duration) -> Result<Frozen, Error> {
        let mut memory = self.recall().await?;
        let frozen = self.frozen(&memory, timeout).await?;
        let data_id = self.identify(&mut memory).await?;
        Ok(Frozen { data_id, lsn: frozen.lsn, timeline: frozen.timeline })
    }

    /// The name of this copy; one that has none (its data were brought by hand) gets one.
    pub(super) async fn identify(&self, memory: &mut Memory) -> Result<DataId, Error> {
        if let Some(data_id) = &memory.data_id {
            return Ok(data_id.clone());
        }
        let data_id = new_data_id()?;
        memory.data_id = Some(data_id.clone());
        memory.system_id = Some(self.control().await?.system_id);
        self.remember(memory).await?;
        Ok(data_id)
    }

    /// Freezes from whatever state there is, except a running primary.
    pub(super) async fn frozen(&self, memory: &Memory, timeout: Duration) -> Result<FrozenDatabase, Error> {
        if memory.data_are_worthless() {
            return Err(not_ready("the data were left half-way by a rewind, a clone or a bootstrap")
                .hint("they are cloned anew when the member follows"));
        }
        self.check_data().await?;
        let wanted = self.wanted().await?.following(None);
        if let Some(postmaster) = self.postmaster() {
            // Durable before anything else, whatever the processes do.
            self.write_settings(&wanted).await?;
            let gently = self.freeze_running(&postmaster, &wanted);
            if let Ok(result) = tokio::time::timeout(timeout / 2, gently).await
                && let Some(frozen) = result?
            {
                return Ok(frozen);
            }
            tracing::warn!(member = %self.config.member, "freezing takes too long: the database is restarted without an upstream");
            self.stop_all(StopMode::AtOnce { fast_for_ms: 0 }, timeout / 4).await?;
        }
        let starting = self.launch(&wanted, As::Standby).await?;
        let session = self.accepted(&starting).await?;
        let frozen = self.replayed_to_the_end(session).await?;
        frozen.ok_or_else(|| not_ready("a WAL receiver runs in a database that was started without an upstream"))
    }

    async fn freeze_running(&self, postmaster: &Postmaster, wanted: &Wanted) -> Result<Option<FrozenDatabase>, Error> {
        self.phase("opening a session");
        if !self.session(postmaster).await?.row("select pg_is_in_recovery()").await?.is_true(0) {
            return Err(not_ready("the database runs as primary").hint("stop it first"));
        }
        let session = self.apply(postmaster, wanted).await?;
        self.replayed_to_the_end(session).await
    }

    /// Waits for the one look that rule 26 asks for. The startup process re-reads its settings after each sleep, before it would
    /// start a receiver: so none can be started with the old upstream after that look. `None` when the receiver does not leave.
    async fn replayed_to_the_end(&self, session: Session) -> Result<Option<FrozenDatabase>, Error> {
        let begun = Instant::now();
        let mut standing_since = (Lsn(0), Instant::now());
        loop {
            let row = session.row(LOOK).await?;
            let (receivers, startup) = (row.parse::<u32>(0)?, row.get(1));
            let (received, replayed) = (row.lsn(3)?, row.lsn(4)?);
            let known = Timeline(row.parse(6)?);
            if row.is_true(5) {
                session.row("select pg_wal_replay_resume()").await?;
            }
            if receivers == 0 && startup == Some(AT_THE_END) {
                let segment_bytes: u64 = row.parse(7)?;
                let timeline = history::timeline_of_end(self.data_dir(), known, received.max(replayed), segment_bytes)?;
                if received <= replayed || self.nothing_complete_follows(timeline, replayed, segment_bytes).await? {
                    let timeline = history::timeline_of_end(self.data_dir(), known, replayed, segment_bytes)?;
                    return Ok(Some(FrozenDatabase { lsn: replayed, timeline }));
                }
            }
            if receivers > 0 && begun.elapsed() > RECEIVER_GRACE {
                return Ok(None);
            }
            self.phase(if receivers > 0 { "the WAL receiver still runs" } else { "replay has not reached its end" });
            if standing_since.0 != replayed {
                standing_since = (replayed, Instant::now());
            }
            let held_up = matches!(row.get(2), Some("Lock" | "BufferPin"))
                || startup.is_some_and(|w| w.starts_with("RecoveryConflict"));
            let grace = if held_up { READER_GRACE } else { 5 * READER_GRACE };
            if standing_since.1.elapsed() > grace {
                session
                    .rows(
                        "select pg_terminate_backend(pid) from pg_stat_activity where backend_type = 'client backend' \
                         and not (application_name = 'odoo-ha' and usename = current_user)",
                    )
                    .await?;
                standing_since.1 = Instant::now();
            }
            tokio::time::sleep(LOOK_INTERVAL).await;
        }
    }

    /// The receiver may have got the first part of a record only: it was never acknowledged, and the log ends before it.
    async fn nothing_complete_follows(
        &self,
        timeline: Timeline,
        replayed: Lsn,
        segment_bytes: u64,
    ) -> Result<bool, Error> {
        let (dir, timeout) = (self.data_dir(), SMALL_PROGRAM_TIMEOUT);
        let next = wal::record_length(&self.programs, dir, timeline, replayed, segment_bytes, timeout).await?;
        Ok(next.is_none())
    }
}
