//! How every process of a PostgreSQL instance is stopped, whatever state it is in.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use odoo_ha_core::time::Moment;
use rustix::process::Signal;

use super::proc::{self, Held, Identity, Seen};

/// How long an immediate stop may take before everything is killed. It takes some milliseconds; a postmaster with a frozen child
/// waits five seconds for it (PostgreSQL documentation, "Shutting Down the Server").
pub(super) const QUIT_LIMIT: Duration = Duration::from_millis(200);

/// How long nothing must have been seen before it is believed: a look into `/proc` may miss a process that is forked meanwhile.
const QUIET: Duration = Duration::from_millis(20);

/// What PostgreSQL's programs that run or start an instance are called, and the shell that `pg_ctl` starts it with.
const POSTGRES: &[&str] = &["postgres", "postmaster"];
const STARTERS: &[&str] = &["postgres", "postmaster", "pg_ctl", "sh", "dash", "bash"];

/// Stops one instance step by step, so that whoever drives it can do other things in between.
///
/// What belongs to the instance: every process whose working directory is the data directory (the postmaster goes there and all its
/// children stay, orphans included) except a person's shell, everything descended from one of these, and what the agent was just
/// starting it with. Why not `postmaster.pid`: it lies on the disk that may be what hangs, and names the same process.
#[derive(Debug)]
pub(super) struct Stop {
    data_dir: PathBuf,
    /// Never touched.
    spared: BTreeSet<i32>,
    /// What descended from the agent when it was killed.
    family: BTreeSet<Identity>,
    known: BTreeSet<Identity>,
    asked: BTreeSet<Identity>,
    killed: BTreeSet<Identity>,
    out_of_reach: BTreeSet<Identity>,
    began: Option<Moment>,
    empty_since: Option<Moment>,
}

impl Stop {
    /// `data_dir` without symbolic links; `spared` is left alone whatever it looks like.
    pub(super) fn new(data_dir: PathBuf, spared: BTreeSet<i32>, family: BTreeSet<Identity>) -> Self {
        Self {
            data_dir,
            spared,
            family,
            known: BTreeSet::new(),
            asked: BTreeSet::new(),
            killed: BTreeSet::new(),
            out_of_reach: BTreeSet::new(),
            began: None,
            empty_since: None,
        }
    }

    /// How many were asked to stop, killed, and could not be signalled.
    pub(super) fn counts(&self) -> (u64, u64, u64) {
        let count = |set: &BTreeSet<Identity>| u64::try_from(set.len()).unwrap_or(u64::MAX);
        (count(&self.asked), count(&self.killed), count(&self.out_of_reach))
    }

    /// Looks, signals what is there, and says since when nothing is there, once that is certain.
    ///
    /// To be called again every few milliseconds.
    ///
    /// # Errors
    ///
    /// `/proc` could not be read; the next step may succeed.
    pub(super) fn step(&mut self, now: Moment) -> io::Result<Option<Moment>> {
        let began = *self.began.get_or_insert(now);
        let seen = proc::list()?;
        let members = self.members(&seen);
        self.known.extend(members.iter().map(|seen| seen.id));
        if members.is_empty() {
            let since = *self.empty_since.get_or_insert(now);
            return Ok((now.since(since) >= QUIET).then_some(since));
        }
        self.empty_since = None;
        let numbers: BTreeSet<i32> = members.iter().map(|seen| seen.id.pid).collect();
        let patience = now.since(began) < QUIT_LIMIT;
        for member in members {
            let is_root = !numbers.contains(&member.parent);
            // A stopped process cannot hear anything else.
            if member.stopped || !patience {
                self.signal(member.id, Signal::KILL);
            } else if is_root && !self.asked.contains(&member.id) {
                self.signal(member.id, Signal::QUIT);
            }
        }
        Ok(None)
    }

    fn signal(&mut self, id: Identity, signal: Signal) {
        let sent = match Held::open(id) {
            Ok(held) => held.signal(signal),
            Err(error) => Err(error),
        };
        match sent {
            Ok(true) if signal == Signal::KILL => _ = self.killed.insert(id),
            Ok(true) => _ = self.asked.insert(id),
            Ok(false) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(_) => _ = self.out_of_reach.insert(id),
        }
    }

