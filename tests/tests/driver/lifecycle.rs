//! How a node is built, spawned, asked, and ended.

use std::sync::Arc;
use std::time::Duration;

use odoo_ha_core::driver::{HaNode, Lanes, Streamed};
use odoo_ha_core::error::ErrorKind;
use odoo_ha_core::event::EventKind;
use odoo_ha_core::machine::StateName;
use odoo_ha_core::policy::{Policy, SyncMode, Timing};

use super::node::{Member, block_on, eventually, renewals_go_on, until};
use super::world::{Helper, Store};

#[test]
fn what_is_missing_or_broken_is_named_at_once() {
    let refused = HaNode::builder().build().unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Misconfigured);
    for part in ["cluster", "member", "endpoint", "dcs", "database", "state_dir"] {
        assert!(refused.what().contains(part), "{refused}");
    }
    let store = Store::new();
    let member = Member::new("a", &store);
    let mut timing = Timing::default();
    timing.renew_interval = timing.ttl;
    let refused = member.builder().timing(timing).build().unwrap_err();
    assert!(refused.to_string().contains("2 x renew_interval + clock_margin + stop_budget <= ttl"), "{refused}");
    let probe = Arc::<Helper>::default();
    let twice = member.builder().probe(probe.clone(), Default::default()).probe(probe, Default::default());
    assert!(twice.build().unwrap_err().to_string().contains("two probes"));
}

#[test]
fn one_agent_a_state_directory_and_the_next_start_takes_up_where_the_last_was_killed() {
    let store = Store::new();
    let member = Member::new("a", &store);
    let handle = member.spawn_leader(member.builder());
    let refused = member.builder().build().unwrap().spawn().unwrap_err();
    assert!(refused.to_string().contains(&format!("process {}", std::process::id())), "{refused}");
    let term = handle.status().term;
    handle.kill();
    block_on(handle.ended());
    assert_eq!(block_on(handle.reinit()).unwrap_err().kind(), ErrorKind::NotReady);
    // The database outlives the agent.
    assert!(member.database.state().runs());
    let again = member.spawn_leader(member.builder());
    assert_eq!(again.status().term, term);
    block_on(again.shutdown(true)).unwrap();
}

#[test]
fn shutdown_is_orderly_tells_the_notifiers_and_lets_every_thread_end() {
    let store = Store::new();
    let member = Member::new("a", &store);
    let notifier = Arc::<Helper>::default();
    let handle = member.spawn_leader(member.builder().notifier(notifier.clone()));
    let mut events = handle.events();
    block_on(handle.shutdown(true)).unwrap();
    assert_eq!(handle.status().state, StateName::Stopped);
    assert!(!member.database.state().runs());
    assert!(!*member.address.here.lock().unwrap());
    let mut ids = Vec::new();
    while let Some(Streamed::Event(event)) = block_on(events.next()) {
        ids.push(event.id);
    }
    assert!(!ids.is_empty());
    assert!(notifier.told.lock().unwrap().ends_with(&ids));
    // Again, and of an ended node: done already.
    block_on(handle.shutdown(true)).unwrap();
    // Every thread and task of the node held one of these.
    eventually("all threads let go", || Arc::strong_count(&member.client) == 1 && Arc::strong_count(&notifier) == 1);
}

#[test]
fn without_handles_the_node_goes_on() {
    let store = Store::new();
    let member = Member::new("a", &store);
    drop(member.spawn_leader(member.builder()));
    let begun = store.renewals();
    eventually("it renews", || store.renewals() >= begun + 20);
}

#[test]
fn requests_are_answered_and_refusals_say_why() {
    let store = Store::new();
    let member = Member::new("a", &store);
    let handle = member.spawn_leader(member.builder());
    block_on(handle.pause()).unwrap();
    assert!(handle.status().paused);
    block_on(handle.resume()).unwrap();
    until(&handle, "it is not paused", |status| !status.paused);
    let refused = block_on(handle.switchover(None)).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::NotReady, "{refused}");
    let mut timing = Timing::default();
    timing.stop_budget = timing.ttl;
    assert_eq!(block_on(handle.set_timing(timing)).unwrap_err().kind(), ErrorKind::Misconfigured);
    block_on(handle.set_timing(Timing::with_ttl(Duration::from_secs(7)))).unwrap();
    until(&handle, "the ttl is in force", |status| {
        status.leader_record.as_ref().is_some_and(|leader| leader.ttl() == Duration::from_secs(7))
    });
    handle.kill();
}

#[test]
fn a_probe_that_changes_its_mind_is_an_event() {
    let store = Store::new();
    let member = Member::new("a", &store);
    let probe = Arc::<Helper>::default();
    let settings = odoo_ha_core::policy::ProbeSettings::with(|settings| {
        settings.interval = Duration::from_millis(50);
        settings.weight = 7;
    });
    let handle = member.builder().probe(probe.clone(), settings).build().unwrap().spawn().unwrap();
    let mut events = handle.events();
    let mut next = |wanted: bool| loop {
        if let Some(Streamed::Event(event)) = block_on(events.next())
            && let EventKind::HealthChanged { probe, healthy } = event.kind
        {
            assert_eq!((probe.as_str(), healthy), ("page", wanted));
            break;
        }
    };
    next(false);
    until(&handle, "it counts", |status| status.members.values().any(|member| member.penalty == 7));
    *probe.healthy.lock().unwrap() = true;
    next(true);
    handle.kill();
}

#[test]
fn when_the_leader_s_agent_is_killed_the_other_member_takes_over() {
    let store = Store::new();
    let (one, two) = (Member::new("a", &store), Member::new("b", &store));
    let lanes = Arc::new(Lanes::new());
    let mut policy = Policy::default();
    policy.sync_mode = SyncMode::Asynchronous;
    let mut timing = Timing::with_ttl(Duration::from_secs(2));
    timing.observe_interval = Duration::from_millis(100);
    // On the same threads, as two clusters of one process would be.
    let builder = |member: &Member| member.builder().policy(policy).timing(timing).lanes(lanes.clone());
    let leader = one.spawn_leader(builder(&one));
    let standby = builder(&two).build().unwrap().spawn().unwrap();
    until(&standby, "it streams", |status| {
        status.database.as_ref().is_some_and(|database| database.streaming) && status.cluster.as_str() == "shop"
    });
    until(&leader, "the leader knows it", |status| status.members.len() == 2);
    let term = leader.status().term;
    leader.kill();
    until(&standby, "it leads", |status| status.state == StateName::Leading && status.address_here);
    assert!(standby.status().term > term);
    renewals_go_on(&standby, &store, 5);
    block_on(standby.shutdown(true)).unwrap();
}
