//! Who must acknowledge a commit, and the barrier: PostgreSQL says "sync" before it is in force (protocol rule 20).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::PoisonError;

use odoo_ha_core::database::{SynchronousOrder, SynchronousStandbys};
use odoo_ha_core::error::Error;
use odoo_ha_core::lsn::Lsn;
use odoo_ha_core::member::MemberId;

use super::client::Session;
use super::error::not_ready;
use super::process::Postmaster;
use super::{LOOK_INTERVAL, PostgresReplication, standby_names};

/// A commit that waits for the synchronous standbys as any other does.
const CANARY: &str =
    "begin; set local synchronous_commit = on; select pg_logical_emit_message(true, 'odoo_ha', 'canary'); commit";

/// A commit that waits for nobody.
const LOCAL_RECORD: &str =
    "begin; set local synchronous_commit = local; select pg_logical_emit_message(true, 'odoo_ha', ''); commit";

/// Which processes are known to have taken which value: a repeated order need not disturb them again.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Proof {
    postmaster: i32,
    text: String,
    checkpointer: bool,
    senders: BTreeSet<i32>,
}

/// A WAL sender: the priority that it gives itself.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Sender {
    member: MemberId,
    priority: u32,
    flushed: Lsn,
    /// It is the only one of its name and holds its member's slot.
    counts: bool,
    /// It was started after the session's settings were read.
    is_newer: bool,
}

impl PostgresReplication {
    pub(super) async fn change_synchronous(&self, order: &SynchronousOrder) -> Result<(), Error> {
        self.recall().await?.check_term(order.term)?;
        let Some(postmaster) = self.postmaster() else {
            return Err(not_ready("the database does not run"));
        };
        self.phase("opening a session");
        let session = self.session(&postmaster).await?;
        let row = session.row("select pg_is_in_recovery(), current_setting('synchronous_standby_names')").await?;
        if row.is_true(0) {
            return Err(not_ready("the database is a standby: nobody waits for its standbys"));
        }
        let before = row.text(1)?.to_owned();
        drop(session);
        let wanted = self.wanted().await?.waiting_for(&order.standbys);
        let text = &wanted.synchronous;
        self.begin_proof(&postmaster, text);
        let session = self.apply(&postmaster, &wanted).await?;
        if !order.barrier || order.standbys == SynchronousStandbys::Nobody {
            let now = standby_names::names(text);
            let dropped = standby_names::names(&before).into_iter().filter(|name| !now.contains(name)).collect();
            self.end_silent_senders(session, &dropped);
            return Ok(());
        }
        if !self.proven(|proof| proof.checkpointer) {
            self.phase("waiting for the checkpointer to take the new value");
            // It passes the setting on to those who commit; a checkpoint that begins now begins after it has read the setting.
            session.run("checkpoint").await?;
            self.proven(|proof| std::mem::replace(&mut proof.checkpointer, true));
        }
        self.phase("waiting for every WAL sender to take the new value");
        self.taken_by_senders(&session, &before, text).await?;
        self.phase("waiting for the named standbys to flush what could have been acknowledged");
        self.flushed_by(&session, &order.standbys, &standby_names::names(&before)).await
    }

    fn begin_proof(&self, postmaster: &Postmaster, text: &str) {
        let mut proof = self.proof.lock().unwrap_or_else(PoisonError::into_inner);
        if proof.postmaster != postmaster.pid() || proof.text != text {
            *proof = Proof { postmaster: postmaster.pid(), text: text.to_owned(), ..Proof::default() };
        }
    }

