//! PostgreSQL streaming replication behind [`ReplicationManager`]: one data directory and the processes that serve it.
//!
//! It starts `postgres` itself and knows it by a pidfd; it speaks SQL over the Unix socket, a fresh session for each question; the
//! rest is done by PostgreSQL's own programs (`initdb`, `pg_basebackup`, `pg_rewind`, `pg_controldata`, `pg_waldump`).
//!
//! It never decides who leads, never retries an order, and never starts data that a broken-off rewind has left.
//!
//! | file | what |
//! |---|---|
//! | [`config`](PostgresConfig) | where things are; everything checked before the first order |
//! | `settings`, `access`, `standby_names`, `proof` | the settings that the agent owns, in a file of its own; who may connect |
//! | `parameters` | the configured settings, changed while the database runs |
//! | `memory` | term and copy, kept beside the data so that no clone carries them along |
//! | `start`, `stop`, `process`, `instance` | processes: begin, adopt, watch, end all of them |
//! | `freeze`, `follow` (with `delayed`), `copy`, `promote`, `synchronous` (with `dropped`), `bootstrap`, `slots`, `status` | one order each |
//! | `external` | the operator's own commands that make a copy |
//! | `archive` | log that an old leader had not archived |
//! | `missing_log` | why a standby gets nothing from the upstream that it is told to follow |
//! | `control`, `wal`, `history` | what the files say: state, end of the log, timelines |
//! | `client`, `programs`, `files`, `durable`, `user`, `secret`, `error` | the edges |

mod access;
mod archive;
mod bootstrap;
mod client;
mod config;
mod control;
mod copy;
mod delayed;
mod dropped;
mod durable;
mod error;
mod external;
mod files;
mod follow;
mod freeze;
mod history;
mod instance;
mod memory;
mod missing_log;
mod parameters;
mod process;
mod programs;
mod promote;
mod proof;
mod settings;
mod slots;
mod standby_names;
mod start;
mod status;
mod stop;
mod synchronous;
mod user;
mod wal;

use std::collections::BTreeSet;
use std::fmt;
use std::fs::File;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use odoo_ha_core::database::{
    BootstrapOrder, Bootstrapped, DatabaseStatus, FollowOrder, Followed, Frozen, PromoteOrder, Promoted,
    StartPrimaryOrder, Started, StopMode, Stopped, SynchronousOrder,
};
use odoo_ha_core::error::{Error, ErrorKind};
use odoo_ha_core::member::MemberId;
use odoo_ha_core::roles::{ReplicationCapabilities, ReplicationManager};

pub use config::PostgresConfig;

use client::{Access, Session};
use control::ControlData;
use memory::{Beside, Memory};
use process::Postmaster;
use programs::Programs;
use settings::Wanted;
use user::Owner;

/// How often a condition of the local database is looked at while an order waits for it.
const LOOK_INTERVAL: Duration = Duration::from_millis(4);

/// How long PostgreSQL's small programs (`pg_controldata`, `pg_waldump` of one record) may take.
const SMALL_PROGRAM_TIMEOUT: Duration = Duration::from_secs(10);

/// One member's PostgreSQL. Made by [`PostgresConfig::build`].
///
/// It holds the data directory for its process: a second one over the same directory is refused. Dropping it stops nothing.
pub struct PostgresReplication {
    config: PostgresConfig,
    owner: Owner,
    programs: Programs,
    beside: Beside,
    access: Access,
    spawned: Mutex<Option<Postmaster>>,
    phase: Mutex<&'static str>,
    proof: Mutex<proof::Proof>,
    changes: Arc<tokio::sync::Mutex<()>>,
    _lock: File,
}

impl fmt::Debug for PostgresReplication {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresReplication")
            .field("config", &self.config)
            .field("programs", &self.programs)
            .finish_non_exhaustive()
    }
}

