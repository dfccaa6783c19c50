//! Who must acknowledge a commit, and the barrier: PostgreSQL says "sync" before it is in force (protocol rule 20).

use std::collections::{BTreeMap, BTreeSet};

use odoo_ha_core::database::{SynchronousOrder, SynchronousStandbys};
use odoo_ha_core::error::Error;
use odoo_ha_core::lsn::Lsn;
use odoo_ha_core::member::MemberId;

use super::client::Session;
use super::error::not_ready;
use super::{LOOK_INTERVAL, PostgresReplication, standby_names};

/// A WAL sender: its process, and the priority that it gives itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Sender {
    pid: i32,
    priority: u32,
    flushed: Lsn,
    /// It is the only one of its name and holds its member's slot.
    counts: bool,
}

impl PostgresReplication {
    pub(super) async fn change_synchronous(&self, order: &SynchronousOrder) -> Result<(), Error> {
        self.recall().await?.check_term(order.term)?;
        let Some(postmaster) = self.postmaster() else { return Err(not_ready("the database does not run")) };
        self.phase("opening a session");
        let session = self.session(&postmaster).await?;
        let row = session.row("select pg_is_in_recovery(), current_setting('synchronous_standby_names')").await?;
        if row.is_true(0) {
            return Err(not_ready("the database is a standby: nobody waits for its standbys"));
        }
        let before = standby_names::names(row.text(1)?);
        let senders = senders(&session).await?;
        drop(session);
        let wanted = self.wanted().await?.waiting_for(&order.standbys);
        let session = self.apply(&postmaster, &wanted).await?;
        if !order.barrier || order.standbys == SynchronousStandbys::Nobody {
            return Ok(());
        }
        self.phase("waiting for the checkpointer to take the new value");
        // It passes the setting on to those who commit; a checkpoint that begins now begins after it has read the setting.
        session.run("checkpoint").await?;
        self.phase("waiting for every WAL sender to take the new value");
        self.taken_by_senders(&session, &senders, &wanted.synchronous).await?;
        self.phase("waiting for the named standbys to flush what could have been acknowledged");
        self.flushed_by(&session, &order.standbys, &before).await
    }

    /// Each sender shows the priority that the new value gives it. One that showed the same before proves nothing: it is ended, and
    /// comes back with the new value.
    async fn taken_by_senders(&self, session: &Session, before: &BTreeMap<i32, (MemberId, Sender)>, text: &str) -> Result<(), Error> {
        let mut ended: BTreeSet<i32> = BTreeSet::new();
        loop {
            let now = senders(session).await?;
            let mut all_have = true;
            for (pid, (member, sender)) in &now {
                let expected = standby_names::priority(text, member);
                // Without a priority before and after, it never releases anybody.
                let shows_it = before.get(pid).is_none_or(|(_, old)| old.priority != expected || expected == 0);
                if sender.priority != expected {
                    all_have = false;
                } else if !shows_it {
                    all_have = false;
                    if ended.insert(*pid) {
                        session.rows(&format!("select pg_terminate_backend({pid})")).await?;
                    }
                }
            }
            if all_have {
                return Ok(());
            }
            tokio::time::sleep(LOOK_INTERVAL).await;
        }
    }

    /// The newly named have flushed all that was acknowledged before, and as many of the named as the new value demands.
    async fn flushed_by(&self, session: &Session, standbys: &SynchronousStandbys, before: &[MemberId]) -> Result<(), Error> {
        let end = session.row("select pg_current_wal_insert_lsn()").await?.lsn(0)?;
        // A record after it: else an idle log's end is never flushed past a page's header.
        session
            .run("begin; set local synchronous_commit = local; select pg_logical_emit_message(true, 'odoo_ha', ''); commit")
            .await?;
        loop {
            let now = senders(session).await?;
            let reached: BTreeSet<&MemberId> = now
                .values()
                .filter(|(member, sender)| sender.counts && sender.flushed >= end && standbys.names(member))
                .map(|(member, _)| member)
                .collect();
            let names = match standbys {
                SynchronousStandbys::Nobody => return Ok(()),
                SynchronousStandbys::AllOf(names) | SynchronousStandbys::AnyOf { names, .. } => names,
            };
            let new_ones = names.iter().filter(|name| !before.contains(name));
            if reached.len() >= standbys.required() && new_ones.into_iter().all(|name| reached.contains(name)) {
                return Ok(());
            }
            tokio::time::sleep(LOOK_INTERVAL).await;
        }
    }
}

/// The WAL senders of members, by process.
async fn senders(session: &Session) -> Result<BTreeMap<i32, (MemberId, Sender)>, Error> {
    let rows = session
        .rows(
            "select r.pid, r.application_name, coalesce(r.sync_priority, 0), coalesce(r.flush_lsn, '0/0'), \
             s.active_pid is not distinct from r.pid and count(*) over (partition by r.application_name) = 1 \
             from pg_stat_replication r left join pg_replication_slots s on s.slot_name = 'odoo_ha_' || r.application_name",
        )
        .await?;
    let mut found = BTreeMap::new();
    for row in &rows {
        let Ok(member) = MemberId::new(row.text(1)?) else { continue };
        let pid = row.parse(0)?;
        let sender = Sender { pid, priority: row.parse(2)?, flushed: row.lsn(3)?, counts: row.is_true(4) };
        found.insert(pid, (member, sender));
    }
    Ok(found)
}
