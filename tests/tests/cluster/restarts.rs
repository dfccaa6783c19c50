//! An agent that dies in the middle of a passage, and is started again at once.

use std::process::Stdio;

use odoo_ha_tests::lab::{Lab, Plan, situation};

#[test]
fn agent_restarted_while_it_leads() {
    situation("restarts::agent_restarted_while_it_leads", Plan::nodes(2), async |lab| {
        let before = lab.whole().await;
        lab.nodes[before.leader].agent().restart();
        // Within the ttl the guard lets the new one take over what the old one had.
        assert_eq!(lab.whole().await, before);
    });
}

#[test]
fn agent_restarted_during_its_promotion() {
    situation("restarts::agent_restarted_during_its_promotion", Plan::nodes(2), async |lab| {
        let before = lab.whole().await;
        lab.nodes[before.leader].kill_everything();
        let winner = &lab.nodes[lab.other(&[before.leader])];
        lab.soon("the other one promotes", || winner.said("to: \"promoting\"")).await;
        winner.agent().restart();
        lab.writes().await;
        lab.nodes[before.leader].agent().restart();
    });
}

#[test]
fn agent_restarted_during_its_rewind() {
    situation("restarts::agent_restarted_during_its_rewind", Plan::nodes(2), async |lab| {
        let before = lab.whole().await;
        let old = &lab.nodes[before.leader];
        old.host().plugged(false);
        // What nobody else has, so that there is something to rewind.
        old.ask("set synchronous_commit = local; insert into probed values (now())").await.unwrap();
        lab.led_anew(before).await;
        lab.writes().await;
        lab.drops_the_address(before.leader).await;
        old.host().plugged(true);
        lab.soon("the old leader is rewound", || old.runs("pg_rewind")).await;
        old.agent().restart();
    });
}

#[test]
fn agent_restarted_during_its_base_backup() {
    situation("restarts::agent_restarted_during_its_base_backup", Plan::nodes(2), async |lab| {
        lab.join();
        let new = &lab.nodes[2];
        lab.soon("the new node is cloned", || new.runs("pg_basebackup")).await;
        new.agent().restart();
    });
}

/// Restarts the leader's agent, or the target's, as soon as a switchover has begun.
async fn during_a_switchover(lab: &Lab, the_leader_s: bool) {
    let before = lab.whole().await;
    let (leader, target) = (&lab.nodes[before.leader], &lab.nodes[lab.other(&[before.leader])]);
    let mut asking = leader.hactl_command(&["switchover"]);
    let mut asking = asking.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    lab.soon("the switchover begins", || leader.said("kind=SwitchoverStarted")).await;
    if the_leader_s {
        leader.agent().restart()
    } else {
        target.agent().restart()
    }
    lab.writes().await;
    lab.whole().await;
    asking.kill().unwrap();
    asking.wait().unwrap();
}

#[test]
fn leader_s_agent_restarted_during_a_switchover() {
    let test = "restarts::leader_s_agent_restarted_during_a_switchover";
    situation(test, Plan::nodes(2), async |lab| during_a_switchover(lab, true).await);
}

#[test]
fn target_s_agent_restarted_during_a_switchover() {
    let test = "restarts::target_s_agent_restarted_during_a_switchover";
    situation(test, Plan::nodes(2), async |lab| during_a_switchover(lab, false).await);
}
