//! How the agent starts a guard.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use odoo_ha_core::error::{Error, ErrorKind};
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;

use super::config::GuardConfig;
use super::process::{BUSY, READY};
use super::{FLAG, files};

/// The running program, even when its file was replaced meanwhile (`proc_pid_exe(5)`).
const THIS_PROGRAM: &str = "/proc/self/exe";

/// A log larger than this is put aside before a guard starts.
const LARGEST_LOG: u64 = 256 * 1024;

/// Most of what a guard that cannot start has to say.
const LONGEST_WORD: u64 = 1024;

/// What became of a start.
#[derive(Debug)]
pub(super) enum Started {
    /// It listens. Its process has to be waited for when it ends.
    Ready(Child),
    /// Another one lives, or is just ending.
    Busy,
}

/// Starts a guard and waits, as long as the caller lets it, until it listens. Dropping the call ends what was started.
pub(super) async fn start(config: &GuardConfig) -> Result<Started, Error> {
    let owned = config.clone();
    // Starting a program reads from a disk.
    let spawned = tokio::task::spawn_blocking(move || spawn(&owned)).await;
    let (mut newborn, output) = spawned
        .map_err(|error| Error::new(ErrorKind::Unavailable, "guard: could not be started").caused_by(error))??;
    let mut word = String::new();
    let read = match pipe::Receiver::from_owned_fd(output) {
        Ok(output) => output.take(LONGEST_WORD).read_to_string(&mut word).await,
        Err(error) => Err(error),
    };
    match (read, word.trim()) {
        (Ok(_), READY) => newborn.take().map(Started::Ready).ok_or_else(|| silent(config, "")),
        (Ok(_), BUSY) => Ok(Started::Busy),
        (Ok(_), word) => Err(silent(config, word)),
        (Err(error), _) => Err(silent(config, "").caused_by(error)),
    }
}

/// A child that is ended unless somebody takes it over.
#[derive(Debug)]
struct Newborn(Option<Child>);

impl Newborn {
    fn take(&mut self) -> Option<Child> {
        self.0.take()
    }
}

impl Drop for Newborn {
    fn drop(&mut self) {
        if let Some(mut child) = self.0.take() {
            // Gone already, or killed and gone soon: waiting is short.
            _ = child.kill();
            _ = child.wait();
        }
    }
}

fn spawn(config: &GuardConfig) -> Result<(Newborn, OwnedFd), Error> {
    prepare(&config.runtime_dir)?;
    let log = open_log(&config.runtime_dir)
        .map_err(|error| unusable(&config.runtime_dir, "cannot be written").caused_by(error))?;
    let mut command = match &config.program {
        Some(program) => Command::new(program),
        None => {
            let mut command = Command::new(THIS_PROGRAM);
            command.arg0(std::env::args_os().next().unwrap_or_else(|| THIS_PROGRAM.into()));
            command
        }
    };
    command.arg(FLAG).arg(&config.data_dir).arg(&config.runtime_dir);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log);
    let mut child = command.spawn().map_err(|error| {
        let kind = match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied => ErrorKind::Misconfigured,
            _ => ErrorKind::Unavailable,
        };
        Error::new(kind, format!("guard: {} could not be started", program(config).display())).caused_by(error)
    })?;
    let output = child.stdout.take().map(OwnedFd::from);
    let newborn = Newborn(Some(child));
    output.map(|output| (newborn, output)).ok_or_else(|| silent(config, ""))
}

/// Makes the runtime directory, or sees that it is nobody else's.
fn prepare(runtime_dir: &Path) -> Result<(), Error> {
    match DirBuilder::new().mode(0o700).create(runtime_dir) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            return Err(unusable(runtime_dir, "cannot be made").caused_by(error));
        }
        Ok(()) | Err(_) => {}
    }
    let found = fs::symlink_metadata(runtime_dir)
        .map_err(|error| unusable(runtime_dir, "cannot be looked at").caused_by(error))?;
    if !found.is_dir() {
        return Err(unusable(runtime_dir, "is no directory"));
    }
    if found.uid() != rustix::process::geteuid().as_raw() || found.mode() & 0o022 != 0 {
        return Err(unusable(runtime_dir, "can be written by others")
            .hint("it must be owned by the agent's user and closed to all others (mode 0700)"));
    }
    Ok(())
}

fn open_log(runtime_dir: &Path) -> io::Result<fs::File> {
    let path = files::log(runtime_dir);
    if fs::metadata(&path).is_ok_and(|log| log.len() > LARGEST_LOG) {
        fs::rename(&path, path.with_extension("log.old"))?;
    }
    OpenOptions::new().append(true).create(true).mode(0o600).open(path)
}

fn program(config: &GuardConfig) -> PathBuf {
    config.program.clone().unwrap_or_else(|| PathBuf::from(THIS_PROGRAM))
}

fn unusable(runtime_dir: &Path, what: &str) -> Error {
    Error::new(ErrorKind::Misconfigured, format!("guard: runtime_dir {} {what}", runtime_dir.display()))
}

fn silent(config: &GuardConfig, said: &str) -> Error {
    let what = format!("guard: {} did not become the guard, it said {said:?}", program(config).display());
    Error::new(ErrorKind::Misconfigured, what).hint(format!(
        "the program must call odoo_ha_backends::guard::run_if_guard() first in main; see also {}",
        files::log(&config.runtime_dir).display()
    ))
}
