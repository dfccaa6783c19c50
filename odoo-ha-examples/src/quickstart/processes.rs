//! The processes that the demo started, and nobody else's.
//!
//! The demo is the reaper of its descendants (`PR_SET_CHILD_SUBREAPER`): whatever an agent leaves behind (its guard, its
//! PostgreSQL) becomes the demo's child, so that ours are told from others by descent alone, and none stays a zombie.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::process::{Pid, Signal, WaitOptions, kill_process, set_child_subreaper, wait};

/// Waits for all children and remembers how they ended.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reaper {
    ended: Arc<Mutex<BTreeMap<i32, String>>>,
}

impl Reaper {
    /// Makes this process the one that its orphaned descendants go to. From here on nobody else may wait for a child.
    pub(crate) fn start() -> std::io::Result<Self> {
        set_child_subreaper(Some(rustix::process::getpid()))?;
        let reaper = Self::default();
        let ended = reaper.ended.clone();
        std::thread::Builder::new().name("reaper".into()).spawn(move || {
            loop {
                match wait(WaitOptions::empty()) {
                    Ok(Some((pid, status))) => {
                        let how = match (status.exit_status(), status.terminating_signal()) {
                            (Some(code), _) => format!("exit code {code}"),
                            (None, Some(signal)) => format!("signal {signal}"),
                            (None, None) => continue,
                        };
                        ended.lock().unwrap_or_else(PoisonError::into_inner).insert(pid.as_raw_nonzero().get(), how);
                    }
                    // There is no child at present.
                    Ok(None) | Err(_) => std::thread::sleep(Duration::from_millis(5)),
                }
            }
        })?;
        Ok(reaper)
    }

    /// How this process ended; `None` while it runs.
    pub(crate) fn how_ended(&self, pid: i32) -> Option<String> {
        self.ended.lock().unwrap_or_else(PoisonError::into_inner).get(&pid).cloned()
    }
}

/// Sends a signal; a process that is gone already is fine.
pub(crate) fn signal(pid: i32, signal: Signal) {
    if let Some(pid) = Pid::from_raw(pid).filter(|pid| !pid.is_init()) {
        let _gone = kill_process(pid, signal);
    }
}

/// All descendants of this process that still run.
pub(crate) fn descendants() -> BTreeSet<i32> {
    let parents: Vec<(i32, i32)> = all().into_iter().filter_map(|pid| Some((pid, parent_if_running(pid)?))).collect();
    let mut found = BTreeSet::from([rustix::process::getpid().as_raw_nonzero().get()]);
    loop {
        let before = found.len();
        found.extend(
            parents.iter().filter(|(_, parent)| found.contains(parent)).map(|(pid, _)| *pid).collect::<Vec<_>>(),
        );
        if found.len() == before {
            break;
        }
    }
    found.remove(&rustix::process::getpid().as_raw_nonzero().get());
    found
}

/// The processes of the PostgreSQL in this data directory: its main process goes there, and all its children stay.
pub(crate) fn of_database(data_dir: &Path) -> BTreeSet<i32> {
    descendants().into_iter().filter(|pid| working_dir(*pid).as_deref() == Some(data_dir)).collect()
}

/// Those of these processes whose parent is none of them: of one PostgreSQL, its main process.
pub(crate) fn heads(processes: &BTreeSet<i32>) -> BTreeSet<i32> {
    let is_head = |pid: &&i32| state_and_parent(**pid).is_some_and(|(_, parent)| !processes.contains(&parent));
    processes.iter().filter(is_head).copied().collect()
}

/// Kills them all at once, as nearly as it can be done: nobody gets to run between the signals, so that no child reports
/// the death of another.
pub(crate) fn kill_together(list: impl Fn() -> BTreeSet<i32>) -> BTreeSet<i32> {
    let mut killed = BTreeSet::new();
    for _ in 0..20 {
        let left: BTreeSet<i32> = list();
        if left.is_empty() {
            break;
        }
        for pid in &left {
            signal(*pid, Signal::STOP);
        }
        for pid in &left {
            signal(*pid, Signal::KILL);
        }
        killed.extend(left);
        std::thread::sleep(Duration::from_millis(1));
    }
    killed
}

/// Whether the process is stopped by a signal.
pub(crate) fn is_stopped(pid: i32) -> bool {
    state_and_parent(pid).is_some_and(|(state, _)| state == 'T')
}

fn all() -> Vec<i32> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

fn parent_if_running(pid: i32) -> Option<i32> {
    state_and_parent(pid).filter(|(state, _)| *state != 'Z' && *state != 'X').map(|(_, parent)| parent)
}

fn state_and_parent(pid: i32) -> Option<(char, i32)> {
    parse_stat(&std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// Of `12 (a (strange) name) S 1 …`: the name may contain anything, the last parenthesis ends it (`proc_pid_stat(5)`).
fn parse_stat(stat: &str) -> Option<(char, i32)> {
    let mut fields = stat[stat.rfind(')')? + 1..].split_whitespace();
    Some((fields.next()?.chars().next()?, fields.next()?.parse().ok()?))
}

fn working_dir(pid: i32) -> Option<PathBuf> {
    std::fs::read_link(format!("/proc/{pid}/cwd")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_parentheses_do_not_mislead() {
        assert_eq!(parse_stat("12 (a (strange) 1 S) name) T 7 12 12"), Some(('T', 7)));
        assert_eq!(parse_stat("nonsense"), None);
    }

    #[test]
    fn a_child_is_a_descendant_until_it_ends() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().expect("it starts");
        let pid = i32::try_from(child.id()).expect("it is small");
        assert!(descendants().contains(&pid));
        signal(pid, Signal::KILL);
        child.wait().expect("it ends");
        assert!(!descendants().contains(&pid));
    }
}
