//! The postmaster: known by a pidfd, so that its number can never be another's and its end is seen within milliseconds.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;

use odoo_ha_core::error::{Error, ErrorKind};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::error;

/// A running (or just ended) main process of the database.
#[derive(Clone, Debug)]
pub(super) struct Postmaster {
    pid: Pid,
    pidfd: Arc<OwnedFd>,
}

impl Postmaster {
    /// The one that `postmaster.pid` names, if it lives and works in this data directory.
    pub(super) fn find(data_dir: &Path) -> Option<Self> {
        let text = super::files::read(&data_dir.join("postmaster.pid")).ok().flatten()?;
        // A standalone backend (pg_rewind's recovery) writes a negative number.
        let pid = text.lines().next()?.trim().parse::<i32>().ok().filter(|pid| *pid > 1)?;
        Self::adopt(pid, data_dir)
    }

    /// This process, if it lives and works in this data directory.
    pub(super) fn adopt(pid: i32, data_dir: &Path) -> Option<Self> {
        let pid = Pid::from_raw(pid)?;
        let pidfd = Arc::new(pidfd_open(pid, PidfdFlags::empty()).ok()?);
        let found = Self { pid, pidfd };
        let works_here = fs::read_link(format!("/proc/{}/cwd", pid.as_raw_pid())).is_ok_and(|cwd| cwd == data_dir);
        // Alive after the look: so what was looked at is what the pidfd holds, not a later process of that number.
        (works_here && !found.has_exited()).then_some(found)
    }

    /// Its number, for logs.
    pub(super) const fn pid(&self) -> i32 {
        self.pid.as_raw_pid()
    }

    /// Whether it has ended.
    pub(super) fn has_exited(&self) -> bool {
        let mut fds = [PollFd::new(&*self.pidfd, PollFlags::IN)];
        poll(&mut fds, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).is_ok_and(|ready| ready > 0)
    }

    /// Resolves when it has ended. Cancel-safe.
    #[expect(
        deprecated,
        reason = "its replacement is unsafe; the pidfd is held open, and unchanged, for as long as it is watched"
    )]
    pub(super) async fn exited(&self) -> Result<(), Error> {
        let failed = |source| error::io("the database's main process cannot be watched", source);
        // A descriptor of its own: a runtime watches each one only once, and a stop waits beside whoever waits for the end.
        let own = self.pidfd.try_clone().map_err(failed)?;
        let watch = AsyncFd::with_interest(own, Interest::READABLE).map_err(failed)?;
        watch.readable().await.map(|_| ()).map_err(failed)
    }

    /// Sends it a signal; one that has ended needs none.
    pub(super) fn signal(&self, signal: Signal) -> Result<(), Error> {
        match pidfd_send_signal(&*self.pidfd, signal) {
            Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
            Err(source) => Err(Error::new(ErrorKind::Misconfigured, "the database's main process cannot be signalled")
                .hint("run the agent as PostgreSQL's user or as root")
                .caused_by(io::Error::from(source))),
        }
    }
}

/// Whether the postmaster says in `postmaster.pid` that it is shutting down.
pub(super) fn is_stopping(data_dir: &Path) -> bool {
    let text = super::files::read(&data_dir.join("postmaster.pid")).ok().flatten().unwrap_or_default();
    text.lines().nth(7).is_some_and(|status| status.trim() == "stopping")
}
