//! How every process of a PostgreSQL instance is stopped, whatever state it is in.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use odoo_ha_core::time::Moment;
use rustix::process::Signal;

use super::family::Family;
use super::proc::{self, Held, Identity, Seen};
use super::sight::Places;

/// How long an immediate stop may take before everything is killed. It takes some milliseconds; a postmaster with a frozen child
/// waits five seconds for it (PostgreSQL documentation, "Shutting Down the Server").
pub(super) const QUIT_LIMIT: Duration = Duration::from_millis(200);

/// How long nothing must have been seen before it is believed: a look into `/proc` may miss a process that is forked meanwhile.
const QUIET: Duration = Duration::from_millis(20);

/// What PostgreSQL's programs that run an instance are called.
const POSTGRES: &[&str] = &["postgres", "postmaster"];

/// Which instance is stopped.
#[derive(Clone, Debug)]
pub(super) struct Instance {
    /// Without symbolic links.
    pub(super) data_dir: PathBuf,
    /// The data directory as it was configured, which is how command lines name it.
    pub(super) also_called: PathBuf,
    /// The user that the data directory belongs to, and so the only one whose PostgreSQL can run there (it looks); if known.
    pub(super) owner: Option<u32>,
}

/// What a look has found.
#[derive(Debug)]
pub(super) struct Found {
    /// The instance's processes, those that started others first.
    pub(super) members: Vec<Seen>,
    /// Processes that may be the instance's, of which this guard may not know where they work.
    pub(super) unseen: Vec<i32>,
}

/// Stops one instance step by step, so that whoever drives it can do other things in between.
///
/// What belongs to the instance: every process whose working directory is the data directory (the postmaster goes there and all its
/// children stay, orphans included) except a person's shell, everything descended from one of these, and what the agent was just
/// starting it with. Where a process works may be closed to this guard: then a postmaster whose command line names the directory belongs to
/// it, and any other PostgreSQL of the directory's owner may: while there is one, nobody says that nothing is left.
/// Why not `postmaster.pid`: it lies on the disk that may be what hangs, and names the same process.
#[derive(Debug)]
pub(super) struct Stop {
    instance: Instance,
    /// Never touched.
    spared: BTreeSet<i32>,
    /// What descended from the agent when it was killed, if it was.
    family: Option<Family>,
    known: BTreeSet<Identity>,
    asked: BTreeSet<Identity>,
    killed: BTreeSet<Identity>,
    out_of_reach: BTreeSet<Identity>,
    unseen: usize,
    began: Option<Moment>,
    empty_since: Option<Moment>,
}

impl Stop {
    /// `spared` is left alone whatever it looks like.
    pub(super) fn new(instance: Instance, spared: BTreeSet<i32>, family: Option<Family>) -> Self {
        Self {
            instance,
            spared,
            family,
            known: BTreeSet::new(),
            asked: BTreeSet::new(),
            killed: BTreeSet::new(),
            out_of_reach: BTreeSet::new(),
            unseen: 0,
            began: None,
            empty_since: None,
        }
    }

    /// How many were asked to stop, killed, and could not be signalled.
    pub(super) fn counts(&self) -> (u64, u64, u64) {
        let count = |set: &BTreeSet<Identity>| u64::try_from(set.len()).unwrap_or(u64::MAX);
        (count(&self.asked), count(&self.killed), count(&self.out_of_reach))
    }

