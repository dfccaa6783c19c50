//! The wall clock jumps: leadership is unconfirmed until the store says otherwise, and an NTP step is no outage (protocol rule 36).

use odoo_ha_core::machine::{Command, Input};
use odoo_ha_core::policy::{SyncMode, Timing};

use super::{heals, millis, seconds, whole};

#[test]
fn the_leader_renews_at_once_and_serves_on() {
    for seed in 0..10 {
        let (mut world, leader, _) = whole(2, SyncMode::Synchronous, seed);
        world.measure();
        world.input(&leader, Input::ClockJumped);
        world.run(seconds(3));
        assert_eq!(world.leader(), Some(leader));
        assert!(world.longest_gap < millis(100), "{:?}", world.longest_gap);
        heals(&mut world);
    }
}

#[test]
fn without_the_store_it_holds_on_for_one_renewal_only() {
    let (mut world, leader, _) = whole(2, SyncMode::Synchronous, 1);
    world.node_mut(&leader).cut_from_store = true;
    world.input(&leader, Input::ClockJumped);
    world.run(millis(1400));
    assert!(!world.node(&leader).address, "{}", world.story());
    world.node_mut(&leader).cut_from_store = false;
    heals(&mut world);
}

/// A shorter `ttl` is on its way to the store when the clock jumps. (Found by `simulate --profile suspicious --first-seed 2000243 --seeds 1`.)
#[test]
fn while_a_shorter_ttl_is_being_written_it_is_no_outage_either() {
    for seed in 0..100 {
        let (mut world, leader, _) = whole(2, SyncMode::Synchronous, seed);
        world.measure();
        world.command(&leader, Command::SetTiming(Timing::with_ttl(millis(1900))));
        let wait = millis(world.chance(1200));
        world.run(wait);
        world.input(&leader, Input::ClockJumped);
        world.run(seconds(3));
        assert_eq!(world.leader(), Some(leader), "{}", world.story());
        assert!(world.longest_gap < millis(100), "seed {seed}: {:?}", world.longest_gap);
        heals(&mut world);
    }
}
