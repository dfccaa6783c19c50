//! What the guard may learn of other processes.
//!
//! Where another user's process works is told only to who has `CAP_SYS_PTRACE`, root or not, and to that user (`proc(5)`, `ptrace(2)`, "Ptrace access
//! mode checking"). A guard without that right looks as that user does, when it may become it; whoever starts PostgreSQL as another user may.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::thread;

use rustix::process::geteuid;
use rustix::thread::{Gid, Uid, set_thread_res_gid, set_thread_res_uid};

use super::proc::{self, Owner};

/// The stack of a thread that looks as another user: it reads links, and nothing of it must come from a disk.
const STACK: usize = 128 * 1024;

/// Where processes work, as far as that is to be known.
#[derive(Debug, Default)]
pub(super) struct Places {
    known: BTreeMap<i32, PathBuf>,
    closed: BTreeMap<i32, Owner>,
}

impl Places {
    /// Of these processes; one that goes during the look is missing.
    pub(super) fn of(pids: impl Iterator<Item = i32>) -> Self {
        let mut places = Self::default();
        let mut closed: BTreeMap<Owner, Vec<i32>> = BTreeMap::new();
        for pid in pids {
            match proc::working_directory(pid) {
                Ok(directory) => _ = places.known.insert(pid, directory),
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                    if let Some(owner) = proc::owner(pid) {
                        closed.entry(owner).or_default().push(pid);
                    }
                }
                Err(_) => {}
            }
        }
        for (owner, pids) in closed {
            // What cannot be looked at by its own user either is closed.
            let found = look_as(owner, &pids).unwrap_or_default();
            places.closed.extend(pids.into_iter().filter(|pid| !found.contains_key(pid)).map(|pid| (pid, owner)));
            places.known.extend(found);
        }
        places
    }

    /// Where it works, if that is known.
    pub(super) fn of_one(&self, pid: i32) -> Option<&PathBuf> {
        self.known.get(&pid)
    }

    /// Whose it is when where it works is not to be known.
    pub(super) fn closed(&self, pid: i32) -> Option<Owner> {
        self.closed.get(&pid).copied()
    }
}

/// Looks as this user does. A thread has its own user, and this one ends as that: so nothing has to be taken back, which could fail.
fn look_as(owner: Owner, pids: &[i32]) -> io::Result<BTreeMap<i32, PathBuf>> {
    if owner.user == geteuid().as_raw() {
        return Err(io::ErrorKind::PermissionDenied.into());
    }
    let look = || {
        set_thread_res_gid(None, Gid::from_raw(owner.group), None)?;
        set_thread_res_uid(None, Uid::from_raw(owner.user), None)?;
        Ok(pids.iter().filter_map(|pid| Some((*pid, proc::working_directory(*pid).ok()?))).collect())
    };
    thread::scope(|scope| {
        let looking = thread::Builder::new().stack_size(STACK).spawn_scoped(scope, look)?;
        looking.join().unwrap_or_else(|_| Err(io::Error::other("the look failed")))
    })
}
