//! The highest term that was acted on, remembered in a file for every process of the machine.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use odoo_ha_core::error::{Error, ErrorKind};
use odoo_ha_core::term::Term;
use rustix::fs::{FlockOperation, flock};

/// Between two tries for the lock, which others hold for as long as a small file takes to be written.
const TRY_AGAIN: Duration = Duration::from_millis(2);

/// The fence, while nobody else can pass it.
#[derive(Debug)]
pub(crate) struct Fence {
    /// Locked until dropped.
    _lock: File,
}

impl Fence {
    /// Passes the fence with a term, remembering it, or is refused. Whoever passed holds the fence until the value is dropped, so that
    /// what is done meanwhile is not overtaken by a newer term. Waits at most `patience` for others; blocks on the disk.
    /// `backend` begins every error.
    pub(crate) fn pass(backend: &str, file: &Path, term: Term, patience: Duration) -> Result<Self, Error> {
        let unusable = |what: &str, error: io::Error| {
            let kind =
                if error.kind() == io::ErrorKind::StorageFull { ErrorKind::Disk } else { ErrorKind::Misconfigured };
            Error::new(kind, format!("{backend}: fence file {} {what}", file.display())).caused_by(error)
        };
        let lock = OpenOptions::new().write(true).create(true).truncate(false).open(beside(file, ".lock"));
        let lock = lock.map_err(|error| unusable("cannot be locked", error))?;
        let began = Instant::now();
        loop {
            match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => break,
                Err(rustix::io::Errno::WOULDBLOCK | rustix::io::Errno::INTR) if began.elapsed() < patience => {
                    thread::sleep(TRY_AGAIN);
                }
                Err(rustix::io::Errno::WOULDBLOCK | rustix::io::Errno::INTR) => {
                    let what = format!("{backend}: fence file {} is locked by another process", file.display());
                    return Err(Error::new(ErrorKind::NotReady, what).hint("is that process frozen?"));
                }
                Err(error) => return Err(unusable("cannot be locked", error.into())),
            }
        }
        let highest = read(file).map_err(|error| match error.kind() {
            io::ErrorKind::InvalidData => {
                Error::new(ErrorKind::Malformed, format!("{backend}: fence file {} is no term", file.display()))
                    .hint("with every agent of this machine stopped, write the cluster's present term into it")
            }
            _ => unusable("cannot be read", error),
        })?;
        if highest > term {
            let what = format!("{backend}: term {highest} was acted on already, term {term} is too old");
            return Err(Error::new(ErrorKind::Fenced, what));
        }
        if highest < term {
            write(file, term).map_err(|error| unusable("cannot be written", error))?;
        }
        Ok(Self { _lock: lock })
    }
}

fn read(file: &Path) -> io::Result<Term> {
    match fs::read_to_string(file) {
        Ok(text) => text.trim().parse().map(Term).map_err(|_| io::Error::from(io::ErrorKind::InvalidData)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Term(0)),
        Err(error) => Err(error),
    }
}

/// Replaces it as a whole: after a crash it is the old or the new one.
fn write(file: &Path, term: Term) -> io::Result<()> {
    let new = beside(file, ".new");
    let mut written = File::create(&new)?;
    writeln!(written, "{term}")?;
    written.sync_all()?;
    fs::rename(&new, file)?;
    // The name, too, is on disk only when its directory is.
    if let Some(directory) = file.parent() {
        File::open(directory)?.sync_all()?;
    }
    Ok(())
}

fn beside(file: &Path, suffix: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}
