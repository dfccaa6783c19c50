//! What may befall an agent and its guard.

use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use odoo_ha_backends::guard::{Firing, GuardConfig, GuardState, GuardStatus, now};
use odoo_ha_core::error::ErrorKind;
use odoo_ha_core::roles::{Feed, Watchdog};
use odoo_ha_core::term::Term;
use odoo_ha_core::time::Moment;
use rustix::process::{Pid, Signal, kill_process, test_kill_process};

use crate::agent::Agent;
use crate::postgres::Instance;
use crate::{PATIENCE, wait_until};

/// The situations count in this ttl.
pub(crate) const TTL_MS: u64 = 2_000;

/// The guard as an operator sees it.
pub(crate) fn look(instance: &Instance) -> Option<GuardStatus> {
    let watchdog =
        GuardConfig::new(instance.data_dir()).runtime_dir(instance.runtime_dir()).build().expect("it is right");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime is had");
    runtime.block_on(watchdog.status(PATIENCE)).expect("the guard answers")
}

pub(crate) fn guard(instance: &Instance) -> GuardStatus {
    look(instance).expect("the guard is there")
}

/// Waits until the guard has acted, and says how it went.
pub(crate) fn acted(instance: &Instance, situation: &str) -> Firing {
    let mut last = None;
    wait_until("the guard has acted", || {
        let status = guard(instance);
        last = status.last;
        status.state == GuardState::Acted
    });
    let firing = last.expect("it has acted");
    let ended = firing.ended.expect("it is through");
    println!(
        "{situation}: acted {} ms before the deadline, all dead {} ms later ({} asked, {} killed)",
        firing.deadline.since(firing.began).as_millis(),
        ended.since(firing.began).as_millis(),
        firing.asked,
        firing.killed
    );
    firing
}

/// Lets time pass on the guard's clock, looking that the database stays as it is.
fn undisturbed_until(instance: &Instance, at: Moment) {
    let postmaster = instance.postmaster();
    while now() < at {
        assert!(instance.processes().contains(&postmaster), "the database is disturbed");
        std::thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(instance.query("select 1"), "1");
    assert_eq!(instance.postmaster(), postmaster);
}

pub(crate) fn kill(pid: i32) {
    kill_process(Pid::from_raw(pid).expect("a number of a process"), Signal::KILL).expect("it lives");
}

#[test]
fn agent_killed_and_the_database_is_stopped_before_the_deadline() {
    let mut instance = Instance::start();
    let neighbour = Instance::start_named("data2");
    instance.open_sessions(5);
    let mut agent = Agent::start(&instance);
    agent.must(&format!("arm 1 1 {TTL_MS}"));
    agent.must(&format!("keep 1 1 {TTL_MS}"));
    undisturbed_until(&instance, now() + Duration::from_millis(TTL_MS));
    agent.signal(Signal::KILL);
    agent.ended_by();
    let deadline = guard(&instance).deadline.expect("it is armed");
    let gone = instance.gone_at();
    assert!(gone < deadline, "gone at {gone}, the deadline was {deadline}");
    let firing = acted(&instance, "agent killed");
    assert_eq!(firing.deadline, deadline);
    assert!(!firing.agent_killed);
    assert!(deadline.since(firing.began) <= Duration::from_millis(600), "not before it was time");
    assert_eq!(neighbour.query("select 1"), "1");
}

#[test]
fn agent_frozen_is_killed_and_its_sockets_are_closed() {
    let mut instance = Instance::start();
    instance.open_sessions(5);
    let mut agent = Agent::start(&instance);
    let address: SocketAddr = agent.ask("listen").strip_prefix("ok ").expect("it listens").parse().expect("an address");
    let starting: i32 = agent.ask("begin-start").strip_prefix("ok ").expect("it starts").parse().expect("a number");
    agent.must(&format!("arm 1 1 {TTL_MS}"));
    agent.must(&format!("keep 1 1 {TTL_MS}"));
    assert!(TcpListener::bind(address).is_err(), "the agent holds the address");
    agent.signal(Signal::STOP);
    wait_until("the deadline stands still", || {
        let before = guard(&instance).deadline;
        std::thread::sleep(Duration::from_millis(250));
        before == guard(&instance).deadline
    });
    let deadline = guard(&instance).deadline.expect("it is armed");
    assert_eq!(agent.ended_by(), Some(Signal::KILL.as_raw()));
    assert!(TcpListener::bind(address).is_ok(), "the address is free");
    let gone = instance.gone_at();
    assert!(gone < deadline, "gone at {gone}, the deadline was {deadline}");
    assert!(acted(&instance, "agent frozen").agent_killed);
    wait_until("what was starting the database is gone", || is_gone(starting));
}

fn is_gone(pid: i32) -> bool {
    test_kill_process(Pid::from_raw(pid).expect("a number of a process")).is_err() || is_zombie(pid)
}

fn is_zombie(pid: i32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| stat.contains(") Z "))
}