impl PostgresReplication {
    fn assemble(
        config: PostgresConfig,
        owner: Owner,
        programs: Programs,
        beside: Beside,
        access: Access,
        lock: File,
    ) -> Self {
        let (spawned, phase, proof) = (Mutex::new(None), Mutex::new(""), Mutex::default());
        let changes = Arc::default();
        Self { config, owner, programs, beside, access, spawned, phase, proof, changes, _lock: lock }
    }

    /// The major version of PostgreSQL's programs.
    pub fn major_version(&self) -> u32 {
        self.programs.major()
    }

    /// The number of the database's main process, while it runs.
    pub fn postmaster_pid(&self) -> Option<i32> {
        self.postmaster().map(|postmaster| postmaster.pid())
    }

    fn data_dir(&self) -> &Path {
        &self.config.data_dir
    }

    /// The running main process: the one started here (its pid file may not be there yet), else the one that is found.
    fn postmaster(&self) -> Option<Postmaster> {
        let mut spawned = self.spawned.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(postmaster) = spawned.as_ref() {
            if !postmaster.has_exited() {
                return Some(postmaster.clone());
            }
            *spawned = None;
        }
        drop(spawned);
        Postmaster::find(self.data_dir())
    }

    /// Says what an order is waiting for, for the error if the time runs out.
    fn phase(&self, what: &'static str) {
        *self.phase.lock().unwrap_or_else(PoisonError::into_inner) = what;
    }

    /// Whether an order is at work, as far as is known: one that was dropped counts until the next has ended.
    fn is_at_work(&self) -> bool {
        !self.phase.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    /// Runs an order within its time.
    async fn within<T>(
        &self,
        timeout: Duration,
        kind: ErrorKind,
        order: &str,
        work: impl Future<Output = Result<T, Error>> + Send,
    ) -> Result<T, Error> {
        self.phase("at its beginning");
        match tokio::time::timeout(timeout, work).await {
            Ok(result) => {
                self.phase("");
                result
            }
            Err(_) => {
                let phase = *self.phase.lock().unwrap_or_else(PoisonError::into_inner);
                let what = format!(
                    "{order} on {} was not finished in {} ms: {phase}",
                    self.config.member,
                    timeout.as_millis()
                );
                Err(Error::new(kind, what))
            }
        }
    }

    /// Work that changes files. One such work after the other, in the order in which they were begun, even if the order was dropped
    /// meanwhile: so a late write of a dropped order never undoes a later order's.
    async fn change<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let turn = Arc::clone(&self.changes).lock_owned().await;
        files::blocking(move || {
            let result = work();
            drop(turn);
            result
        })
        .await
    }

    /// Returns when no work on files of a dropped order is under way.
    async fn quiet(&self) {
        drop(self.changes.lock().await);
    }

    /// What this copy remembers, after everything that an earlier order had begun to write.
    async fn recall(&self) -> Result<Memory, Error> {
        self.quiet().await;
        self.recall_now().await
    }

    async fn recall_now(&self) -> Result<Memory, Error> {
        let (beside, member) = (self.beside.clone(), self.config.member.clone());
        files::blocking(move || beside.recall(&member)).await
    }

    async fn remember(&self, memory: &Memory) -> Result<(), Error> {
        let (beside, memory) = (self.beside.clone(), memory.clone());
        self.change(move || beside.remember(&memory)).await
    }

    async fn control(&self) -> Result<ControlData, Error> {
        ControlData::read(&self.programs, self.data_dir(), SMALL_PROGRAM_TIMEOUT).await
    }

    async fn wanted(&self) -> Result<Wanted, Error> {
        let (dir, member) = (self.config.data_dir.clone(), self.config.member.clone());
        files::blocking(move || Wanted::read(&dir, &member)).await
    }

