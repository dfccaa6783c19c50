//! Planned: checkpoint, address off, shutdown, hand over by name; nothing is lost and nobody waits long (protocol rule 40).

use odoo_ha_core::machine::Command;
use odoo_ha_core::policy::SyncMode;
use odoo_ha_core::records::RequestOutcome;
use odoo_ha_tests::sim::member;

use super::{heals, millis, seconds, whole};

#[test]
fn to_the_other_and_back() {
    for (seed, mode) in (0..20).flat_map(|seed| [(seed, SyncMode::Synchronous), (seed, SyncMode::Asynchronous)]) {
        let (mut world, first, others) = whole(2, mode, seed);
        world.measure();
        world.switchover(&first, Some(&others[0]));
        world.run_until("the other leads", seconds(3), |world| world.leader().as_ref() == Some(&others[0]));
        assert!(world.longest_gap < seconds(1), "seed {seed}: {:?}\n{}", world.longest_gap, world.story());
        heals(&mut world);
        world.measure();
        world.switchover(&others[0], None);
        world.run_until("back", seconds(3), |world| world.leader().as_ref() == Some(&first));
        assert!(world.longest_gap < seconds(1), "seed {seed}: {:?}\n{}", world.longest_gap, world.story());
        heals(&mut world);
    }
}

#[test]
fn a_target_that_dies_is_an_ordinary_takeover() {
    for seed in 0..30 {
        let (mut world, first, others) = whole(2, SyncMode::Synchronous, seed);
        world.switchover(&first, Some(&others[0]));
        let wait = millis(world.chance(500));
        world.run(wait);
        world.kill_agent(&others[0]);
        world.kill_database(&others[0]);
        world.run(seconds(12));
        world.start_agent(&others[0]);
        heals(&mut world);
    }
}

/// While the checkpoint before it takes its time, users are still served: what dies then is noticed as at any other time. (Found by
/// `simulate --profile physics --first-seed 700028 --seeds 1 --nodes 3`.)
#[test]
fn a_database_that_dies_during_the_checkpoint_is_replaced_at_once() {
    for seed in 0..10 {
        let (mut world, first, others) = whole(2, SyncMode::Synchronous, seed);
        world.node_mut(&first).disk.slow = 100;
        world.switchover(&first, Some(&others[0]));
        world.run(millis(300));
        world.node_mut(&first).disk.slow = 1;
        world.kill_database(&first);
        world.run(millis(200));
        assert!(!world.node(&first).address, "seed {seed}: the address stays\n{}", world.story());
        world.run_until("another leads", seconds(2), |world| world.leader().as_ref() == Some(&others[0]));
        heals(&mut world);
    }
}

#[test]
fn to_nobody_is_refused_and_says_why() {
    let (mut world, first, _) = whole(2, SyncMode::Synchronous, 1);
    world.switchover(&first, Some(&member("z")));
    world.run(seconds(2));
    let request = world.node(&first).machine.as_ref().and_then(|machine| machine.status().request);
    assert!(matches!(request.map(|r| r.outcome), Some(RequestOutcome::Refused(why)) if why.contains("not a member")));
    assert_eq!(world.leader(), Some(first));
    heals(&mut world);
}

#[test]
fn a_shutdown_that_hangs_is_called_off_and_leadership_kept() {
    let world = odoo_ha_tests::sim::World::with(2, 3, |config| config.timing.switchover_timeout = seconds(3));
    let (mut world, first, others) = super::settled(world);
    world.node_mut(&first).database.slow_shutdown = true;
    world.switchover(&first, Some(&others[0]));
    world.run(seconds(6));
    world.node_mut(&first).database.slow_shutdown = false;
    world.run_until("it leads on", seconds(6), |world| world.leader().as_ref() == Some(&first));
    heals(&mut world);
}

#[test]
fn one_that_failed_long_ago_does_not_keep_a_leaving_agent_from_handing_over() {
    let world = odoo_ha_tests::sim::World::with(2, 3, |config| config.timing.switchover_timeout = seconds(3));
    let (mut world, first, others) = super::settled(world);
    world.node_mut(&first).database.slow_shutdown = true;
    world.switchover(&first, Some(&others[0]));
    world.run(seconds(6));
    world.node_mut(&first).database.slow_shutdown = false;
    heals(&mut world);
    let told = world.events.len();
    world.command(&first, Command::Shutdown { stop_database: true });
    world.run(seconds(5));
    let said = |what: &str| world.events[told..].iter().any(|(_, event)| event.sentence.contains(what));
    assert!(said("leadership was handed over"), "{}", world.story());
    assert_eq!(world.leader().as_ref(), Some(&others[0]), "{}", world.story());
}