#[test]
fn agent_restarted_within_its_leave_and_the_database_is_undisturbed() {
    let instance = Instance::start();
    let mut first = Agent::start(&instance);
    first.must(&format!("arm 1 1 {TTL_MS}"));
    let before = guard(&instance);
    first.signal(Signal::KILL);
    first.ended_by();
    let mut second = Agent::start(&instance);
    second.must(&format!("arm 2 1 {TTL_MS}"));
    second.must(&format!("keep 2 1 {TTL_MS}"));
    undisturbed_until(&instance, before.deadline.expect("it is armed") + Duration::from_millis(TTL_MS));
    let after = guard(&instance);
    assert_eq!((after.pid, after.state, after.incarnation), (before.pid, GuardState::Armed, Some(2)));
}

#[test]
fn guard_killed_is_seen_at_once_and_replaced() {
    let instance = Instance::start();
    let mut agent = Agent::start(&instance);
    agent.must("arm 1 1 10000");
    agent.must("watch");
    let first = guard(&instance);
    let killed = now();
    kill(first.pid);
    let lost = agent.next_line();
    let nanos = lost.strip_prefix("lost ").expect("it is lost").parse().expect("a moment");
    let after = Moment::from_origin(Duration::from_nanos(nanos)).since(killed);
    println!("guard killed: seen after {} µs", after.as_micros());
    assert!(after < Duration::from_millis(500));
    assert!(agent.ask("feed 1 1 10000").starts_with("unavailable"), "nobody is fed");
    agent.must(&format!("arm 1 1 {TTL_MS}"));
    let second = guard(&instance);
    assert_ne!(second.pid, first.pid);
    assert!(!std::path::Path::new(&format!("/proc/{}", first.pid)).exists(), "no zombie is left");
    agent.signal(Signal::KILL);
    assert!(instance.gone_at() < second.deadline.expect("it is armed"));
}

#[test]
fn paused_leave_never_ends() {
    let instance = Instance::start();
    let mut agent = Agent::start(&instance);
    agent.must(&format!("arm 1 1 {TTL_MS}"));
    let deadline = guard(&instance).deadline.expect("it is armed");
    agent.must("feed 1 1 never");
    assert_eq!(guard(&instance).deadline, None);
    agent.signal(Signal::KILL);
    agent.ended_by();
    undisturbed_until(&instance, deadline + Duration::from_millis(TTL_MS));
    assert_eq!(guard(&instance).state, GuardState::Armed);
}

#[test]
fn frozen_processes_of_the_database_are_killed_too() {
    for postmaster_too in [false, true] {
        let mut instance = Instance::start();
        instance.open_sessions(5);
        let mut agent = Agent::start(&instance);
        agent.must(&format!("arm 1 1 {TTL_MS}"));
        let deadline = guard(&instance).deadline.expect("it is armed");
        let postmaster = instance.postmaster();
        let mut frozen = instance.processes();
        frozen.retain(|pid| postmaster_too || *pid != postmaster);
        instance.freeze(&frozen);
        agent.signal(Signal::KILL);
        let gone = instance.gone_at();
        assert!(gone < deadline, "gone at {gone}, the deadline was {deadline}");
        let firing = acted(&instance, if postmaster_too { "all frozen" } else { "all children frozen" });
        assert!(firing.killed >= u64::try_from(frozen.len()).unwrap());
    }
}

