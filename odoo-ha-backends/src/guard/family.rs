//! What the agent had started when it was killed.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::io;

use super::proc::{self, Identity, Seen};

/// What PostgreSQL's programs that start an instance are called, and the shell that `pg_ctl` starts it with.
const STARTERS: &[&str] = &["postgres", "postmaster", "pg_ctl", "sh", "dash", "bash"];

/// All that descends from the agent. To be looked at before it is killed: afterwards nobody knows whose children these were.
#[derive(Debug)]
pub(super) struct Family {
    members: BTreeSet<Identity>,
    agent_line: Option<OsString>,
}

impl Family {
    /// Of this agent.
    ///
    /// # Errors
    ///
    /// `/proc` could not be read.
    pub(super) fn of(agent: i32) -> io::Result<Self> {
        Ok(Self { members: descendants(agent)?, agent_line: proc::command_line(agent).filter(|line| !line.is_empty()) })
    }

    /// Whether it is something that the agent was just starting the instance with, so far as is to be known: `names_it` says that
    /// its command line names the instance.
    pub(super) fn is_starting(&self, process: &Seen, names_it: impl Fn(&Seen) -> bool) -> bool {
        self.members.contains(&process.id)
            && (self.is_unborn(process) || (STARTERS.contains(&process.name.as_str()) && names_it(process)))
    }

    /// Whether it is a child that has not become its program yet, whatever that will be: reading that from a disk may take long.
    fn is_unborn(&self, process: &Seen) -> bool {
        self.agent_line.is_some() && proc::command_line(process.id.pid) == self.agent_line
    }
}

/// Everything descended from a process, itself not included.
fn descendants(of: i32) -> io::Result<BTreeSet<Identity>> {
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
