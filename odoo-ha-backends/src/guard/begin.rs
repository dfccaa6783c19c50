//! How a process becomes the guard.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::thread;
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};

/// How long the lock may be held by one that is just ending.
const LOCK_TRIES: u32 = 20;

/// Leaves the agent's session, so that signals to its group or terminal do not come here, and its directory.
pub(super) fn detach() -> io::Result<()> {
    // Fails only for the leader of a group, which a process that was just forked is not.
    rustix::process::setsid()?;
    std::env::set_current_dir("/")
}

/// Asks the kernel to let this process run and live when others cannot. Each is a favour that it may refuse.
pub(super) fn prefer_to_run() {
    _ = fs::write("/proc/self/comm", "odoo-ha-guard");
    _ = fs::write("/proc/self/oom_score_adj", "-1000");
    _ = rustix::process::setpriority_process(None, -20);
    // A page that must first come from a hung disk would hold the guard.
    _ = rustix::mm::mlockall(rustix::mm::MlockAllFlags::CURRENT);
}

pub(super) fn lock(path: &Path) -> io::Result<Option<File>> {
    let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path)?;
    for _ in 0..LOCK_TRIES {
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(Some(file)),
            Err(rustix::io::Errno::WOULDBLOCK) => thread::sleep(Duration::from_millis(1)),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(None)
}

/// The lock is held: whatever lies at this path is stale.
pub(super) fn listen(path: &Path) -> io::Result<UnixListener> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let listener = UnixListener::bind(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}