#[test]
fn orphans_of_a_killed_postmaster_are_stopped() {
    let mut instance = Instance::start();
    instance.open_sessions(5);
    let mut agent = Agent::start(&instance);
    agent.must(&format!("arm 1 1 {TTL_MS}"));
    let postmaster = instance.postmaster();
    let children: Vec<i32> = instance.processes().into_iter().filter(|pid| *pid != postmaster).collect();
    instance.freeze(&children);
    kill(postmaster);
    let deadline = guard(&instance).deadline.expect("it is armed");
    let gone = instance.gone_at();
    assert!(gone < deadline, "gone at {gone}, the deadline was {deadline}");
    assert!(acted(&instance, "orphans").agent_killed, "an agent that only waits is not fed and is killed");
}

#[test]
fn of_two_agents_the_older_is_refused() {
    let instance = Instance::start();
    let mut older = Agent::start(&instance);
    let mut newer = Agent::start(&instance);
    older.must("arm 1 1 20000");
    newer.must("arm 2 1 20000");
    assert!(older.ask("feed 1 1 90000").starts_with("fenced"));
    assert!(older.ask("arm 1 2 90000").starts_with("fenced"));
    assert!(older.ask("disarm").starts_with("unknown"));
    newer.must("feed 2 1 20000");
    assert!(newer.ask("arm 2 0 90000").starts_with("fenced"), "an older term is refused too");
    assert!(newer.ask("arm 2 1 300").starts_with("not ready"), "too late to be armed");
    let status = guard(&instance);
    assert_eq!((status.state, status.incarnation, status.term), (GuardState::Armed, Some(2), Some(Term(1))));
    newer.must("disarm");
    assert_eq!(guard(&instance).state, GuardState::Idle);
}

#[test]
fn guard_that_has_acted_feeds_on_nothing_until_it_is_armed_anew() {
    let instance = Instance::start();
    let mut agent = Agent::start_with(&instance, &["spare"]);
    agent.must(&format!("arm 5 7 {TTL_MS}"));
    instance.gone_at();
    assert!(!acted(&instance, "agent spared").agent_killed);
    for what in ["feed 5 7 20000", "arm 5 7 20000"] {
        assert!(agent.ask(what).starts_with("fenced"), "{what}");
    }
    // Nor does one that is started again.
    kill(guard(&instance).pid);
    for what in ["arm 5 7 20000", "arm 4 9 20000"] {
        let said = agent.ask(what);
        assert!(said.starts_with("fenced"), "{what}: {said}");
    }
    instance.start_again();
    agent.must("arm 5 8 20000");
    assert_eq!(guard(&instance).state, GuardState::Armed);
    let mut restarted = Agent::start(&instance);
    restarted.must("arm 6 8 20000");
    assert_eq!(instance.query("select 1"), "1");
}

#[test]
fn new_start_of_the_agent_arms_for_the_term_that_was_acted_against() {
    let instance = Instance::start();
    let mut first = Agent::start(&instance);
    first.must(&format!("arm 1 3 {TTL_MS}"));
    instance.gone_at();
    acted(&instance, "agent silent");
    assert_eq!(first.ended_by(), Some(Signal::KILL.as_raw()));
    let mut second = Agent::start(&instance);
    second.must(&format!("arm 2 3 {TTL_MS}"));
    second.must(&format!("keep 2 3 {TTL_MS}"));
    instance.start_again();
    undisturbed_until(&instance, now() + Duration::from_millis(2 * TTL_MS));
}

