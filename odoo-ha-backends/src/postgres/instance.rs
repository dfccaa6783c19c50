//! Every process of the instance. PostgreSQL's children have process groups and sessions of their own, so they are found by
//! descent and by the directory they work in (protocol rule 34).

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

/// In the environment of the database's main process, and so of everything that it starts by a command (`archive_command`, `COPY … PROGRAM`):
/// one that has left its parents for a session of its own is still known by it. Its value is the data directory.
pub(super) const MARK: &str = "ODOO_HA_INSTANCE";

/// A process of the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Process {
    parent: i32,
    started: u64,
    dead: bool,
}

/// The processes of one instance as seen so far: one that lost its parent meanwhile still counts.
#[derive(Debug, Default)]
pub(super) struct Instance {
    seen: BTreeMap<i32, u64>,
}

impl Instance {
    /// The processes that live: PostgreSQL's programs that work in one of the directories, all they started, what bears the mark, and
    /// whatever was one of these at an earlier look.
    pub(super) fn look(&mut self, dirs: &[&Path]) -> Vec<i32> {
        let all = processes();
        let mut members: BTreeSet<i32> = all
            .iter()
            .filter(|(pid, p)| !p.dead && (works_in(**pid, dirs) || is_marked(**pid, dirs)))
            .map(|(pid, _)| *pid)
            .collect();
        members.extend(
            self.seen
                .iter()
                .filter(|(pid, started)| all.get(pid).is_some_and(|p| p.started == **started))
                .map(|(pid, _)| *pid),
        );
        loop {
            let children: Vec<i32> = all
                .iter()
                .filter(|(pid, p)| members.contains(&p.parent) && !members.contains(*pid))
                .map(|(pid, _)| *pid)
                .collect();
            if children.is_empty() {
                break;
            }
            members.extend(children);
        }
        members.retain(|pid| all.get(pid).is_some_and(|p| !p.dead) && u32::try_from(*pid) != Ok(std::process::id()));
        for pid in &members {
            if let Some(process) = all.get(pid) {
                self.seen.insert(*pid, process.started);
            }
        }
        members.into_iter().collect()
    }

    /// Sends SIGKILL to every one that lives; says how many there were.
    pub(super) fn kill(&mut self, dirs: &[&Path]) -> usize {
        let living = self.look(dirs);
        for number in &living {
            let Some(pid) = Pid::from_raw(*number) else { continue };
            let Ok(pidfd) = pidfd_open(pid, PidfdFlags::empty()) else {
                continue;
            };
            // The number is checked after the pidfd was opened: so it cannot be another process's.
            if read(*number).is_some_and(|process| self.seen.get(number) == Some(&process.started)) {
                let _gone = pidfd_send_signal(&pidfd, Signal::KILL);
            }
        }
        living.len()
    }
}

fn processes() -> BTreeMap<i32, Process> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries
        .filter_map(|entry| entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok()))
        .filter_map(|pid| Some((pid, read(pid)?)))
        .collect()
}

/// From `/proc/<pid>/stat` (proc(5)): the name stands in brackets and may hold anything, so fields are counted from the last one.
fn read(pid: i32) -> Option<Process> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace();
    let dead = matches!(fields.next()?, "Z" | "X");
    let parent = fields.next()?.parse().ok()?;
    let started = fields.nth(17)?.parse().ok()?;
    Some(Process { parent, started, dead })
}

/// Whether this is a program of PostgreSQL that works in one of the directories (an operator's shell there is not).
fn works_in(pid: i32, dirs: &[&Path]) -> bool {
    let Ok(cwd) = fs::read_link(format!("/proc/{pid}/cwd")) else {
        return false;
    };
    if !dirs.iter().any(|dir| cwd == *dir) {
        return false;
    }
    let name = fs::read_link(format!("/proc/{pid}/exe")).ok();
    name.as_deref()
        .and_then(Path::file_name)
        .and_then(|name| name.to_str())
        .is_some_and(|name| ["postgres", "pg_", "initdb"].iter().any(|start| name.starts_with(start)))
}

/// Whether this process was started, at some distance, by a database of one of the directories.
fn is_marked(pid: i32, dirs: &[&Path]) -> bool {
    let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    environment.split(|byte| *byte == 0).any(|variable| {
        let value = variable.strip_prefix(MARK.as_bytes()).and_then(|rest| rest.strip_prefix(b"="));
        value.is_some_and(|value| dirs.iter().any(|dir| dir.as_os_str().as_encoded_bytes() == value))
    })
}
