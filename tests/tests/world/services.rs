//! Services and the filestore.

use odoo_ha_core::policy::SyncMode;
use odoo_ha_tests::sim::{FilesRole, World};

use super::{heals, millis, seconds, settled};

fn with_services(seed: u64) -> World {
    World::with(3, seed, |config| {
        config.policy.sync_mode = SyncMode::Synchronous;
        config.services = true;
        config.filestore = true;
    })
}

/// So many nodes have services running, and so many lead the files.
fn active(world: &World) -> (usize, usize) {
    let services = world.nodes.values().filter(|node| node.services.running.is_some()).count();
    let files = world.nodes.values().filter(|node| matches!(node.filestore.role, FilesRole::Lead(_))).count();
    (services, files)
}

#[test]
fn they_follow_the_leader() {
    let (mut world, leader, others) = settled(with_services(1));
    world.run(seconds(5));
    assert_eq!(active(&world), (1, 1));
    assert!(matches!(&world.node(&others[0]).filestore.role, FilesRole::Follow(_, whom) if *whom == leader));
    world.switchover(&leader, None);
    world.run_until("moved", seconds(20), |world| {
        world.leader().is_some_and(|next| next != leader && world.node(&next).services.running.is_some())
    });
    world.run(seconds(5));
    assert_eq!(active(&world), (1, 1));
    heals(&mut world);
}

#[test]
fn one_that_does_not_stop_keeps_leadership_from_being_called_vacant() {
    let (mut world, leader, _) = settled(with_services(2));
    world.run(seconds(5));
    world.node_mut(&leader).services.stop_fails = true;
    world.switchover(&leader, None);
    world.run(seconds(3));
    assert!(world.node(&leader).services.running.is_some());
    assert_eq!(active(&world).0, 1);
    heals(&mut world);
}

#[test]
fn one_that_fails_or_answers_nobody_does_not_keep_the_database_from_serving() {
    let (mut world, leader, others) = settled(with_services(3));
    for name in &others {
        let node = world.node_mut(name);
        node.services.unanswered = true;
        node.filestore.fails = true;
    }
    world.kill_agent(&leader);
    world.kill_database(&leader);
    world.run_until("another leads", seconds(30), |world| world.leader().is_some_and(|next| next != leader));
    heals(&mut world);
}

#[test]
fn they_outlive_their_agent_until_its_watchdog_acts() {
    let (mut world, leader, _) = settled(with_services(4));
    world.supervised = None;
    world.run(seconds(5));
    world.kill_agent(&leader);
    world.run(millis(500));
    assert!(world.node(&leader).services.running.is_some());
    world.run_until("another leads", seconds(30), |world| world.leader().is_some_and(|next| next != leader));
    assert!(!world.node(&leader).database.state.runs() && world.node(&leader).services.running.is_none());
    world.run_until("started elsewhere", seconds(30), |world| active(world).0 == 1);
    world.start_agent(&leader);
    heals(&mut world);
}
