//! Who must acknowledge a commit, and the barrier: PostgreSQL says "sync" before it is in force (protocol rule 20).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::PoisonError;

use odoo_ha_core::database::{SynchronousOrder, SynchronousStandbys};
use odoo_ha_core::error::Error;
use odoo_ha_core::lsn::Lsn;
use odoo_ha_core::member::MemberId;

use super::client::Session;
use super::error::{malformed, not_ready};
use super::process::Postmaster;
use super::proof::{Before, Proof};
use super::{LOOK_INTERVAL, PostgresReplication, standby_names};

/// A commit that waits for the synchronous standbys as any other does.
const CANARY: &str =
    "begin; set local synchronous_commit = on; select pg_logical_emit_message(true, 'odoo_ha', 'canary'); commit";

/// A commit that waits for nobody.
const LOCAL_RECORD: &str =
    "begin; set local synchronous_commit = local; select pg_logical_emit_message(true, 'odoo_ha', ''); commit";

/// A WAL sender: the priority that it gives itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sender {
    /// PostgreSQL compares names without regard to case. `None`: a name that no member can have.
    pub(super) member: Option<MemberId>,
    pub(super) priority: u32,
    pub(super) flushed: Lsn,
    /// It is the only one of its name and holds its member's slot.
    pub(super) counts: bool,
    /// It was started after the session's settings were read.
    pub(super) is_newer: bool,
}

impl PostgresReplication {
    pub(super) async fn change_synchronous(&self, order: &SynchronousOrder) -> Result<(), Error> {
        check(&order.standbys)?;
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
        // A sender that is younger than what this session has read was started with the value that this session shows.
        let young = senders(&session).await?.into_iter().filter(|(_, sender)| sender.is_newer).map(|(pid, _)| pid);
        let before = Before { text: row.text(1)?.to_owned(), young: young.collect() };
        drop(session);
        let wanted = self.wanted().await?.waiting_for(&order.standbys);
        self.proven(|proof| proof.begin(postmaster.pid(), &before, &wanted.synchronous));
        let session = self.apply(&postmaster, &wanted).await?;
        let now = standby_names::names(&wanted.synchronous);
        let dropped = standby_names::names(&before.text).into_iter().filter(|name| !now.contains(name)).collect();
        if !order.barrier || order.standbys == SynchronousStandbys::Nobody {
            self.end_silent_senders(session, &dropped);
            return Ok(());
        }
        if !self.proven(|proof| proof.checkpointer()) {
            self.phase("waiting for the checkpointer to take the new value");
            // It passes the setting on to those who commit; a checkpoint that begins now begins after it has read the setting.
            session.run("checkpoint").await?;
            self.proven(Proof::checkpointer_has_it);
        }
        self.phase("waiting for every WAL sender to take the new value");
        self.taken_by_senders(&session, &before).await?;
        self.phase("waiting for the named standbys to flush what could have been acknowledged");
        flushed_by(&session, &order.standbys).await?;
        self.end_silent_senders(session, &dropped);
        Ok(())
    }

    fn proven<T>(&self, look: impl FnOnce(&mut Proof) -> T) -> T {
        look(&mut self.proof.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Each sender is known to have the new value. One of which it cannot be known by what it shows is ended, and its standby comes back to
    /// one that was started with it.
    async fn taken_by_senders(&self, session: &Session, before: &Before) -> Result<(), Error> {
        let mut ended: BTreeSet<i32> = BTreeSet::new();
        loop {
            let mut all_have = true;
            for (pid, sender) in &senders(session).await? {
                if self.proven(|proof| proof.has_taken(*pid, sender, before)) {
                    continue;
                }
                all_have = false;
                if self.proven(|proof| proof.shows_expected(sender)) && ended.insert(*pid) {
                    session.rows(&format!("select pg_terminate_backend({pid})")).await?;
                }
            }
            if all_have {
                self.proven(Proof::all_senders_have_it);
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

/// Refuses a quorum that cannot be: PostgreSQL would accept it, and no commit would ever end.
fn check(standbys: &SynchronousStandbys) -> Result<(), Error> {
    match standbys {
        SynchronousStandbys::AnyOf { k, names } if *k == 0 || *k as usize > names.len() => {
            Err(malformed(format!("{k} of {} standbys cannot acknowledge", names.len())))
        }
        SynchronousStandbys::AllOf(names) if names.is_empty() => {
            Err(malformed("all of no standbys cannot acknowledge"))
        }
        SynchronousStandbys::Nobody | SynchronousStandbys::AllOf(_) | SynchronousStandbys::AnyOf { .. } => Ok(()),
    }
}

/// As many of the named as the value demands (of all-of-n, all) have flushed everything that was acknowledged before: so each set of voters
/// that the sync record admits then has one of them.
async fn flushed_by(session: &Session, standbys: &SynchronousStandbys) -> Result<(), Error> {
    let end = session.row("select pg_current_wal_insert_lsn()").await?.lsn(0)?;
    // A record after it: else an idle log's end is never flushed past a page's header.
    session.run(LOCAL_RECORD).await?;
    loop {
        let now = senders(session).await?;
        let reached: BTreeSet<&MemberId> = now
            .values()
            .filter(|sender| sender.counts && sender.flushed >= end)
            .filter_map(|sender| sender.member.as_ref())
            .filter(|member| standbys.names(member))
            .collect();
        if reached.len() >= standbys.required() {
            return Ok(());
        }
        tokio::time::sleep(LOOK_INTERVAL).await;
    }
}

/// The WAL senders, by process.
async fn senders(session: &Session) -> Result<BTreeMap<i32, Sender>, Error> {
    let rows = session
        .rows(
            "select r.pid, lower(r.application_name), coalesce(r.sync_priority, 0), coalesce(r.flush_lsn, '0/0'), \
             s.active_pid is not distinct from r.pid and count(*) over (partition by lower(r.application_name)) = 1, \
             r.backend_start > pg_conf_load_time() \
             from pg_stat_replication r left join pg_replication_slots s on s.slot_name = 'odoo_ha_' || r.application_name",
        )
        .await?;
    let mut found = BTreeMap::new();
    for row in &rows {
        let member = MemberId::new(row.text(1)?).ok();
        let (priority, flushed, counts, is_newer) = (row.parse(2)?, row.lsn(3)?, row.is_true(4), row.is_true(5));
        found.insert(row.parse(0)?, Sender { member, priority, flushed, counts, is_newer });
    }
    Ok(found)
}
