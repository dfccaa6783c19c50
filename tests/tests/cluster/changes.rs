//! What is changed at run time, while the client writes.

use odoo_ha_tests::lab::{Lab, Plan, situation};

/// Told on one node, for all.
async fn policy(lab: &Lab, mode: &str, synchronous: bool) {
    let told = lab.nodes[0].hactl(&["policy", &format!("sync_mode={mode}")]).unwrap();
    assert!(told.contains(&format!("sync_mode={mode}\n")), "{told}");
    lab.expect_synchronous(synchronous);
    lab.whole().await;
}

#[test]
fn modes_change_and_nobody_else_leads() {
    situation("changes::modes_change_and_nobody_else_leads", Plan::nodes(3), async |lab| {
        let before = lab.whole().await;
        for (mode, synchronous) in [
            ("asynchronous", false),
            ("strict", true),
            ("synchronous", true),
            ("asynchronous", false),
            ("synchronous", true),
        ] {
            policy(lab, mode, synchronous).await;
        }
        assert!(!lab.sync_record().await.unwrap().strict);
        let refused = lab.nodes[0].hactl(&["policy", "sync_mode=sometimes"]).unwrap_err();
        assert!(refused.contains("sometimes"), "{refused}");
        let unknown = lab.nodes[0].hactl(&["policy", "mode=strict"]).unwrap_err();
        assert!(unknown.contains("no such key"), "{unknown}");
        assert!(lab.nodes[0].hactl(&["policy"]).unwrap().contains("sync_mode=synchronous\n"));
        assert_eq!(lab.whole().await, before);
    });
}

#[test]
fn a_mode_changes_and_the_leader_dies() {
    situation("changes::a_mode_changes_and_the_leader_dies", Plan::nodes(2).asynchronous(), async |lab| {
        let before = lab.whole().await;
        policy(lab, "synchronous", true).await;
        lab.nodes[before.leader].kill_everything();
        let after = lab.led_anew(before).await;
        assert_ne!(after.leader, before.leader);
        lab.writes().await;
        lab.nodes[before.leader].agent().restart();
    });
}

#[test]
fn ttl_changes_and_the_leader_dies() {
    situation("changes::ttl_changes_and_the_leader_dies", Plan::nodes(2), async |lab| {
        for ttl in ["2s", "5s", "3s"] {
            lab.nodes.iter().for_each(|node| node.set_timing(&format!("ttl = \"{ttl}\"")));
            let before = lab.whole().await;
            lab.nodes[before.leader].agent().kill();
            lab.led_anew(before).await;
            lab.writes().await;
            lab.nodes[before.leader].agent().restart();
            // An agent that has just been started does not know SIGHUP yet, and would end by it.
            lab.whole().await;
        }
    });
}

#[test]
fn a_third_node_joins() {
    situation("changes::a_third_node_joins", Plan::nodes(2), async |lab| {
        let before = lab.whole().await;
        lab.join();
        assert_eq!(lab.whole().await, before);
        // It counts: with the other two gone it would know everything that was acknowledged.
        lab.nodes[before.leader].kill_everything();
        lab.led_anew(before).await;
        lab.writes().await;
        lab.nodes[before.leader].agent().restart();
    });
}
