//! A standby that hears nothing because *it* lost the store does not freeze: no answer, no freeze (protocol rule 25).

use odoo_ha_core::policy::SyncMode;

use super::{heals, seconds, whole};

#[test]
fn commits_go_on_through_the_standby_that_lost_the_store() {
    for seed in 0..10 {
        let (mut world, leader, others) = whole(2, SyncMode::Strict, seed);
        world.measure();
        world.node_mut(&others[0]).cut_from_store = true;
        world.run(seconds(30));
        assert_eq!(world.leader(), Some(leader));
        assert!(world.longest_gap < super::millis(200), "{:?}\n{}", world.longest_gap, world.story());
        world.node_mut(&others[0]).cut_from_store = false;
        heals(&mut world);
    }
}
