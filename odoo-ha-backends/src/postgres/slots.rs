//! Physical replication slots: every member keeps one for each other, so that the log is still there when roles change.

use std::collections::{BTreeMap, BTreeSet};

use odoo_ha_core::error::Error;
use odoo_ha_core::member::MemberId;

use super::PostgresReplication;
use super::client::Session;
use super::error::not_ready;
use super::settings::{SLOT_PREFIX, slot_name};

impl PostgresReplication {
    pub(super) async fn keep_slots_of(&self, members: &BTreeSet<MemberId>) -> Result<(), Error> {
        let Some(postmaster) = self.postmaster() else {
            return Err(not_ready("the database does not run"));
        };
        let session = self.session(&postmaster).await?;
        self.keep_slots_in(&session, members).await
    }

    pub(super) async fn keep_slots_in(&self, session: &Session, members: &BTreeSet<MemberId>) -> Result<(), Error> {
        self.phase("keeping a slot for each member");
        let wanted: BTreeSet<String> =
            members.iter().filter(|member| **member != self.config.member).map(slot_name).collect();
        let rows = session
            .rows(&format!(
                "select slot_name, active, coalesce(wal_status, '') = 'lost' from pg_replication_slots \
                 where slot_type = 'physical' and slot_name like '{}%'",
                SLOT_PREFIX.replace('_', "\\_")
            ))
            .await?;
        let mut present = BTreeMap::new();
        for row in &rows {
            present.insert(row.text(0)?.to_owned(), (row.is_true(1), row.is_true(2)));
        }
        for (name, (active, lost)) in &present {
            if *lost {
                self.warn_of_lost(name);
            }
            if !active && (*lost || !wanted.contains(name)) {
                session.row(&format!("select pg_drop_replication_slot('{name}')")).await?;
            }
        }
        for name in &wanted {
            if present.get(name).is_none_or(|(active, lost)| *lost && !active) {
                make_slot(session, name).await?;
            }
        }
        self.advance_on_standby(session, &wanted).await
    }

    fn warn_of_lost(&self, slot: &str) {
        tracing::warn!(
            member = %self.config.member,
            slot,
            "more log was written than may be kept for its member (max_slot_wal_keep_size): the slot is made anew, and the member is cloned \
             if it lacks what is gone"
        );
    }

    /// The own slot on the upstream, so that what is streamed from now on is kept. One that has lost its log serves nobody: it is made anew.
    pub(super) async fn ensure_upstream_slot(&self, upstream: &Session) -> Result<(), Error> {
        let name = slot_name(&self.config.member);
        let lost = format!(
            "select from pg_replication_slots where slot_name = '{name}' and wal_status = 'lost' and not active"
        );
        if !upstream.rows(&lost).await?.is_empty() {
            self.warn_of_lost(&name);
            // The upstream's own agent may be about to do the same.
            if let Err(error) = upstream.rows(&format!("select pg_drop_replication_slot('{name}')")).await {
                tracing::debug!(error = %error.chain(), "the slot was dropped by somebody else");
            }
        }
        make_slot(upstream, &name).await
    }

    /// Nobody streams from a standby's slots, so they would keep the log for ever: they follow its replay at the distance that is
    /// kept for members anyway.
    async fn advance_on_standby(&self, session: &Session, wanted: &BTreeSet<String>) -> Result<(), Error> {
        let keep_bytes = u64::from(self.config.wal_keep_mb) * 1024 * 1024;
        for name in wanted {
            session
                .rows(&format!(
                    "select pg_replication_slot_advance(slot_name, pg_last_wal_replay_lsn() - {keep_bytes}::numeric) \
                     from pg_replication_slots where slot_name = '{name}' and not active and pg_is_in_recovery() \
                     and pg_wal_lsn_diff(pg_last_wal_replay_lsn(), restart_lsn) > {keep_bytes}"
                ))
                .await?;
        }
        Ok(())
    }
}

/// Makes a slot unless it is there. The leader and the member itself may both be about to: whoever is late finds it made.
///
/// Reserved from now on, not from the first connection: WAL of the meantime is what a returning member needs.
pub(super) async fn make_slot(session: &Session, name: &str) -> Result<(), Error> {
    let there = format!("select from pg_replication_slots where slot_name = '{name}'");
    let sql = format!("select pg_create_physical_replication_slot('{name}', true) where not exists ({there})");
    match session.rows(&sql).await {
        Ok(_) => Ok(()),
        Err(_) if !session.rows(&there).await?.is_empty() => Ok(()),
        Err(error) => Err(error),
    }
}
