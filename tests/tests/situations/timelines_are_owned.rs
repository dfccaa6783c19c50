//! Two reigns never share a timeline, and a copy with log that the next reign never had is not elected (protocol rules 14 and 31).

use std::collections::BTreeMap;

use odoo_ha_core::policy::SyncMode;

use super::{heals, millis, seconds, whole};

#[test]
fn each_reign_has_its_own() {
    for seed in 0..15 {
        let (mut world, _, _) = whole(3, SyncMode::Synchronous, seed);
        for _ in 0..4 {
            let Some(leader) = world.leader() else { panic!("{}", world.story()) };
            world.kill_agent(&leader);
            world.kill_database(&leader);
            world.run_until("another leads", seconds(10), |world| world.leader().is_some_and(|now| now != leader));
            let wait = millis(world.chance(3000));
            world.run(wait);
            world.start_agent(&leader);
            heals(&mut world);
        }
        let history = world.store.history_record().expect("there were reigns");
        let mut owners = BTreeMap::new();
        for row in &history.rows {
            assert!(owners.insert(row.timeline, row.term).is_none(), "timeline {} twice", row.timeline);
        }
        assert!(history.rows.len() >= 5);
        let leader = world.leader().expect("one leads");
        let newest = history.rows.last().map(|row| row.timeline.0);
        assert_eq!(Some(world.node(&leader).database.timeline), newest);
        world.run(seconds(1));
    }
}
