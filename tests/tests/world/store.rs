//! A store that is away, loses its leader, or is reached one way only.

use odoo_ha_core::policy::SyncMode;
use odoo_ha_tests::sim::StoreLink;

use super::{heals, millis, seconds, whole};

#[test]
fn commits_arrive_whose_answers_do_not() {
    let (mut world, leader, _) = whole(3, SyncMode::Synchronous, 1);
    world.node_mut(&leader).store_link = StoreLink { answers_lost: true, ..StoreLink::default() };
    let before = world.store.leader().map(|record| record.mark);
    world.run(seconds(2));
    assert!(world.store.leader().map(|record| record.mark) > before, "its renewals were done");
    world.run(seconds(20));
    assert!(world.leader().is_some_and(|next| next != leader), "it could not know");
    heals(&mut world);
}

#[test]
fn requests_that_are_lost_do_nothing() {
    let (mut world, leader, _) = whole(3, SyncMode::Synchronous, 2);
    world.node_mut(&leader).store_link = StoreLink { requests_lost: true, ..StoreLink::default() };
    world.run(millis(50));
    let before = world.store.leader().map(|record| record.mark);
    world.run(seconds(2));
    assert_eq!(world.store.leader().map(|record| record.mark), before);
    heals(&mut world);
}

#[test]
fn a_lossy_way_to_the_store_is_lived_with() {
    let (mut world, leader, _) = whole(3, SyncMode::Synchronous, 3);
    world.node_mut(&leader).store_link.loss = 200;
    world.run(seconds(60));
    heals(&mut world);
}

#[test]
fn a_short_absence_of_the_store_costs_no_leadership() {
    let (mut world, leader, _) = whole(3, SyncMode::Synchronous, 4);
    world.store_goes_away(millis(1500));
    world.run(seconds(10));
    assert_eq!(world.leader(), Some(leader));
    heals(&mut world);
}

#[test]
fn a_store_that_loses_its_leader_leaves_commits_in_doubt() {
    for seed in 0..20 {
        let (mut world, _, _) = whole(3, SyncMode::Synchronous, seed);
        for _ in 0..5 {
            world.run(millis(997));
            world.store_loses_leader(millis(700));
        }
        heals(&mut world);
    }
}

#[test]
fn a_restored_store_breaks_every_watch() {
    let (mut world, _, _) = whole(3, SyncMode::Synchronous, 6);
    let older = world.store.clone();
    world.run(seconds(3));
    let now = world.store.leader().map(|record| record.mark);
    world.restore_store(&older);
    assert!(world.store.leader().map(|record| record.mark) < now);
}