    /// How many of the last look may be the instance's and could not be looked at.
    pub(super) fn unseen(&self) -> u64 {
        u64::try_from(self.unseen).unwrap_or(u64::MAX)
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
        let Found { members, unseen } = self.look()?;
        self.unseen = unseen.len();
        if members.is_empty() && unseen.is_empty() {
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

    /// Looks for the instance's processes and remembers them.
    ///
    /// # Errors
    ///
    /// `/proc` could not be read; the next look may succeed.
    pub(super) fn look(&mut self) -> io::Result<Found> {
        let seen = proc::list()?;
        // A terminal: somebody's shell, in which they went to look at the data directory.
        let may_work_here =
            |process: &&Seen| self.may_touch(process) && (is_postgres(process) || !process.has_terminal);
        let places = Places::of(seen.iter().filter(may_work_here).map(|process| process.id.pid));
        let mut children: BTreeMap<i32, Vec<&Seen>> = BTreeMap::new();
        for process in &seen {
            children.entry(process.parent).or_default().push(process);
        }
        let mut open: Vec<&Seen> = seen.iter().filter(|process| self.is_member(process, &places)).collect();
        let mut members: BTreeMap<i32, &Seen> = BTreeMap::new();
        while let Some(process) = open.pop() {
            if !self.may_touch(process) || members.insert(process.id.pid, process).is_some() {
                continue;
            }
            open.extend(children.get(&process.id.pid).into_iter().flatten());
        }
        let is_ours = |user: u32| self.instance.owner.is_none_or(|owner| owner == user);
        let may_be = |process: &&Seen| {
            is_postgres(process)
                && !members.contains_key(&process.id.pid)
                && places.closed(process.id.pid).is_some_and(|owner| is_ours(owner.user))
        };
        let unseen = seen.iter().filter(may_be).map(|process| process.id.pid).collect();
        let mut members: Vec<Seen> = members.into_values().cloned().collect();
        members.sort_by_key(|process| process.id.started);
        self.known.extend(members.iter().map(|member| member.id));
        Ok(Found { members, unseen })
    }

    fn may_touch(&self, process: &Seen) -> bool {
        process.id.pid > 1 && !self.spared.contains(&process.id.pid)
    }

    fn is_member(&self, process: &Seen, places: &Places) -> bool {
        if !self.may_touch(process) {
            return false;
        }
        if self.known.contains(&process.id) {
            return true;
        }
        let pid = process.id.pid;
        if places.of_one(pid).is_some_and(|directory| *directory == self.instance.data_dir) {
            return true;
        }
        if is_postgres(process) && places.closed(pid).is_some() && self.is_named_by(process) {
            return true;
        }
        self.family.as_ref().is_some_and(|family| family.is_starting(process, |process| self.is_named_by(process)))
    }

    fn is_named_by(&self, process: &Seen) -> bool {
        let Some(line) = proc::command_line(process.id.pid) else { return false };
        let line = line.as_encoded_bytes();
        let Instance { data_dir, also_called, .. } = &self.instance;
        [data_dir, also_called].into_iter().any(|path| names(line, path.as_os_str().as_encoded_bytes()))
    }
}

fn is_postgres(process: &Seen) -> bool {
    POSTGRES.contains(&process.name.as_str())
}

/// Whether a command line contains a path that does not go on there as another name.
fn names(line: &[u8], path: &[u8]) -> bool {
    let goes_on = |byte: &u8| byte.is_ascii_alphanumeric() || b"._-".contains(byte) || !byte.is_ascii();
    !path.is_empty()
        && (0..line.len()).any(|at| {
            line.get(at..).is_some_and(|rest| rest.starts_with(path) && !rest.get(path.len()).is_some_and(goes_on))
        })
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
        let data_dir = PathBuf::from("/nowhere/at/all");
        // Nobody's, so that no other PostgreSQL of this machine may be it.
        let instance = Instance { also_called: data_dir.clone(), data_dir, owner: Some(u32::MAX) };
        let mut stop = Stop::new(instance, BTreeSet::new(), None);
        let at = |ms| Moment::from_origin(Duration::from_millis(ms));
        assert_eq!(stop.step(at(0)).expect("/proc is there"), None);
        assert_eq!(stop.step(at(19)).expect("/proc is there"), None);
        assert_eq!(stop.step(at(20)).expect("/proc is there"), Some(at(0)));
        assert_eq!(stop.counts(), (0, 0, 0));
    }
}
