//! Agent and database die together.

use odoo_ha_core::policy::SyncMode;
use odoo_ha_tests::sim::World;

use super::{heals, millis, seconds, whole};

#[test]
fn another_takes_over_after_the_ttl_and_not_before() {
    for seed in 0..30 {
        let (mut world, old, _) = whole(2 + (seed % 2) as usize, SyncMode::Synchronous, seed);
        world.measure();
        let died = world.now;
        world.kill_agent(&old);
        world.kill_database(&old);
        world.run_until("another leads", seconds(6), |world| world.leader().is_some_and(|leader| leader != old));
        assert!(world.now - died >= seconds(4), "seed {seed}: taken over while the dead leader still had its right");
        world.start_agent(&old);
        heals(&mut world);
        assert!(world.longest_gap < seconds(6), "seed {seed}: {:?}", world.longest_gap);
    }
}

#[test]
fn short_suspicion_does_not_wait_for_the_ttl_where_commits_are_synchronous() {
    for seed in 0..20 {
        let world = odoo_ha_tests::sim::World::with(2, seed, |config| {
            config.timing.renew_interval = super::millis(100);
            config.timing.suspicion = super::millis(400);
        });
        let (mut world, old, _) = super::settled(world);
        let died = world.now;
        world.kill_agent(&old);
        world.kill_database(&old);
        let primary = |world: &odoo_ha_tests::sim::World| {
            world.nodes.iter().any(|(name, node)| {
                *name != old && node.database.state == odoo_ha_core::database::DatabaseState::Primary
            })
        };
        world.run_until("another is primary", seconds(2), primary);
        // What hangs on belief still waits for the old one's to end (protocol rule 42).
        world.run_until("another serves", seconds(6), |world| world.leader().is_some_and(|leader| leader != old));
        assert!(world.now - died >= seconds(4), "seed {seed}: the address moved while the old belief could hold");
        world.start_agent(&old);
        heals(&mut world);
    }
}

/// Without standbys that hold commits back, only the lease keeps two leaders apart (protocol rule 42).
#[test]
fn asynchronous_standbys_wait_for_the_ttl_however_short_suspicion_is() {
    for seed in 0..10 {
        let world = World::with(2, seed, |config| {
            config.policy.sync_mode = SyncMode::Asynchronous;
            config.timing.renew_interval = millis(100);
            config.timing.suspicion = millis(400);
        });
        let (mut world, leader, _) = super::settled(world);
        let term = world.store.leader_record().expect("there is one").mark.term;
        world.node_mut(&leader).cut_from_store = true;
        world.run(seconds(2));
        let now = world.store.leader_record().expect("there is one").mark.term;
        assert_eq!(now, term, "another took over while the leader still believed\n{}", world.story());
        world.node_mut(&leader).cut_from_store = false;
        world.run(seconds(2));
        assert_eq!(world.leader(), Some(leader), "{}", world.story());
        world.assert_sound();
    }
}
