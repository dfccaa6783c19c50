//! The leader's agent is frozen, and thawed later: by then another leads, and nothing acts on the old belief.

use odoo_ha_core::policy::SyncMode;

use super::{heals, seconds, whole};

#[test]
fn the_watchdog_stops_its_database_in_time() {
    for (seed, mode) in (0..20).flat_map(|seed| [(seed, SyncMode::Synchronous), (seed, SyncMode::Asynchronous)]) {
        let (mut world, old, _) = whole(2, mode, seed);
        world.freeze_agent(&old);
        world.run_until("another leads", seconds(7), |world| world.leader().is_some_and(|leader| leader != old));
        assert!(!world.node(&old).database.state.runs(), "the frozen agent's database still runs");
        world.start_agent(&old);
        heals(&mut world);
    }
}

#[test]
fn thawed_within_its_right_it_goes_on_undisturbed() {
    for seed in 0..20 {
        let (mut world, old, _) = whole(2, SyncMode::Asynchronous, seed);
        world.freeze_agent(&old);
        world.run(seconds(2));
        world.thaw_agent(&old);
        world.run(seconds(10));
        assert_eq!(world.leader(), Some(old), "{}", world.story());
        assert_eq!(world.node(world.nodes.keys().next().expect("members")).incarnation, 1);
        heals(&mut world);
    }
}

#[test]
fn without_a_watchdog_it_gives_up_the_moment_it_thaws() {
    for seed in 0..20 {
        let world = odoo_ha_tests::sim::World::with(2, seed, |config| config.watchdog = None);
        let (mut world, old, _) = super::settled(world);
        world.freeze_agent(&old);
        // The frozen process still holds the address, as a socket does: the other leads but cannot attach it.
        world.run(seconds(9));
        world.thaw_agent(&old);
        world.run_until("another leads", seconds(3), |world| world.leader().is_some_and(|leader| leader != old));
        heals(&mut world);
    }
}