    /// The instance's processes, those that started others first.
    fn members<'a>(&self, seen: &'a [Seen]) -> Vec<&'a Seen> {
        let mut children: BTreeMap<i32, Vec<&Seen>> = BTreeMap::new();
        for process in seen {
            children.entry(process.parent).or_default().push(process);
        }
        let mut open: Vec<&Seen> = seen.iter().filter(|process| self.is_member(process)).collect();
        let mut members: BTreeMap<i32, &Seen> = BTreeMap::new();
        while let Some(process) = open.pop() {
            if !self.may_touch(process) || members.insert(process.id.pid, process).is_some() {
                continue;
            }
            open.extend(children.get(&process.id.pid).into_iter().flatten());
        }
        let mut members: Vec<&Seen> = members.into_values().collect();
        members.sort_by_key(|process| process.id.started);
        members
    }

    fn may_touch(&self, process: &Seen) -> bool {
        process.id.pid > 1 && !self.spared.contains(&process.id.pid)
    }

    fn is_member(&self, process: &Seen) -> bool {
        if !self.may_touch(process) {
            return false;
        }
        if self.known.contains(&process.id) {
            return true;
        }
        let name = process.name.as_str();
        let works_here = || proc::working_directory(process.id.pid).is_some_and(|directory| directory == self.data_dir);
        // A terminal: somebody's shell, in which they went to look at the data directory.
        if (POSTGRES.contains(&name) || !process.has_terminal) && works_here() {
            return true;
        }
        self.family.contains(&process.id) && STARTERS.contains(&name) && self.is_named_by(process)
    }

    fn is_named_by(&self, process: &Seen) -> bool {
        let Some(line) = proc::command_line(process.id.pid) else { return false };
        names(line.as_encoded_bytes(), self.data_dir.as_os_str().as_encoded_bytes())
    }
}

/// Whether a command line contains a path that does not go on there as another name.
fn names(line: &[u8], path: &[u8]) -> bool {
    let goes_on = |byte: &u8| byte.is_ascii_alphanumeric() || b"._-".contains(byte) || !byte.is_ascii();
    !path.is_empty()
        && (0..line.len()).any(|at| {
            line.get(at..).is_some_and(|rest| rest.starts_with(path) && !rest.get(path.len()).is_some_and(goes_on))
        })
}

/// Everything descended from a process, itself not included.
pub(super) fn descendants(of: i32) -> io::Result<BTreeSet<Identity>> {
    let mut children: BTreeMap<i32, Vec<Identity>> = BTreeMap::new();
    for process in proc::list()? {
        children.entry(process.parent).or_default().push(process.id);
    }
    let mut found = BTreeSet::new();
    let mut open = vec![of];
    while let Some(pid) = open.pop() {
        for child in children.get(&pid).into_iter().flatten() {
            if found.insert(*child) {
                open.push(child.pid);
            }
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_data_directory_is_told_from_its_neighbour() {
        assert!(names(b"pg_ctl\0-D\0/x/data\0start", b"/x/data"));
        assert!(names(b"sh\0-c\0exec \"postgres\" -D \"/x/data\" </dev/null", b"/x/data"));
        assert!(names(b"postgres\0-D\0/x/data2\0--hba=/x/data/hba", b"/x/data"));
        assert!(!names(b"postgres\0-D\0/x/data2", b"/x/data"));
        assert!(!names(b"postgres", b""));
    }

    #[test]
    fn an_instance_that_does_not_run_is_stopped_after_a_quiet_look() {
        let mut stop = Stop::new(PathBuf::from("/nowhere/at/all"), BTreeSet::new(), BTreeSet::new());
        let at = |ms| Moment::from_origin(Duration::from_millis(ms));
        assert_eq!(stop.step(at(0)).expect("/proc is there"), None);
        assert_eq!(stop.step(at(19)).expect("/proc is there"), None);
        assert_eq!(stop.step(at(20)).expect("/proc is there"), Some(at(0)));
        assert_eq!(stop.counts(), (0, 0, 0));
    }
}
