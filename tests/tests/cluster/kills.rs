//! Something dies.

use odoo_ha_tests::lab::{Plan, situation};

#[test]
fn database_killed() {
    situation("kills::database_killed", Plan::nodes(2), async |lab| {
        let before = lab.whole().await;
        lab.nodes[before.leader].kill_database();
        lab.led_anew(before).await;
    });
}

#[test]
fn agent_killed() {
    situation("kills::agent_killed", Plan::nodes(2), async |lab| {
        let before = lab.whole().await;
        lab.nodes[before.leader].agent().kill();
        // The guard stops the database and drops the address; the other takes over.
        let after = lab.led_anew(before).await;
        assert_ne!(after.leader, before.leader);
        lab.writes().await;
        lab.nodes[before.leader].agent().restart();
    });
}

#[test]
fn agent_and_database_killed() {
    situation("kills::agent_and_database_killed", Plan::nodes(2), async |lab| {
        let before = lab.whole().await;
        lab.nodes[before.leader].agent().kill();
        lab.nodes[before.leader].kill_database();
        let after = lab.led_anew(before).await;
        assert_ne!(after.leader, before.leader);
        lab.writes().await;
        lab.nodes[before.leader].agent().restart();
    });
}

#[test]
fn everything_killed_at_once_and_started_again() {
    situation("kills::everything_killed_at_once_and_started_again", Plan::nodes(2), async |lab| {
        lab.writes_more(50).await;
        for node in &lab.nodes {
            node.kill_everything();
        }
        lab.store.processes().for_each(|member| member.kill());
        lab.store.processes().for_each(|member| member.restart());
        for node in &lab.nodes {
            node.agent().restart();
        }
    });
}

#[test]
fn the_store_s_leader_killed_during_a_failover() {
    let test = "kills::the_store_s_leader_killed_during_a_failover";
    situation(test, Plan::nodes(2).stores(3), async |lab| {
        let before = lab.whole().await;
        let member = lab.store.leader().await;
        lab.nodes[before.leader].kill_everything();
        let other = &lab.nodes[lab.other(&[before.leader])];
        lab.soon("the other one suspects", || other.said("kind=LeaderSuspected")).await;
        lab.store.member(member).kill();
        lab.led_anew(before).await;
        lab.writes().await;
        lab.store.member(member).restart();
        lab.nodes[before.leader].agent().restart();
    });
}

#[test]
fn killed_again_while_the_first_still_rejoins() {
    let test = "kills::killed_again_while_the_first_still_rejoins";
    situation(test, Plan::nodes(3), async |lab| {
        let first = lab.whole().await;
        lab.nodes[first.leader].kill_everything();
        let second = lab.led_anew(first).await;
        lab.writes().await;
        let old = &lab.nodes[first.leader];
        old.agent().restart();
        lab.soon("the old leader's agent is back", || old.log().matches("to: \"following\"").count() > 1).await;
        lab.nodes[second.leader].kill_everything();
        lab.led_anew(second).await;
        lab.writes().await;
        lab.nodes[second.leader].agent().restart();
    });
}
