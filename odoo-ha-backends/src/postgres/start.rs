//! Starting the database: nothing of an earlier run is left, the agent's settings stand, and it is known until it ends.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::Stdio;
use std::sync::PoisonError;
use std::time::Duration;

use odoo_ha_core::database::{StartPrimaryOrder, Started};
use odoo_ha_core::error::{Error, ErrorKind};

use super::client::{NoSession, Session};
use super::control::ClusterState;
use super::error::{self, kind_of_words, misconfigured, not_ready, telling_line};
use super::instance::{self, Instance};
use super::process::Postmaster;
use super::programs::{data_version, supported};
use super::settings::{self, Wanted};
use super::{LOOK_INTERVAL, PostgresReplication, files, history};

/// The server's log is put aside when it has grown to this, so that two of them are the most there is.
const MAX_LOG_BYTES: u64 = 16 * 1024 * 1024;

/// How much of the log's end is read to say why a start failed.
const LOG_TAIL_BYTES: u64 = 16 * 1024;

/// How long processes that an ended database left behind may take to die of SIGKILL before a start is refused.
const LEFTOVERS_TIMEOUT: Duration = Duration::from_secs(5);

/// As what the data are started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum As {
    /// Accepting writes.
    Primary,
    /// In recovery.
    Standby,
}

/// A database that is starting.
pub(super) struct Starting {
    pub(super) postmaster: Postmaster,
    log_from: u64,
}

impl PostgresReplication {
    /// Begins the process. It may fail later, or take long to recover.
    pub(super) async fn launch(&self, wanted: &Wanted, role: As) -> Result<Starting, Error> {
        self.clear_leftovers().await?;
        self.forget_broken_promotion(role).await?;
        let (config, beside, owner, change) = (self.config.clone(), self.beside.clone(), self.owner, wanted.clone());
        let log = self.change(move || {
            let dir = &config.data_dir;
            files::remove(&dir.join("postmaster.pid"))?;
            settings::prepare(dir, &config, &beside, &change, owner)?;
            if role == As::Standby {
                mark_standby(dir, owner)?;
            }
            open_log(&beside.log(), owner)
        });
        let (log, log_from) = log.await?;
        let failed = |source| error::io("the server's log cannot be used", source);
        let mut command = self.programs.command("postgres");
        command.arg("-D").arg(self.data_dir()).current_dir(self.data_dir());
        command.env(instance::MARK, self.data_dir());
        command.stdout(Stdio::from(log.try_clone().map_err(failed)?)).stderr(Stdio::from(log));
        let mut child = command.spawn().map_err(|source| self.programs.cannot_start("postgres", source))?;
        let pid = child.id().and_then(|pid| i32::try_from(pid).ok());
        let postmaster = pid.and_then(|pid| Postmaster::adopt(pid, self.data_dir()));
        // Waited for to its end, so that it never stays behind as a zombie; the task holds nothing of this object.
        tokio::spawn(async move {
            let _status = child.wait().await;
        });
        let Some(postmaster) = postmaster else {
            return Err(self.why_it_ended(log_from));
        };
        *self.spawned.lock().unwrap_or_else(PoisonError::into_inner) = Some(postmaster.clone());
        tracing::info!(member = %self.config.member, pid = postmaster.pid(), ?role, "database started");
        Ok(Starting { postmaster, log_from })
    }

    /// A session with a database that was just started, once it accepts one.
    pub(super) async fn accepted(&self, starting: &Starting) -> Result<Session, Error> {
        self.phase("waiting for the database to accept connections");
        loop {
            if starting.postmaster.has_exited() {
                return Err(self.why_it_ended(starting.log_from));
            }
            // The pid file tells without filling the server's log with refused connections.
            if accepts_by_its_word(self.data_dir(), starting.postmaster.pid()) {
                match self.access.local().await {
                    Ok(session) => return Ok(session),
                    Err(NoSession::Failed(error)) => return Err(error),
                    Err(NoSession::NobodyListens | NoSession::NotYet) => {}
                }
            }
            tokio::time::sleep(LOOK_INTERVAL).await;
        }
    }

    fn why_it_ended(&self, log_from: u64) -> Error {
        let said = files::tail(&self.beside.log(), log_from, LOG_TAIL_BYTES);
        let line = telling_line(&said);
        if said.contains("Address already in use") || said.contains("could not create any TCP/IP sockets") {
            return misconfigured(format!(
                "port {} on {} is taken: {line}",
                self.config.endpoint.port, self.config.endpoint.host
            ))
            .hint("stop what listens there, or give this member another port");
        }
        let kind = kind_of_words(&said);
        let log = format!("its log is {}", self.beside.log().display());
        let hint = error::hint_of(kind).map_or(log.clone(), |hint| format!("{hint}; {log}"));
        Error::new(kind, format!("the database ended while it was starting: {line}")).hint(hint)
    }

    /// Ends what a database whose main process is gone has left: it could still write to the data.
    pub(super) async fn clear_leftovers(&self) -> Result<(), Error> {
        let mut instance = Instance::default();
        let begun = tokio::time::Instant::now();
        while instance.kill(&[self.data_dir(), self.programs.work_dir()]) > 0 {
            if begun.elapsed() > LEFTOVERS_TIMEOUT {
                return Err(Error::new(ErrorKind::Unknown, "processes of an earlier run do not die of SIGKILL")
                    .hint("they hang in the kernel, on a disk most likely"));
            }
            tokio::time::sleep(LOOK_INTERVAL).await;
        }
        Ok(())
    }

