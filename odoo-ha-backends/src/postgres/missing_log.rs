//! A standby that is told to follow and gets nothing: what holds it up on the upstream's side is put right, and what cannot be is said.

use std::time::Duration;

use odoo_ha_core::database::FollowOrder;
use odoo_ha_core::error::Error;
use odoo_ha_core::lsn::Lsn;
use tokio::time::Instant;

use super::client::Session;
use super::freeze::{AT_THE_END, LOOK};
use super::{LOOK_INTERVAL, PostgresReplication, wal};

/// How long a standby is watched for the moment between two tries in which it shows that it has replayed all it has.
const WATCH_TIMEOUT: Duration = Duration::from_secs(2);

/// How long the upstream may take to answer what is only asked to be quicker.
const IN_PASSING_TIMEOUT: Duration = Duration::from_secs(1);

impl PostgresReplication {
    /// Why the upstream cannot send what comes next; `None` when it can, or when that cannot be known now.
    ///
    /// Only of a standby that runs and was told to follow that very upstream before.
    pub(super) async fn missing_log(&self, order: &FollowOrder) -> Result<Option<String>, Error> {
        let now = self.wanted().await?;
        let same = now.clone().following(Some(&order.upstream)) == now;
        let Some(postmaster) = self.postmaster().filter(|_| same) else { return Ok(None) };
        if self.is_behind().await? {
            // It asks for nothing before it has replayed what it has.
            return Ok(None);
        }
        self.phase("asking why nothing is streamed");
        let session = self.session(&postmaster).await?;
        let upstream = match self.upstream_session(order).await {
            Ok(upstream) => upstream,
            Err(error) => {
                tracing::debug!(error = %error.chain(), "the upstream cannot be asked what it still has");
                return Ok(None);
            }
        };
        let Some((position, segment_bytes)) = self.end_without_receiver(&session).await? else { return Ok(None) };
        // Nothing here receives: whoever holds the slot is a sender to this member's earlier life, or to a connection that is dead.
        self.free_upstream_slot(&upstream).await?;
        self.ensure_upstream_slot(&upstream).await?;
        if let Some(why) = self.left_history(&upstream, order, position, segment_bytes).await? {
            return Ok(Some(why));
        }
        if has_log(&upstream, position, segment_bytes).await? {
            return Ok(None);
        }
        Ok(Some(format!(
            "the log from {position} on, which these data need next, is no longer there on {}",
            order.upstream.member
        )))
    }

    /// Where the log of a standby ends that has replayed all of it and finds nothing more.
    async fn end_without_receiver(&self, session: &Session) -> Result<Option<(Lsn, u64)>, Error> {
        let begun = Instant::now();
        while begun.elapsed() < WATCH_TIMEOUT {
            let row = session.row(LOOK).await?;
            if row.parse::<u32>(0)? == 0 && row.get(1) == Some(AT_THE_END) {
                return Ok(Some((row.lsn(3)?.max(row.lsn(4)?), row.parse(7)?)));
            }
            let streams = "select from pg_stat_wal_receiver where status = 'streaming'";
            if !session.rows(streams).await?.is_empty() {
                return Ok(None);
            }
            tokio::time::sleep(LOOK_INTERVAL).await;
        }
        Ok(None)
    }

    /// Before a database is started that has no receiver yet: a sender to its earlier life, which may not have noticed that its machine was
    /// lost, would keep the slot from it until `wal_sender_timeout`.
    pub(super) async fn free_slot_in_passing(&self, order: &FollowOrder) {
        let freeing = async {
            let upstream = self.upstream_session(order).await?;
            self.free_upstream_slot(&upstream).await
        };
        match tokio::time::timeout(IN_PASSING_TIMEOUT, freeing).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(error = %error.chain(), "the slot on the upstream is left as it is"),
            Err(_) => tracing::debug!("the upstream does not answer: the slot there is left as it is"),
        }
    }
}

/// Whether the upstream has the log file that holds this position, on any timeline, or has not come to it yet.
async fn has_log(upstream: &Session, position: Lsn, segment_bytes: u64) -> Result<bool, Error> {
    // A name without its timeline orders as the log does.
    let name = wal::file_name(odoo_ha_core::lsn::Timeline(0), position, segment_bytes);
    let segment = name.get(8..).unwrap_or_default();
    let row = upstream
        .row(&format!(
            "select bool_or(substr(name, 9) = '{segment}'), \
             (case when pg_is_in_recovery() then pg_last_wal_replay_lsn() else pg_current_wal_insert_lsn() end)::text \
             from pg_ls_waldir() where name ~ '^[0-9A-F]{{24}}$'"
        ))
        .await?;
    let end = row.lsn(1)?;
    Ok(row.is_true(0) || end.0 / segment_bytes.max(1) <= position.0 / segment_bytes.max(1))
}
