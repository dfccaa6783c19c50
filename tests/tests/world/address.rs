//! Addresses that fail, are slow, answer nobody, vanish, or remember a term.

use odoo_ha_core::machine::AddressFacts;
use odoo_ha_core::policy::SyncMode;
use odoo_ha_tests::sim::World;

use super::{heals, seconds, settled, whole};

#[test]
fn an_address_that_vanished_is_taken_again() {
    let (mut world, leader, _) = whole(2, SyncMode::Synchronous, 1);
    world.lose_address();
    assert!(world.leader().is_none());
    world.run_until("taken again", seconds(5), |world| world.leader().as_ref() == Some(&leader));
    heals(&mut world);
}

#[test]
fn an_attach_that_nobody_answers_has_happened() {
    let (mut world, leader, others) = whole(2, SyncMode::Synchronous, 2);
    others.iter().for_each(|name| world.node_mut(name).address_unanswered = true);
    world.switchover(&leader, None);
    world.run_until("it is there", seconds(20), |world| world.node(&others[0]).address);
    heals(&mut world);
}

#[test]
fn where_it_cannot_be_attached_nobody_is_served() {
    let (mut world, leader, others) = whole(2, SyncMode::Synchronous, 3);
    world.node_mut(&others[0]).attach_fails = true;
    world.switchover(&leader, None);
    world.run(seconds(5));
    assert!(!world.node(&others[0]).address);
    heals(&mut world);
}

#[test]
fn one_that_moves_by_term_is_taken_from_the_old_leader() {
    let world = World::with(3, 4, |config| {
        config.policy.sync_mode = SyncMode::Synchronous;
        config.address =
            Some(AddressFacts { fences_by_term: true, moves_authoritatively: true, ..AddressFacts::default() });
    });
    let (mut world, leader, _) = settled(world);
    world.node_mut(&leader).detach_fails = true;
    world.freeze_agent(&leader);
    // It has none from now on.
    (world.node_mut(&leader).watchdog, world.node_mut(&leader).config.watchdog) = (None, None);
    world.run_until("another has it", seconds(30), |world| world.leader().is_some_and(|next| next != leader));
    assert!(!world.node(&leader).address);
    // Without its watchdog the frozen agent had the address beyond its belief: that is what was asked for here.
    world.violations.clear();
    heals(&mut world);
}
