//! Promotion: remembered first, then made to choose the reserved timeline, then read from a new session that it happened.

use std::time::Duration;

use odoo_ha_core::database::{PromoteOrder, Promoted, SynchronousStandbys};
use odoo_ha_core::error::{Error, ErrorKind};
use odoo_ha_core::lsn::{Lsn, Timeline};
use odoo_ha_core::member::SystemId;

use super::client::Session;
use super::error::{misconfigured, not_ready};
use super::process::Postmaster;
use super::{LOOK_INTERVAL, PostgresReplication, files, history};

/// How long a restart point before the promotion may take.
const RESTART_POINT_TIMEOUT: Duration = Duration::from_millis(300);

/// What is read of a database that may have left recovery.
const ROLE: &str = "select pg_is_in_recovery(), \
     case when not pg_is_in_recovery() then pg_walfile_name(pg_current_wal_insert_lsn()) end, \
     case when not pg_is_in_recovery() then pg_current_wal_flush_lsn() end";

impl PostgresReplication {
    pub(super) async fn become_primary(&self, order: &PromoteOrder) -> Result<Promoted, Error> {
        let mut memory = self.recall().await?;
        memory.check_term(order.term)?;
        let Some(postmaster) = self.postmaster() else {
            return Err(not_ready("the database does not run").hint("freeze it first"));
        };
        self.phase("opening a session");
        let session = self.session(&postmaster).await?;
        let row = session.row("select system_identifier from pg_control_system()").await?;
        let found = SystemId(row.parse(0)?);
        if found != order.system_id {
            return Err(misconfigured(format!(
                "the local data are of another cluster (system identifier {found}, not {})",
                order.system_id
            )));
        }
        if !session.row(ROLE).await?.is_true(0) {
            if memory.term == order.term && memory.reserved == Some(order.timeline) {
                return self.promoted(&postmaster, order).await;
            }
            return Err(not_ready("the database runs as primary already, of another reign").hint("stop it first"));
        }
        let own = self.check_may_be_promoted(&session, order).await?;
        drop(session);
        (memory.term, memory.reserved) = (order.term, Some(order.timeline));
        self.remember(&memory).await?;
        self.phase("setting the synchronous standbys before the promotion");
        let wanted = self.wanted().await?.following(None).waiting_for(&order.synchronous);
        let session = self.apply(&postmaster, &wanted).await?;
        if order.synchronous != SynchronousStandbys::Nobody {
            // The checkpointer passes the setting on to those who commit: a restart point that ends has made it read it. A long one is
            // not waited for; that commits wait is made sure of after the promotion, before anybody is told.
            let _in_time = tokio::time::timeout(RESTART_POINT_TIMEOUT, session.run("checkpoint")).await;
        }
        let session = self.session(&postmaster).await?;
        self.keep_slots_in(&session, &order.members).await?;
        let (dir, owner, timeline) = (self.config.data_dir.clone(), self.owner, order.timeline);
        self.change(move || history::reserve(&dir, own, timeline, owner)).await?;
        self.phase("waiting for recovery to end; the promotion goes on");
        if !session.row("select pg_promote(false)").await?.is_true(0) {
            return Err(not_ready("PostgreSQL refused to promote itself").hint("its log says why"));
        }
        while session.row("select pg_is_in_recovery()").await?.is_true(0) {
            tokio::time::sleep(LOOK_INTERVAL).await;
        }
        drop(session);
        self.promoted(&postmaster, order).await
    }

    /// The timeline that the data are on, if they may be promoted.
    async fn check_may_be_promoted(&self, session: &Session, order: &PromoteOrder) -> Result<Timeline, Error> {
        let row = session
            .row(
                "select current_setting('primary_conninfo'), pg_last_wal_replay_lsn(), \
                 (select greatest(c.timeline_id, r.min_recovery_end_timeline) from pg_control_checkpoint() c, pg_control_recovery() r), \
                 (select setting::bigint from pg_settings where name = 'wal_segment_size'), \
                 (select count(*) from pg_stat_activity where backend_type = 'walreceiver')",
            )
            .await?;
        if !row.text(0)?.is_empty() || row.parse::<u32>(4)? > 0 {
            return Err(not_ready("the database still receives from an upstream").hint("freeze it first"));
        }
        let replayed = row.lsn(1)?;
        if replayed < order.at_least {
            return Err(not_ready(format!("the data end at {replayed} and must reach {}", order.at_least)));
        }
        let (dir, known, segment_bytes) = (self.config.data_dir.clone(), Timeline(row.parse(2)?), row.parse(3)?);
        files::blocking(move || history::timeline_of_end(&dir, known, replayed, segment_bytes)).await
    }

    /// Reads from a new session what the database has become.
    async fn promoted(&self, postmaster: &Postmaster, order: &PromoteOrder) -> Result<Promoted, Error> {
        self.phase("reading the new timeline");
        let session = self.session(postmaster).await?;
        let row = session.row(ROLE).await?;
        let timeline = row.timeline_of_file(1)?;
        if row.is_true(0) || timeline != order.timeline {
            return Err(Error::new(
                ErrorKind::Unknown,
                format!("the database left recovery on timeline {timeline}, not on the reserved {}", order.timeline),
            )
            .hint("stop it: the number belongs to another reign; is there an archive with foreign history files?"));
        }
        let dir = self.config.data_dir.clone();
        let history = files::blocking(move || history::read(&dir, timeline)).await?;
        let switch_lsn = history.map_or(Lsn(0), |history| history.switch_lsn());
        self.in_force(postmaster, &order.synchronous).await?;
        // Who rewinds against this database must see a checkpoint on the new timeline; PostgreSQL's own may take minutes.
        tokio::spawn(async move {
            if let Err(error) = session.run("checkpoint").await {
                tracing::debug!(error = %error.chain(), "the checkpoint after promotion did not end");
            }
        });
        Ok(Promoted { timeline, switch_lsn, lsn: row.lsn(2)? })
    }
}