    fn proven<T>(&self, look: impl FnOnce(&mut Proof) -> T) -> T {
        look(&mut self.proof.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Each sender shows the priority that the new value gives it. One to which the old value gave the same proves nothing by that: unless
    /// it is younger than the new value, it is ended and comes back with it.
    async fn taken_by_senders(&self, session: &Session, before: &str, text: &str) -> Result<(), Error> {
        let is_foreign = standby_names::parse(before).is_none();
        let mut ended: BTreeSet<i32> = BTreeSet::new();
        loop {
            let mut all_have = true;
            for (pid, sender) in &senders(session).await? {
                let expected = standby_names::priority(text, &sender.member);
                let changed = !is_foreign && standby_names::priority(before, &sender.member) != expected;
                // Without a priority it never releases anybody.
                let shows_it = expected == 0 || changed || sender.is_newer || self.proven(|p| p.senders.contains(pid));
                if sender.priority != expected {
                    all_have = false;
                } else if shows_it {
                    self.proven(|proof| proof.senders.insert(*pid));
                } else {
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
    async fn flushed_by(
        &self,
        session: &Session,
        standbys: &SynchronousStandbys,
        before: &[MemberId],
    ) -> Result<(), Error> {
        let names = match standbys {
            SynchronousStandbys::Nobody => return Ok(()),
            SynchronousStandbys::AllOf(names) | SynchronousStandbys::AnyOf { names, .. } => names,
        };
        let end = session.row("select pg_current_wal_insert_lsn()").await?.lsn(0)?;
        // A record after it: else an idle log's end is never flushed past a page's header.
        session.run(LOCAL_RECORD).await?;
        loop {
            let now = senders(session).await?;
            let has_flushed =
                |sender: &&Sender| sender.counts && sender.flushed >= end && names.contains(&sender.member);
            let reached: BTreeSet<&MemberId> = now.values().filter(has_flushed).map(|sender| &sender.member).collect();
            let mut new_ones = names.iter().filter(|name| !before.contains(name));
            if reached.len() >= standbys.required() && new_ones.all(|name| reached.contains(name)) {
                return Ok(());
            }
            tokio::time::sleep(LOOK_INTERVAL).await;
        }
    }

    /// Makes sure of a database that has just become primary that its commits wait: one of the agent's own is seen waiting (nobody streams
    /// from it yet, as a rule), else a checkpoint is written.
    pub(super) async fn in_force(&self, postmaster: &Postmaster, standbys: &SynchronousStandbys) -> Result<(), Error> {
        if *standbys == SynchronousStandbys::Nobody {
            return Ok(());
        }
        self.phase("waiting for commits to wait for the synchronous standbys");
        let (canary, session) = (self.session(postmaster).await?, self.session(postmaster).await?);
        let pid: i32 = canary.row("select pg_backend_pid()").await?.parse(0)?;
        let commit = canary.run(CANARY);
        let seen_waiting = async {
            let look = format!("select from pg_stat_activity where pid = {pid} and wait_event = 'SyncRep'");
            while session.rows(&look).await?.is_empty() {
                tokio::time::sleep(LOOK_INTERVAL).await;
            }
            Ok::<(), Error>(())
        };
        let seen = tokio::select! {
            seen = seen_waiting => seen.map(|()| true)?,
            committed = commit => committed.map(|()| false)?,
        };
        if !seen {
            return session.run("checkpoint").await;
        }
        // Its process would go on waiting; the commit is there, and says nothing.
        session.rows(&format!("select pg_terminate_backend({pid})")).await?;
        Ok(())
    }
}

/// The WAL senders of members, by process.
async fn senders(session: &Session) -> Result<BTreeMap<i32, Sender>, Error> {
    let rows = session
        .rows(
            "select r.pid, r.application_name, coalesce(r.sync_priority, 0), coalesce(r.flush_lsn, '0/0'), \
             s.active_pid is not distinct from r.pid and count(*) over (partition by r.application_name) = 1, \
             r.backend_start > pg_conf_load_time() \
             from pg_stat_replication r left join pg_replication_slots s on s.slot_name = 'odoo_ha_' || r.application_name",
        )
        .await?;
    let mut found = BTreeMap::new();
    for row in &rows {
        let Ok(member) = MemberId::new(row.text(1)?) else {
            continue;
        };
        let (priority, flushed, counts, is_newer) = (row.parse(2)?, row.lsn(3)?, row.is_true(4), row.is_true(5));
        found.insert(row.parse(0)?, Sender { member, priority, flushed, counts, is_newer });
    }
    Ok(found)
}
