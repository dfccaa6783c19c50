//! The leader loses the store: it has stopped everything before anybody else may lead (rules 1 and 2).

use odoo_ha_core::machine::StateName;
use odoo_ha_core::policy::{SyncMode, Timing};
use odoo_ha_tests::sim::World;

use super::{heals, seconds, settled, whole};

#[test]
fn it_gives_up_in_time_and_another_takes_over() {
    for (seed, mode) in (0..20).flat_map(|seed| [(seed, SyncMode::Synchronous), (seed, SyncMode::Asynchronous)]) {
        let (mut world, old, _) = whole(2, mode, seed);
        world.node_mut(&old).cut_from_store = true;
        world.run_until("another leads", seconds(8), |world| world.leader().is_some_and(|leader| leader != old));
        assert!(!world.node(&old).address);
        world.node_mut(&old).cut_from_store = false;
        heals(&mut world);
    }
}

/// A shutdown that waits for a standby out of reach does not end by itself. It is cut short before the watchdog acts, which would kill the
/// agent, too. (Found by the failover rig: nobody started that agent again.)
#[test]
fn its_shutdown_is_cut_short_before_its_watchdog_acts() {
    for (seed, ttl) in (0..20).flat_map(|seed| [(seed, seconds(2)), (seed, seconds(5))]) {
        let world = World::with(2, seed, |config| config.timing = Timing::with_ttl(ttl));
        let (mut world, old, _) = settled(world);
        let node = world.node_mut(&old);
        node.database.slow_shutdown = true;
        node.cut_from_store = true;
        world.run_until("another leads", ttl + seconds(3), |world| world.leader().is_some_and(|leader| leader != old));
        assert_eq!(world.state(&old), Some(StateName::GivingUp), "seed {seed}: its agent is gone\n{}", world.story());
        assert!(!world.node(&old).database.state.runs());
        let node = world.node_mut(&old);
        node.database.slow_shutdown = false;
        node.cut_from_store = false;
        heals(&mut world);
    }
}

#[test]
fn a_shutdown_that_hangs_is_cut_short_before_the_watchdog_acts() {
    for (seed, mode) in (0..20).flat_map(|seed| [(seed, SyncMode::Synchronous), (seed, SyncMode::Asynchronous)]) {
        let (mut world, old, _) = whole(2, mode, seed);
        // As it does while it waits for a standby that is out of reach.
        world.node_mut(&old).database.slow_shutdown = true;
        world.node_mut(&old).cut_from_store = true;
        world.run_until("another leads", seconds(8), |world| world.leader().is_some_and(|leader| leader != old));
        world.node_mut(&old).database.slow_shutdown = false;
        world.node_mut(&old).cut_from_store = false;
        heals(&mut world);
        assert_eq!(world.node(&old).incarnation, 1, "the watchdog killed the agent: {}", world.story());
    }
}

#[test]
fn a_short_cut_costs_nothing() {
    let (mut world, old, _) = whole(2, SyncMode::Synchronous, 1);
    world.measure();
    world.node_mut(&old).cut_from_store = true;
    world.run(seconds(2));
    world.node_mut(&old).cut_from_store = false;
    world.run(seconds(5));
    assert_eq!(world.leader(), Some(old), "{}", world.story());
    assert!(world.longest_gap < super::millis(200), "{:?}", world.longest_gap);
    heals(&mut world);
}