    /// Writes the agent's settings, has the running database read them, and returns once a **new** session shows them.
    async fn apply(&self, postmaster: &Postmaster, wanted: &Wanted) -> Result<Session, Error> {
        let (config, beside, owner, change) = (self.config.clone(), self.beside.clone(), self.owner, wanted.clone());
        self.change(move || settings::write(&config.data_dir, &config, &beside, &change, owner)).await?;
        postmaster.signal(rustix::process::Signal::HUP)?;
        let conninfo = wanted.conninfo(&self.config, &self.beside);
        self.phase("waiting for a new session to show the new settings");
        loop {
            let session = self.session(postmaster).await?;
            let shown = session
                .row("select current_setting('primary_conninfo'), current_setting('synchronous_standby_names')")
                .await?;
            if shown.text(0)? == conninfo && shown.text(1)? == wanted.synchronous {
                return Ok(session);
            }
            drop(session);
            tokio::time::sleep(LOOK_INTERVAL).await;
        }
    }

    /// A new session, once the database accepts one.
    async fn session(&self, postmaster: &Postmaster) -> Result<Session, Error> {
        loop {
            match self.access.local().await {
                Ok(session) => return Ok(session),
                Err(client::NoSession::Failed(error)) => return Err(error),
                Err(client::NoSession::NobodyListens | client::NoSession::NotYet) => {
                    if postmaster.has_exited() {
                        return Err(error::not_ready("the database's main process has ended"));
                    }
                    tokio::time::sleep(LOOK_INTERVAL).await;
                }
            }
        }
    }
}

#[async_trait]
impl ReplicationManager for PostgresReplication {
    fn capabilities(&self) -> ReplicationCapabilities {
        ReplicationCapabilities::new(true, true, true)
    }

    async fn status(&self, timeout: Duration) -> Result<DatabaseStatus, Error> {
        self.observe(timeout).await
    }

    async fn exited(&self) {
        if let Some(postmaster) = self.postmaster()
            && let Err(error) = postmaster.exited().await
        {
            tracing::warn!(member = %self.config.member, error = %error.chain(), "the database's main process is watched by looking");
            while !postmaster.has_exited() {
                tokio::time::sleep(LOOK_INTERVAL).await;
            }
        }
    }

    async fn bootstrap(&self, order: &BootstrapOrder, timeout: Duration) -> Result<Bootstrapped, Error> {
        self.within(timeout, ErrorKind::Unknown, "bootstrap", self.begin_cluster(order)).await
    }

    async fn start_primary(&self, order: &StartPrimaryOrder, timeout: Duration) -> Result<Started, Error> {
        self.within(timeout, ErrorKind::Unknown, "start", self.start_as_primary(order)).await
    }

    async fn checkpoint(&self, timeout: Duration) -> Result<(), Error> {
        self.within(timeout, ErrorKind::Unknown, "checkpoint", self.write_checkpoint()).await
    }

    async fn stop(&self, mode: StopMode, timeout: Duration) -> Result<Stopped, Error> {
        self.within(timeout, ErrorKind::Unknown, "stop", self.stop_all(mode, timeout)).await
    }

    async fn follow(&self, order: &FollowOrder, timeout: Duration) -> Result<Followed, Error> {
        self.within(timeout, ErrorKind::Unknown, "follow", self.follow_upstream(order, timeout)).await
    }

    async fn freeze(&self, timeout: Duration) -> Result<Frozen, Error> {
        self.within(timeout, ErrorKind::NotReady, "freeze", self.receive_nothing(timeout)).await
    }

    async fn promote(&self, order: &PromoteOrder, timeout: Duration) -> Result<Promoted, Error> {
        self.within(timeout, ErrorKind::Unknown, "promotion", self.become_primary(order)).await
    }

    async fn set_synchronous(&self, order: &SynchronousOrder, timeout: Duration) -> Result<(), Error> {
        let kind = if order.barrier { ErrorKind::NotReady } else { ErrorKind::Unknown };
        self.within(timeout, kind, "change of the synchronous standbys", self.change_synchronous(order)).await
    }

    async fn keep_slots(&self, members: &BTreeSet<MemberId>, timeout: Duration) -> Result<(), Error> {
        self.within(timeout, ErrorKind::Unknown, "keeping slots", self.keep_slots_of(members)).await
    }
}
