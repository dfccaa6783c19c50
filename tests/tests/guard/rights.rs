//! What a guard does that lacks rights, as in a container: root's eyes are those of `CAP_SYS_PTRACE`.

use std::sync::{Mutex, PoisonError};

use odoo_ha_backends::guard::GuardState;
use rustix::process::Signal;

use crate::agent::Agent;
use crate::postgres::Instance;
use crate::situations::{TTL_MS, acted, guard, kill};
use crate::wait_until;

/// What cannot be looked at may be anybody's of one user, so only one test at a time has such a thing.
static ALONE: Mutex<()> = Mutex::new(());

/// Runs a test alone, as root: an agent that is not root runs PostgreSQL as itself, and lacks nothing.
fn as_root(test: impl FnOnce()) {
    if !rustix::process::geteuid().is_root() {
        println!("skipped: only root has rights to lack");
        return;
    }
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    test();
}

#[test]
fn without_the_right_to_look_everything_is_found_all_the_same() {
    as_root(|| {
        for orphans in [false, true] {
            let mut instance = Instance::start();
            instance.open_sessions(3);
            let mut agent = Agent::start_without(&instance, &["sys_ptrace"]);
            agent.must(&format!("arm 1 1 {TTL_MS}"));
            let deadline = guard(&instance).deadline.expect("it is armed");
            if orphans {
                let postmaster = instance.postmaster();
                let children: Vec<i32> = instance.processes().into_iter().filter(|pid| *pid != postmaster).collect();
                instance.freeze(&children);
                kill(postmaster);
            }
            agent.signal(Signal::KILL);
            agent.ended_by();
            let gone = instance.gone_at();
            assert!(gone < deadline, "gone at {gone}, the deadline was {deadline}");
            let firing = acted(&instance, "without the right to look");
            assert!(firing.asked + firing.killed > 0, "{firing:?}");
            assert_eq!(firing.unseen, 0);
        }
    });
}

#[test]
fn without_what_it_takes_it_is_not_armed_and_says_so() {
    as_root(|| {
        let instance = Instance::start();
        for (rights, expected) in [
            (&["sys_ptrace", "setuid"] as &[&str], "may not look where processes of user"),
            (&["sys_ptrace", "setgid"], "may not look where processes of user"),
            (&["kill"], "may not end processes of user"),
        ] {
            let mut agent = Agent::start_without(&instance, rights);
            let said = agent.ask("arm 1 1 20000");
            assert!(said.starts_with("misconfigured") && said.contains(expected), "{rights:?}: {said}");
            assert!(said.contains("CAP_KILL and CAP_SYS_PTRACE"), "{said}");
            let status = guard(&instance);
            assert_eq!(status.state, GuardState::Idle);
            // The next one has other rights, and so must its guard.
            kill(status.pid);
        }
        assert_eq!(instance.query("select 1"), "1");
    });
}

#[test]
fn what_may_be_the_database_and_cannot_be_looked_at_is_not_taken_for_nothing() {
    as_root(|| {
        let instance = Instance::start();
        let mut agent = Agent::start_without(&instance, &["sys_ptrace"]);
        let mut closed = instance.start_closed("postgres");
        let said = agent.ask("arm 1 1 20000");
        assert!(said.starts_with("misconfigured"), "{said}");
        assert!(said.contains(&format!("may not look where process {} works", closed.id())), "{said}");
        kill(i32::try_from(closed.id()).expect("it is a small number"));
        closed.wait().expect("it is ours");
        agent.must(&format!("arm 1 1 {TTL_MS}"));
        // From here on it is too late to refuse.
        let mut closed = instance.start_closed("postgres");
        agent.signal(Signal::KILL);
        wait_until("all but that is gone", || instance.processes() == [i32::try_from(closed.id()).expect("small")]);
        wait_until("the guard says what it cannot see", || {
            let status = guard(&instance);
            status.last.is_some_and(|firing| firing.unseen == 1 && firing.ended.is_none())
        });
        assert_eq!(guard(&instance).state, GuardState::Acting);
        kill(i32::try_from(closed.id()).expect("it is a small number"));
        closed.wait().expect("it is ours");
        assert_eq!(acted(&instance, "something closed").unseen, 0);
    });
}

#[test]
fn what_cannot_be_looked_at_and_names_the_directory_is_stopped() {
    as_root(|| {
        let instance = Instance::start();
        let mut agent = Agent::start_without(&instance, &["sys_ptrace"]);
        agent.must(&format!("arm 1 1 {TTL_MS}"));
        let mut closed = instance.start_closed(&format!("postgres -D {}", instance.data_dir().display()));
        agent.signal(Signal::KILL);
        wait_until("it is stopped", || closed.try_wait().expect("it is ours").is_some());
        assert_eq!(acted(&instance, "something closed that names the directory").unseen, 0);
    });
}
