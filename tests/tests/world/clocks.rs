//! Clocks that run beyond the margin or stand still, and machines that do.

use odoo_ha_core::policy::SyncMode;
use odoo_ha_tests::sim::Standstill;

use super::{heals, millis, seconds, whole};

#[test]
fn clocks_beyond_the_margin_are_not_honest_until_long_after() {
    let (mut world, leader, _) = whole(2, SyncMode::Synchronous, 1);
    assert!(world.clocks_honest());
    world.set_clock(&leader, 15_000);
    assert!(world.clocks_honest(), "within one part in fifty");
    world.set_clock(&leader, 200_000);
    assert!(!world.clocks_honest());
    world.run(seconds(60));
    assert!(!world.clocks_honest());
    world.set_clock(&leader, 0);
    world.run(seconds(14));
    assert!(!world.clocks_honest());
    world.run(seconds(2));
    assert!(world.clocks_honest());
    heals(&mut world);
}

#[test]
fn a_paused_machine_wakes_in_the_belief_it_had_and_loses_nothing() {
    let (mut world, leader, _) = whole(3, SyncMode::Synchronous, 2);
    let shows = world.node(&leader).clock.shows(world.now);
    world.freeze_machine(&leader, Standstill::AllClocks);
    world.run(seconds(30));
    assert_eq!(world.node(&leader).clock.shows(world.now), shows);
    let next = world.leader().expect("another leads");
    assert_ne!(next, leader);
    world.wake_machine(&leader);
    assert_eq!(world.believers().len(), 2, "its clock has not seen that it was away");
    assert!(!world.clocks_honest());
    // What must hold with honest clocks does not hold here; what is acknowledged is safe all the same.
    world.violations.clear();
    world.run(millis(200));
    world.violations.clear();
    world.run(seconds(30));
    world.violations.clear();
    heals(&mut world);
}

#[test]
fn a_suspended_machine_sees_that_time_has_passed() {
    let (mut world, leader, _) = whole(3, SyncMode::Synchronous, 3);
    world.freeze_machine(&leader, Standstill::ClockGoesOn);
    world.run(seconds(30));
    assert!(world.clocks_honest());
    assert!(world.leader().is_some_and(|next| next != leader));
    let log = world.node(&leader).database.log.len();
    world.wake_machine(&leader);
    assert_eq!(world.believers().len(), 1);
    assert!(!world.node(&leader).database.state.runs(), "its watchdog was the first to move");
    assert!(world.node(&leader).database.log.len() <= log, "it wrote nothing more");
    heals(&mut world);
}

#[test]
fn a_suspension_shorter_than_the_belief_costs_nothing() {
    let (mut world, leader, _) = whole(3, SyncMode::Synchronous, 4);
    world.freeze_machine(&leader, Standstill::ClockGoesOn);
    world.run(millis(500));
    world.wake_machine(&leader);
    world.run(millis(100));
    assert_eq!(world.leader().as_ref(), Some(&leader));
    heals(&mut world);
}
