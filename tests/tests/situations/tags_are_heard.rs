//! `nofailover`, `nosync` and `failover_priority`.

use odoo_ha_core::policy::SyncMode;
use odoo_ha_tests::sim::{World, member};

use super::{heals, seconds, settled};

#[test]
fn a_nofailover_member_is_never_named_and_never_leads() {
    for seed in 0..10 {
        let world = World::with(2, seed, |config| {
            config.policy.sync_mode = SyncMode::Synchronous;
            if config.me == member("b") {
                config.tags.nofailover = true;
                config.bootstrap = odoo_ha_core::machine::Bootstrap::Never;
            }
        });
        let (mut world, leader, _) = settled(world);
        assert_eq!(leader, member("a"));
        world.run(seconds(2));
        let named = world.store.sync_record().expect("there is one").names;
        assert!(named.is_empty(), "one that must not lead is waited for and counted: {named:?}");
        world.kill_agent(&leader);
        world.kill_database(&leader);
        world.run(seconds(20));
        assert_eq!(world.leader(), None);
        world.start_agent(&leader);
        heals(&mut world);
    }
}

/// Where no record says who counts, its tag alone keeps it from leading.
#[test]
fn a_nofailover_member_never_leads_in_asynchronous_mode_either() {
    for seed in 0..5 {
        let world = World::with(2, seed, |config| {
            config.policy.sync_mode = SyncMode::Asynchronous;
            if config.me == member("b") {
                config.tags.nofailover = true;
                config.bootstrap = odoo_ha_core::machine::Bootstrap::Never;
            }
        });
        let (mut world, leader, _) = settled(world);
        world.kill_agent(&leader);
        world.kill_database(&leader);
        world.run(seconds(20));
        assert_eq!(world.leader(), None, "{}", world.story());
        world.start_agent(&leader);
        world.run_until("whole again", seconds(40), World::whole);
        world.assert_sound();
    }
}

#[test]
fn among_equals_the_preferred_one_wins() {
    for seed in 0..10 {
        let world = World::with(3, seed, |config| {
            config.policy.sync_mode = SyncMode::Synchronous;
            config.bootstrap = if config.me == member("a") {
                odoo_ha_core::machine::Bootstrap::Create
            } else {
                odoo_ha_core::machine::Bootstrap::Never
            };
            if config.me == member("c") {
                config.tags.failover_priority = 10;
            }
        });
        let (mut world, leader, _) = settled(world);
        world.writing = false;
        world.run(seconds(1));
        world.kill_agent(&leader);
        world.kill_database(&leader);
        world.run_until("another leads", seconds(8), |world| world.leader().is_some());
        assert_eq!(world.leader(), Some(member("c")), "{}", world.story());
        world.writing = true;
        world.start_agent(&leader);
        heals(&mut world);
    }
}
