//! Something stands still.

use odoo_ha_tests::lab::{Plan, situation};
use rustix::process::Signal;

#[test]
fn agent_frozen() {
    situation("frozen::agent_frozen", Plan::nodes(2), async |lab| {
        let before = lab.whole().await;
        let frozen = &lab.nodes[before.leader];
        frozen.unsupervised();
        frozen.agent().freeze();
        let after = lab.led_anew(before).await;
        assert_ne!(after.leader, before.leader);
        lab.writes().await;
        lab.drops_the_address(before.leader).await;
        frozen.agent().restart();
    });
}

#[test]
fn agent_frozen_and_started_again_once_its_guard_has_killed_it() {
    let test = "frozen::agent_frozen_and_started_again_once_its_guard_has_killed_it";
    situation(test, Plan::nodes(2), async |lab| {
        let before = lab.whole().await;
        let frozen = &lab.nodes[before.leader];
        frozen.agent().freeze();
        // It comes back before its leadership has ended, with its database stopped: it may lead on, or another does.
        lab.soon("its supervisor starts it again", || frozen.restarts() == 1).await;
        lab.expect_restarts(1);
        lab.writes().await;
    });
}

#[test]
fn agent_frozen_in_asynchronous_mode() {
    let test = "frozen::agent_frozen_in_asynchronous_mode";
    situation(test, Plan::nodes(2).asynchronous(), async |lab| {
        let before = lab.whole().await;
        let frozen = &lab.nodes[before.leader];
        frozen.unsupervised();
        frozen.agent().freeze();
        let after = lab.led_anew(before).await;
        assert_ne!(after.leader, before.leader);
        lab.writes().await;
        frozen.agent().restart();
    });
}

#[test]
fn agent_frozen_for_less_than_it_may() {
    situation("frozen::agent_frozen_for_less_than_it_may", Plan::nodes(2), async |lab| {
        for _ in 0..5 {
            let before = lab.whole().await;
            lab.nodes[before.leader].agent().freeze();
            // Rows, not time: the longer the machine takes for them, the nearer it comes to the end of what the agent may.
            lab.writes_more(20).await;
            lab.nodes[before.leader].agent().thaw();
        }
    });
}

#[test]
fn database_frozen() {
    situation("frozen::database_frozen", Plan::nodes(2), async |lab| {
        let before = lab.whole().await;
        lab.nodes[before.leader].signal_database(Signal::STOP);
        lab.led_anew(before).await;
    });
}

#[test]
fn standby_s_database_frozen() {
    situation("frozen::standby_s_database_frozen", Plan::nodes(2), async |lab| {
        let before = lab.whole().await;
        let standby = &lab.nodes[lab.other(&[before.leader])];
        standby.signal_database(Signal::STOP);
        lab.writes_more(50).await;
        standby.signal_database(Signal::CONT);
        assert_eq!(lab.whole().await, before);
    });
}
