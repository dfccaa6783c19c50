//! The made-up world does what it says: each knob of the simulator is turned, and what follows is looked at.
#![expect(clippy::expect_used, reason = "a world that cannot be set up fails its test")]

mod address;
mod clocks;
mod databases;
mod disks;
mod network;
mod services;
mod store;

use std::time::Duration;

use odoo_ha_core::member::MemberId;
use odoo_ha_core::policy::SyncMode;
use odoo_ha_tests::sim::World;

/// A whole cluster, its leader, and the others.
fn whole(members: usize, mode: SyncMode, seed: u64) -> (World, MemberId, Vec<MemberId>) {
    settled(World::new(members, mode, seed))
}

fn settled(mut world: World) -> (World, MemberId, Vec<MemberId>) {
    world.run_until("a whole cluster", seconds(30), World::whole);
    let leader = world.leader().expect("a whole cluster has a leader");
    let others = world.nodes.keys().filter(|name| **name != leader).cloned().collect();
    (world, leader, others)
}

/// Everything is mended; then everything must be well again, and nothing lost.
fn heals(world: &mut World) {
    world.supervised = Some(seconds(1));
    world.heal();
    world.run_until("whole again", seconds(60), World::whole);
    assert_eq!(world.lost(), 0, "{}", world.story());
    world.assert_sound();
}

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

fn millis(count: u64) -> Duration {
    Duration::from_millis(count)
}
