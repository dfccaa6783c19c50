//! Disks that are full or slow.

use odoo_ha_core::policy::SyncMode;

use super::{heals, seconds, whole};

#[test]
fn a_primary_on_a_full_disk_dies_and_another_takes_over() {
    let (mut world, leader, _) = whole(3, SyncMode::Synchronous, 1);
    world.node_mut(&leader).disk.full = true;
    world.run_until("another leads", seconds(60), |world| world.leader().is_some_and(|next| next != leader));
    assert!(!world.node(&leader).database.state.runs());
    heals(&mut world);
}

#[test]
fn a_standby_on_a_full_disk_receives_nothing() {
    let (mut world, leader, others) = whole(3, SyncMode::Synchronous, 2);
    world.node_mut(&others[0]).disk.full = true;
    world.run(seconds(1));
    assert!(!world.node(&others[0]).database.streaming);
    assert!(!world.standbys_of(&leader).contains_key(&others[0]));
    heals(&mut world);
}

#[test]
fn a_slow_disk_makes_every_commit_slow() {
    let (mut world, leader, others) = whole(2, SyncMode::Synchronous, 3);
    let commits = |world: &mut odoo_ha_tests::sim::World| {
        let before = world.acknowledged.len();
        world.run(seconds(5));
        world.acknowledged.len() - before
    };
    let quick = commits(&mut world);
    world.node_mut(&others[0]).disk.slow = 50;
    world.node_mut(&leader).disk.slow = 50;
    let slow = commits(&mut world);
    assert!(slow > 10 && slow * 2 < quick, "{slow} of {quick}");
    heals(&mut world);
}
