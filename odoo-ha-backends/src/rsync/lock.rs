//! Says when the last process of a pull has gone.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::time::Duration;

use odoo_ha_core::error::{Error, ErrorKind};
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::time::Instant;

/// Between two looks at processes that were killed.
const STEP: Duration = Duration::from_millis(5);

/// A locked file. Every process of a pull has it as its standard input, so it stays locked until all have gone, whether or not anybody waits
/// for them (`flock(2)`: a lock ends when the last descriptor of the open file is closed).
///
/// What they have of it can only be read: they run as Odoo's user, and this kills the group whose number is in the file.
#[derive(Debug)]
pub(super) struct Lock {
    shared: File,
    number: File,
}

impl Lock {
    /// Takes it. Whoever has it from an earlier pull, of this agent or of one that was killed, is killed.
    pub(super) async fn take(path: &Path, timeout: Duration) -> Result<Self, Error> {
        let unusable = |error: io::Error| {
            let kind =
                if error.kind() == io::ErrorKind::StorageFull { ErrorKind::Disk } else { ErrorKind::Misconfigured };
            Error::new(kind, format!("rsync: {} cannot be locked", path.display()))
                .hint("its folder must be the agent's own, on a local disk")
                .caused_by(error)
        };
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let number = options.open(path).map_err(unusable)?;
        let file = File::open(path).map_err(unusable)?;
        let deadline = Instant::now() + timeout;
        loop {
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => break,
                Err(Errno::WOULDBLOCK | Errno::INTR) => {}
                Err(error) => return Err(unusable(error.into())),
            }
            if let Some(group) = group(&file) {
                // A member of it lives, or the lock were free: the number is nobody else's.
                _ = kill_process_group(group, Signal::KILL);
            }
            if Instant::now() >= deadline {
                let what = format!("rsync: an earlier pull has not ended within {timeout:?}");
                return Err(Error::new(ErrorKind::Unknown, what).hint(
                    "it was killed; a process that does not go hangs in the disk or the network file system of path",
                ));
            }
            tokio::time::sleep(STEP).await;
        }
        // The number of before is nobody's any more.
        number.set_len(0).map_err(unusable)?;
        Ok(Self { shared: file, number })
    }

    /// What a pull gets as its standard input.
    pub(super) fn share(&self) -> io::Result<File> {
        self.shared.try_clone()
    }

    /// Remembers whom to kill if this process cannot.
    pub(super) fn is_of(&self, group: Pid) {
        // Without it, the lock is only waited for.
        _ = self.number.write_all_at(format!("{}\n", group.as_raw_nonzero()).as_bytes(), 0);
    }
}

fn group(file: &File) -> Option<Pid> {
    let mut text = [0; 16];
    let length = file.read_at(&mut text, 0).ok()?;
    let number: u32 = std::str::from_utf8(text.get(..length)?).ok()?.strip_suffix('\n')?.parse().ok()?;
    // Never 1, which would be everybody.
    if number > 1 { Pid::from_raw(i32::try_from(number).ok()?) } else { None }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::CommandExt;
    use std::process::{Command, Stdio};

    use super::*;

    #[tokio::test]
    async fn what_a_killed_agent_left_behind_is_killed() {
        let path = std::env::temp_dir().join(format!("odoo-ha-rsync-lock-{}", std::process::id()));
        let lock = Lock::take(&path, Duration::from_secs(20)).await.expect("it is free");
        let mut command = Command::new("/bin/sh");
        command.args(["-c", "sleep 1000 & sleep 1000 & wait"]).process_group(0);
        let mut left = command.stdin(Stdio::from(lock.share().expect("a handle"))).spawn().expect("it starts");
        drop(command);
        lock.is_of(Pid::from_raw(i32::try_from(left.id()).expect("a number")).expect("a process"));
        drop(lock);
        // The shell gives /dev/null to what it puts into the background; it has the lock itself.
        let again = Lock::take(&path, Duration::from_secs(20)).await.expect("they are killed");
        assert!(!left.wait().expect("it has ended").success());
        assert_eq!(group(&again.shared), None);
        std::fs::remove_file(&path).expect("it is there");
    }

    /// Odoo's user could have the agent kill anybody.
    #[tokio::test]
    async fn a_pull_cannot_say_whom_to_kill() {
        let path = std::env::temp_dir().join(format!("odoo-ha-rsync-lock-number-{}", std::process::id()));
        let lock = Lock::take(&path, Duration::from_secs(20)).await.expect("it is free");
        let shared = lock.share().expect("a handle");
        assert!(shared.write_all_at(b"77\n", 0).is_err() && shared.set_len(0).is_err());
        lock.is_of(Pid::from_raw(78).expect("a number"));
        assert_eq!(group(&shared), Pid::from_raw(78));
        lock.number.set_len(0).expect("it is ours");
        std::fs::remove_file(&path).expect("it is there");
    }

    #[tokio::test]
    async fn one_that_nobody_knows_is_waited_for_and_not_killed() {
        let path = std::env::temp_dir().join(format!("odoo-ha-rsync-lock-unknown-{}", std::process::id()));
        let lock = Lock::take(&path, Duration::from_secs(20)).await.expect("it is free");
        for text in ["", "1\n", "0\n", "-1\n", "x\n", "77"] {
            std::fs::write(&path, text).expect("it can be written");
            let late = Lock::take(&path, Duration::from_millis(20)).await.expect_err("it is taken");
            assert_eq!(late.kind(), ErrorKind::Unknown, "{text:?}");
        }
        drop(lock);
        std::fs::remove_file(&path).expect("it is there");
    }
}
