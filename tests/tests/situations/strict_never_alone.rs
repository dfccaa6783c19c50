//! Strict mode: without a standby commits wait, and none is acknowledged by the primary alone.

use odoo_ha_core::policy::SyncMode;

use super::{heals, seconds, whole};

#[test]
fn commits_wait_for_the_standby() {
    for seed in 0..10 {
        let (mut world, _, others) = whole(2, SyncMode::Strict, seed);
        world.kill_agent(&others[0]);
        world.kill_database(&others[0]);
        world.run(seconds(1));
        let before = world.acknowledged.len();
        world.run(seconds(20));
        assert_eq!(world.acknowledged.len(), before, "acknowledged alone\n{}", world.story());
        world.start_agent(&others[0]);
        heals(&mut world);
        world.run(seconds(1));
        assert!(world.acknowledged.len() > before);
    }
}

#[test]
fn a_failover_leaves_it_waiting_for_the_old_leader() {
    for seed in 0..10 {
        let (mut world, leader, _) = whole(2, SyncMode::Strict, seed);
        world.kill_agent(&leader);
        world.kill_database(&leader);
        world.run(seconds(12));
        let before = world.acknowledged.len();
        world.run(seconds(10));
        assert_eq!(world.acknowledged.len(), before, "acknowledged alone\n{}", world.story());
        // Nor does anybody say so, though the record names nobody then.
        let alone =
            world.events.iter().find(|(_, event)| event.term.0 > 1 && event.sentence.contains("by the leader alone"));
        assert!(alone.is_none(), "{alone:?}");
        world.start_agent(&leader);
        heals(&mut world);
    }
}
