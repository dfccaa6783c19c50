//! What befalls standbys.

use std::time::Duration;

use odoo_ha_tests::lab::{Plan, situation};

#[test]
fn synchronous_standby_gone_and_back_and_gone() {
    situation("standbys::synchronous_standby_gone_and_back_and_gone", Plan::nodes(2), async |lab| {
        let before = lab.whole().await;
        let standby = &lab.nodes[lab.other(&[before.leader])];
        for _ in 0..2 {
            standby.kill_everything();
            lab.writes_more(50).await;
            standby.agent().restart();
            assert_eq!(lab.whole().await, before);
        }
    });
}

#[test]
fn standby_a_second_behind_when_the_leader_goes() {
    situation("standbys::standby_a_second_behind_when_the_leader_goes", Plan::nodes(2), async |lab| {
        let before = lab.whole().await;
        let (leader, other) = (&lab.nodes[before.leader], &lab.nodes[lab.other(&[before.leader])]);
        leader.host().reaches(other.host(), false);
        lab.stays(before, Duration::from_secs(1)).await;
        leader.host().reaches(other.host(), true);
        leader.kill_everything();
        let after = lab.led_anew(before).await;
        assert_ne!(after.leader, before.leader);
        lab.writes().await;
        leader.agent().restart();
    });
}

#[test]
fn log_that_the_standby_needs_is_gone() {
    let little = "wal_keep_mb = 16\nparameters = { max_slot_wal_keep_size = \"32MB\", max_wal_size = \"64MB\", min_wal_size = \"32MB\" }";
    situation("standbys::log_that_the_standby_needs_is_gone", Plan::nodes(2).postgres(little), async |lab| {
        let before = lab.whole().await;
        let (leader, standby) = (&lab.nodes[before.leader], &lab.nodes[lab.other(&[before.leader])]);
        standby.kill_everything();
        lab.writes_more(20).await;
        for _ in 0..8 {
            // One at a time: a checkpoint throws away what nobody may ask for any more.
            leader.ask("insert into probed values (now()); select pg_switch_wal()").await.unwrap();
            leader.ask("checkpoint").await.unwrap();
        }
        let clones = standby.log().matches("by: Clone").count();
        standby.agent().restart();
        assert_eq!(lab.whole().await, before);
        assert_eq!(standby.log().matches("by: Clone").count(), clones + 1);
    });
}
