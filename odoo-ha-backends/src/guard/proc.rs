//! What `/proc` shows of processes (`proc_pid_stat(5)`), and a hold on one that its number cannot slip away from.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

/// One process and no other: numbers are used again, a number with its start is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Identity {
    pub(super) pid: i32,
    /// In clock ticks since boot.
    pub(super) started: u64,
}

/// A living process, looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) id: Identity,
    pub(super) parent: i32,
    /// The name of its program, cut to 15 bytes by the kernel.
    pub(super) name: String,
    /// Whether it is stopped (`SIGSTOP`, a debugger).
    pub(super) stopped: bool,
    pub(super) has_terminal: bool,
}

/// Every living process but zombies; one that comes or goes during the look may be missed.
pub(super) fn list() -> io::Result<Vec<Seen>> {
    let mut seen = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse().ok()) else { continue };
        seen.extend(look(pid));
    }
    Ok(seen)
}

/// One process; `None` when it is gone or a zombie.
pub(super) fn look(pid: i32) -> Option<Seen> {
    // A name is bytes, and the kernel may have cut it within a letter.
    parse(pid, &String::from_utf8_lossy(&fs::read(format!("/proc/{pid}/stat")).ok()?))
}

/// Its working directory, as the kernel knows it: no disk is touched.
///
/// # Errors
///
/// `PermissionDenied` when this process may not know; any other when it is gone.
pub(super) fn working_directory(pid: i32) -> io::Result<PathBuf> {
    fs::read_link(format!("/proc/{pid}/cwd"))
}

/// As whom a process runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Owner {
    pub(super) user: u32,
    pub(super) group: u32,
}

/// Its effective user and group, which everybody may know; `None` when it is gone.
pub(super) fn owner(pid: i32) -> Option<Owner> {
    let status = fs::read(format!("/proc/{pid}/status")).ok()?;
    let status = String::from_utf8_lossy(&status);
    // Real, effective, saved, and that of the file system.
    let effective = |key: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(key))?;
        line.split_ascii_whitespace().nth(1)?.parse().ok()
    };
    Some(Owner { user: effective("Uid:")?, group: effective("Gid:")? })
}

/// Its command line, in one piece.
pub(super) fn command_line(pid: i32) -> Option<OsString> {
    use std::os::unix::ffi::OsStringExt;

    fs::read(format!("/proc/{pid}/cmdline")).ok().map(OsString::from_vec)
}

/// The number of this process.
pub(super) fn own_pid() -> i32 {
    rustix::process::getpid().as_raw_nonzero().get()
}

/// This process.
pub(super) fn own_identity() -> Option<Identity> {
    Some(look(own_pid())?.id)
}

/// Names this run of the machine.
pub(super) fn boot_id() -> io::Result<String> {
    Ok(fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().to_owned())
}

/// A hold on one process (`pidfd_open(2)`).
#[derive(Debug)]
pub(super) struct Held {
    pub(super) id: Identity,
    hold: OwnedFd,
}

impl Held {
    /// Takes hold of it.
    ///
    /// # Errors
    ///
    /// `NotFound` when the process of that number is another or gone.
    pub(super) fn open(id: Identity) -> io::Result<Self> {
        let gone = || io::Error::from(io::ErrorKind::NotFound);
        let pid = Pid::from_raw(id.pid).ok_or_else(gone)?;
        let hold = pidfd_open(pid, PidfdFlags::empty())?;
        // Looked at after taking hold: if the start is right now, what is held is it.
        match look(id.pid) {
            Some(seen) if seen.id == id => Ok(Self { id, hold }),
            Some(_) | None => Err(gone()),
        }
    }

    /// Sends it a signal; `false` when it is gone already.
    pub(super) fn signal(&self, signal: Signal) -> io::Result<bool> {
        match pidfd_send_signal(&self.hold, signal) {
            Ok(()) => Ok(true),
            Err(rustix::io::Errno::SRCH) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

fn parse(pid: i32, stat: &str) -> Option<Seen> {
    // The name stands in parentheses and may itself contain any of them, and blanks.
    let (before, rest) = stat.rsplit_once(')')?;
    let (_, name) = before.split_once('(')?;
    // From here on field 3 has index 0.
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    let state = *fields.first()?;
    if matches!(state, "Z" | "X" | "x") {
        return None;
    }
    Some(Seen {
        id: Identity { pid, started: fields.get(19)?.parse().ok()? },
        parent: fields.get(1)?.parse().ok()?,
        name: name.to_owned(),
        stopped: matches!(state, "T" | "t"),
        has_terminal: fields.get(4)?.parse::<i32>().ok()? != 0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_look_like_the_rest() {
        let stat = "42 (a) S (b) T 7 42 42 34816 42 4194560 1 0 0 0 0 0 0 0 20 0 1 0 987654 0 0 1";
        let seen = parse(42, stat).expect("it is whole");
        assert_eq!(seen.id, Identity { pid: 42, started: 987_654 });
        assert_eq!((seen.parent, seen.name.as_str()), (7, "a) S (b"));
        assert!(seen.stopped && seen.has_terminal);
    }

    #[test]
    fn the_dead_are_not_seen() {
        assert_eq!(parse(42, "42 (x) Z 7 42 42 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 987654 0 0 1"), None);
        assert_eq!(parse(42, "42 (x"), None);
    }

    #[test]
    fn whose_this_process_is_is_seen() {
        let (user, group) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
        assert_eq!(owner(own_pid()), Some(Owner { user, group }));
    }

    #[test]
    fn this_process_is_held_and_another_of_its_number_is_not() {
        let own = own_identity().expect("it lives");
        assert!(Held::open(own).is_ok());
        let other = Identity { started: own.started + 1, ..own };
        assert_eq!(Held::open(other).map(|_| ()).map_err(|error| error.kind()), Err(io::ErrorKind::NotFound));
    }
}
