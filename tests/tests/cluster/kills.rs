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