#[test]
fn disarmed_guard_leaves_the_database_alone_and_goes() {
    let instance = Instance::start();
    let mut agent = Agent::start(&instance);
    agent.must("disarm");
    agent.must(&format!("arm 1 1 {TTL_MS}"));
    agent.must("watch");
    let before = guard(&instance);
    agent.must("disarm");
    agent.must("disarm");
    agent.signal(Signal::KILL);
    undisturbed_until(&instance, before.deadline.expect("it is armed") + Duration::from_millis(500));
    wait_until("the guard has gone", || {
        !std::path::Path::new(&format!("/proc/{}", before.pid)).exists() || is_zombie(before.pid)
    });
    assert!(look(&instance).is_none());
}

#[test]
fn signals_to_the_agents_group_do_not_reach_the_guard() {
    let instance = Instance::start();
    let mut agent = Agent::start(&instance);
    agent.must(&format!("arm 1 1 {TTL_MS}"));
    let status = guard(&instance);
    for signal in [Signal::HUP, Signal::INT, Signal::TERM] {
        // The first one may have ended the agent, and its group with it.
        if agent.is_alive() {
            agent.signal_group(signal);
        }
    }
    agent.ended_by();
    assert_eq!(guard(&instance).pid, status.pid);
    assert!(instance.gone_at() < status.deadline.expect("it is armed"));
}

#[test]
fn address_is_dropped_before_the_database_stops_and_never_at_its_cost() {
    let hangs = "sleep 1000 & echo $! >>run.left; wait";
    for (script, outcome) in [("kill -0 $(head -1 data/postmaster.pid)", "exit status: 0"), (hangs, "killed after")] {
        let mut instance = Instance::start();
        instance.open_sessions(2);
        let script = format!("cd {}; {script}", instance.runtime_dir().with_file_name("").display());
        let mut agent = Agent::start_with(&instance, &["kill", "/bin/sh", "-c", &script]);
        agent.must(&format!("arm 1 1 {TTL_MS}"));
        let deadline = guard(&instance).deadline.expect("it is armed");
        let gone = instance.gone_at();
        assert!(gone < deadline, "gone at {gone}, the deadline was {deadline}");
        let firing = acted(&instance, "with an address to drop");
        for said in [firing.drop_address, firing.stop_services] {
            let said = said.expect("there is a command");
            assert!(said.contains(outcome), "{said}");
        }
        // What hung would go on some time, and drop the address of whoever has it then.
        let left = std::fs::read_to_string(instance.runtime_dir().with_extension("left")).unwrap_or_default();
        assert_eq!(left.lines().count(), if script.ends_with(hangs) { 2 } else { 0 });
        for left in left.lines() {
            wait_until("what the command had started is gone", || is_gone(left.parse().expect("a number")));
        }
    }
}

/// Its new program may come from a disk that hangs now, and be the database's.
#[test]
fn child_of_the_agent_that_is_not_its_program_yet_is_killed_too() {
    let instance = Instance::start();
    let mut agent = Agent::start(&instance);
    let unborn: i32 = agent.ask("begin-fork").strip_prefix("ok ").expect("it forks").parse().expect("a number");
    agent.must(&format!("arm 1 1 {TTL_MS}"));
    agent.signal(Signal::STOP);
    instance.gone_at();
    acted(&instance, "child not yet its program");
    assert!(is_gone(unborn), "it was to be gone before the guard said that it had acted");
}

#[test]
fn program_that_is_no_guard_is_refused_by_name() {
    let instance = Instance::start();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime is had");
    let feed = Feed { incarnation: 1, term: Term(1), deadline: None };
    for (program, expected) in [("/bin/true", "run_if_guard"), ("/bin/echo", "run_if_guard"), ("/nowhere", "/nowhere")]
    {
        let config = GuardConfig::new(instance.data_dir()).runtime_dir(instance.runtime_dir()).program(program);
        let error = runtime.block_on(config.build().unwrap().arm(feed, PATIENCE)).expect_err("it is no guard");
        assert_eq!(error.kind(), ErrorKind::Misconfigured);
        assert!(error.chain().contains(expected), "{}", error.chain());
    }
}
