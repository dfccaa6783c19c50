//! What an operator wishes, by `odoo-hactl`, while the client writes.

use std::process::Stdio;
use std::time::Duration;

use odoo_ha_tests::lab::{Node, Plan, situation};
use rustix::process::Signal;

#[test]
fn switchover_to_a_named_node() {
    situation("wishes::switchover_to_a_named_node", Plan::nodes(3), async |lab| {
        let before = lab.whole().await;
        let target = lab.other(&[before.leader]);
        let name = lab.nodes[target].name();
        let shown = lab.nodes[target].hactl(&["status"]).unwrap();
        assert!(
            shown.contains(&format!("{} leads in term {}", lab.nodes[before.leader].name(), before.term)),
            "{shown}"
        );
        lab.nodes[target].hactl(&["switchover", "--to", name]).unwrap();
        let after = lab.whole().await;
        assert_eq!((after.leader, after.term), (target, before.term + 1));
        // What cannot be is refused, and says why.
        let refused = lab.nodes[target].hactl(&["switchover", "--to", name]).unwrap_err();
        assert!(refused.contains("leads already"), "{refused}");
        let unknown = lab.nodes[target].hactl(&["switchover", "--to", "nobody"]).unwrap_err();
        assert!(unknown.contains("is not a member"), "{unknown}");
        // Nobody votes in a hand-over.
        assert!(!lab.logs().contains("kind=Voted"));
    });
}

#[test]
fn switchover_to_nobody_in_particular() {
    situation("wishes::switchover_to_nobody_in_particular", Plan::nodes(2), async |lab| {
        for _ in 0..3 {
            let before = lab.whole().await;
            lab.nodes[0].hactl(&["switchover"]).unwrap();
            let after = lab.whole().await;
            assert_eq!((after.leader, after.term), (lab.other(&[before.leader]), before.term + 1));
        }
    });
}

#[test]
fn switchover_whose_target_dies_midway() {
    situation("wishes::switchover_whose_target_dies_midway", Plan::nodes(2), async |lab| {
        let before = lab.whole().await;
        let (leader, target) = (&lab.nodes[before.leader], &lab.nodes[lab.other(&[before.leader])]);
        let mut asking = leader.hactl_command(&["switchover"]);
        let mut asking = asking.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        lab.soon("the switchover begins", || leader.said("kind=SwitchoverStarted")).await;
        target.kill_everything();
        // Whoever leads then, users are served.
        lab.writes().await;
        target.agent().restart();
        lab.whole().await;
        asking.kill().unwrap();
        asking.wait().unwrap();
    });
}

/// Whoever takes the cluster down may have taken the store down first.
#[test]
fn agents_leave_while_the_store_is_away() {
    situation("wishes::agents_leave_while_the_store_is_away", Plan::nodes(2), async |lab| {
        lab.whole().await;
        lab.nodes.iter().for_each(Node::unsupervised);
        lab.store.hosts().for_each(|store| store.plugged(false));
        lab.nodes.iter().for_each(|node| node.agent().signal(Signal::TERM));
        let have_left = || lab.nodes.iter().all(|node| !node.agent().is_running());
        lab.soon("both have left", have_left).await;
        for node in &lab.nodes {
            assert!(!node.said("could not be left in good order"), "{} was cut short", node.name());
            assert!(node.database_processes().is_empty(), "the database of {} runs on", node.name());
        }
        lab.store.hosts().for_each(|store| store.plugged(true));
        lab.nodes.iter().for_each(|node| node.agent().restart());
    });
}

#[test]
fn database_killed_in_a_pause() {
    situation("wishes::database_killed_in_a_pause", Plan::nodes(2), async |lab| {
        let before = lab.whole().await;
        lab.nodes[0].hactl(&["pause"]).unwrap();
        assert!(lab.record().await.unwrap().paused);
        lab.nodes[before.leader].kill_database();
        lab.stays(before, Duration::from_secs(6)).await;
        lab.nodes[0].hactl(&["resume"]).unwrap();
    });
}

#[test]
fn agent_killed_in_a_pause() {
    situation("wishes::agent_killed_in_a_pause", Plan::nodes(2), async |lab| {
        let before = lab.whole().await;
        lab.nodes[0].hactl(&["pause"]).unwrap();
        lab.nodes[before.leader].agent().kill();
        lab.stays(before, Duration::from_secs(6)).await;
        lab.writes().await;
        lab.nodes[before.leader].agent().restart();
        lab.nodes[0].hactl(&["resume"]).unwrap();
        assert_eq!(lab.whole().await, before);
    });
}
