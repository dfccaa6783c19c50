//! `ttl` changes while somebody leads: what is reserved for stopping, and the watchdog, follow the record (protocol rule 4).

use odoo_ha_core::machine::Command;
use odoo_ha_core::member::MemberId;
use odoo_ha_core::policy::{SyncMode, Timing};
use odoo_ha_tests::sim::World;

use super::{heals, millis, seconds, settled, whole};

/// Everybody is told other times.
pub(super) fn set(world: &mut World, timing: Timing) {
    let names: Vec<MemberId> = world.nodes.keys().cloned().collect();
    for name in names {
        world.node_mut(&name).config.timing = timing;
        world.command(&name, Command::SetTiming(timing));
    }
}

#[test]
fn longer_times_cost_no_leadership() {
    for seed in 0..10 {
        let (mut world, leader, _) = whole(2, SyncMode::Synchronous, seed);
        world.measure();
        let mut timing = Timing::with_ttl(seconds(60));
        timing.stop_budget = seconds(20);
        set(&mut world, timing);
        world.run(seconds(5));
        assert_eq!(world.leader(), Some(leader), "{}", world.story());
        assert!(world.longest_gap < millis(100), "seed {seed}: {:?}", world.longest_gap);
        set(&mut world, Timing::with_ttl(seconds(5)));
        world.run(seconds(5));
        heals(&mut world);
    }
}

#[test]
fn a_watchdog_that_heard_of_a_long_life_does_not_outlive_a_short_one() {
    for seed in 0..12 {
        let world = World::with(2, seed, |config| {
            config.policy.sync_mode = SyncMode::Asynchronous;
            config.timing = Timing::with_ttl(seconds(20));
        });
        let (mut world, old, _) = settled(world);
        world.direct_writers = true;
        world.run(millis(seed * 370));
        set(&mut world, Timing::with_ttl(seconds(3)));
        world.run(millis(seed % 12));
        world.kill_agent(&old);
        world.run(seconds(26));
        assert!(world.leader().is_some_and(|leader| leader != old), "seed {seed}\n{}", world.story());
        world.start_agent(&old);
        world.run_until("whole again", seconds(30), World::whole);
        world.assert_sound_of(seed);
    }
}