    /// A promotion that was broken off before the database served leaves a history file that would make the next one choose a
    /// higher number than the reign has reserved.
    async fn forget_broken_promotion(&self, role: As) -> Result<(), Error> {
        let Some(reserved) = self.recall().await?.reserved else {
            return Ok(());
        };
        if role == As::Primary || self.control().await?.timeline() >= reserved {
            return Ok(());
        }
        let dir = self.config.data_dir.clone();
        self.change(move || history::forget(&dir, reserved)).await
    }

    pub(super) async fn start_as_primary(&self, order: &StartPrimaryOrder) -> Result<Started, Error> {
        let mut memory = self.recall().await?;
        if order.term != memory.term {
            return Err(Error::new(
                ErrorKind::Fenced,
                format!("the data of {} are of term {}, not {}", self.config.member, memory.term, order.term),
            ));
        }
        let wanted = self.wanted().await?.following(None).waiting_for(&order.synchronous);
        let (postmaster, session) = match self.postmaster() {
            Some(postmaster) => {
                let session = self.session(&postmaster).await?;
                if session.row("select pg_is_in_recovery()").await?.is_true(0) {
                    return Err(not_ready("the database runs as a standby").hint("only an election makes it primary"));
                }
                drop(session);
                let session = self.apply(&postmaster, &wanted).await?;
                (postmaster, session)
            }
            None => {
                self.check_may_be_primary(&memory).await?;
                let starting = self.launch(&wanted, As::Primary).await?;
                let session = self.accepted(&starting).await?;
                (starting.postmaster, session)
            }
        };
        self.phase("reading where recovery ended");
        let row = session
            .row("select pg_is_in_recovery(), pg_current_wal_flush_lsn(), pg_walfile_name(pg_current_wal_insert_lsn())")
            .await?;
        if memory.reserved.take().is_some() {
            self.remember(&memory).await?;
        }
        self.keep_slots_in(&session, &order.members).await?;
        self.in_force(&postmaster, &order.synchronous).await?;
        Ok(Started { lsn: row.lsn(1)?, timeline: row.timeline_of_file(2)? })
    }

    async fn check_may_be_primary(&self, memory: &super::Memory) -> Result<(), Error> {
        self.check_data().await?;
        if memory.unfinished.is_some() {
            return Err(not_ready("the data were left half-way by a rewind, a clone or a bootstrap")
                .hint("they are cloned anew when the member follows"));
        }
        let dir = self.data_dir();
        let is_standby = dir.join("standby.signal").exists() || dir.join("recovery.signal").exists();
        let state = self.control().await?.state;
        if is_standby || matches!(state, ClusterState::ShutDownInRecovery | ClusterState::Recovery) {
            return Err(not_ready(format!("the data in {} are a standby's", dir.display()))
                .hint("only an election makes it primary"));
        }
        Ok(())
    }

    /// Checks that there are data that these programs can start; `NotReady` when there are none.
    pub(super) async fn check_data(&self) -> Result<(), Error> {
        let (dir, major) = (self.config.data_dir.clone(), self.programs.major());
        files::blocking(move || match data_version(&dir)? {
            Some(found) if found == major => Ok(()),
            Some(found) => Err(misconfigured(format!(
                "the data in {} are of PostgreSQL {found}, the programs of {major}",
                dir.display()
            ))
            .hint(format!("supported are versions {}; set bin_dir to those that fit the data", supported()))),
            None if files::is_empty_dir(&dir)? => Err(not_ready(format!("there are no data in {}", dir.display()))),
            None => Err(misconfigured(format!("{} is not empty and not a data directory", dir.display()))
                .hint("give an empty directory, or one that holds PG_VERSION")),
        })
        .await
    }

    pub(super) async fn write_checkpoint(&self) -> Result<(), Error> {
        let Some(postmaster) = self.postmaster() else {
            return Err(not_ready("the database does not run"));
        };
        self.phase("writing");
        self.session(&postmaster).await?.run("checkpoint").await
    }
}

/// Makes the next start one in recovery, durably.
pub(super) fn mark_standby(dir: &Path, owner: super::Owner) -> Result<(), Error> {
    files::remove(&dir.join("recovery.signal"))?;
    let signal = dir.join("standby.signal");
    if signal.exists() { Ok(()) } else { files::write_durably(&signal, b"", owner) }
}

/// Whether the postmaster of this number wrote to its pid file that it accepts connections.
fn accepts_by_its_word(data_dir: &Path, pid: i32) -> bool {
    let text = files::read(&data_dir.join("postmaster.pid")).ok().flatten().unwrap_or_default();
    let mut lines = text.lines().map(str::trim);
    lines.next() == Some(&pid.to_string()) && matches!(lines.nth(6), Some("ready" | "standby"))
}

fn open_log(path: &Path, owner: super::Owner) -> Result<(std::fs::File, u64), Error> {
    let failed = |source| error::io(format!("the server's log {} cannot be opened", path.display()), source);
    if path.metadata().is_ok_and(|metadata| metadata.len() > MAX_LOG_BYTES) {
        files::rename(path, &path.with_extension("log.1"))?;
    }
    let file = OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .custom_flags(files::NO_LINKS)
        .open(path)
        .map_err(failed)?;
    owner.give_file(&file).map_err(failed)?;
    let length = file.metadata().map_err(failed)?.len();
    Ok((file, length))
}
