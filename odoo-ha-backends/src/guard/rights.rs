//! Whether a guard has the rights that it would need: found out before it is armed.

use std::collections::BTreeSet;

use rustix::process::{Pid, geteuid, test_kill_process};
use rustix::thread::{CapabilitySet, capabilities};

use super::proc::{self, own_pid};
use super::stop::{Instance, Stop};

/// Whether this guard could find and end the processes of this instance; else why not. `agent` is left out of it.
pub(super) fn check(instance: &Instance, agent: i32) -> Result<(), String> {
    let own = geteuid();
    let user = instance.owner.map_or_else(|| "PostgreSQL's user".to_owned(), |owner| format!("user {owner}"));
    // PostgreSQL does not run as root.
    if instance.owner.map_or(own.is_root(), |owner| owner != own.as_raw()) {
        let held = capabilities(None).map_err(|error| format!("it cannot tell its own rights: {error}"))?.effective;
        let becomes = CapabilitySet::SETUID | CapabilitySet::SETGID;
        // Where /proc hides what is another's, nobody is seen to be looked at.
        let finds = proc::look(1).is_some() && held.contains(becomes);
        if !finds && !held.contains(CapabilitySet::SYS_PTRACE) {
            return Err(format!("it may not look where processes of {user} work"));
        }
        if !held.contains(CapabilitySet::KILL) {
            return Err(format!("it may not end processes of {user}"));
        }
    }
    // Rights are not all of it: what runs now is looked at by the eyes that would have to find it.
    let mut stop = Stop::new(instance.clone(), BTreeSet::from([own_pid(), agent]), None);
    let found = stop.look().map_err(|error| format!("it cannot look into /proc: {error}"))?;
    if let Some(pid) = found.unseen.first() {
        return Err(format!("it may not look where process {pid} works, a PostgreSQL of {user}"));
    }
    let denied =
        |pid: &i32| Pid::from_raw(*pid).is_some_and(|pid| test_kill_process(pid) == Err(rustix::io::Errno::PERM));
    match found.members.iter().map(|member| member.id.pid).find(|pid| denied(pid)) {
        Some(pid) => Err(format!("it may not end process {pid}, which is of the database")),
        None => Ok(()),
    }
}
