//! Disks that are full.

use odoo_ha_tests::lab::{Plan, situation};
use odoo_ha_tests::stores::eventually;
use std::time::Duration;

#[test]
fn disk_full_on_the_leader() {
    situation("disks::disk_full_on_the_leader", Plan::nodes(2).disks(400), async |lab| {
        let before = lab.whole().await;
        let leader = &lab.nodes[before.leader];
        leader.fill_disk();
        // Segments that were made beforehand are used up; the next has no room, which PostgreSQL does not survive.
        eventually("the database ends", Duration::from_secs(90), async || {
            let gone = leader.ask("select pg_switch_wal()").await.is_none();
            let record = lab.record().await?;
            (gone && record.mark.term.0 > before.term).then_some(())
        })
        .await;
        let after = lab.led_anew(before).await;
        assert_ne!(after.leader, before.leader);
        lab.writes_more(50).await;
        leader.empty_disk();
    });
}
