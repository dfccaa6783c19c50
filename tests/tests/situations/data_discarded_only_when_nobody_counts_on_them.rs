//! Diverged data are rewound or replaced only after the sync record no longer names them (protocol rule 30).

use odoo_ha_core::event::EventKind;
use odoo_ha_core::machine::Command;
use odoo_ha_core::policy::SyncMode;

use super::{heals, millis, seconds, whole};

#[test]
fn a_reinit_leaves_the_synchronous_set_first() {
    for seed in 0..10 {
        let (mut world, leader, others) = whole(2, SyncMode::Synchronous, seed);
        world.command(&others[0], Command::Reinit);
        world.run_until("a new copy", seconds(10), |world| {
            world.node(&others[0]).database.data_id.as_ref().is_some_and(|id| id.0.contains("clone"))
                && world.events.iter().any(|(_, e)| {
                    matches!(&e.kind, EventKind::Rejoined { by, .. }
                    if *by == odoo_ha_core::database::FollowedBy::Clone && e.member == others[0])
                })
        });
        let dropped = world.events.iter().position(|(_, event)| {
            event.member == leader
                && matches!(&event.kind, EventKind::SynchronousStandbysChanged { names, .. } if names.is_empty())
        });
        assert!(dropped.is_some(), "{}", world.story());
        heals(&mut world);
    }
}

/// The leader names a member again that streams, and the member begins to replace its copy: whichever is first, the other sees it. (Found by
/// `simulate --profile clocks --first-seed 700287 --seeds 1 --nodes 3`.)
#[test]
fn one_is_named_again_just_as_its_copy_is_to_go() {
    for seed in 0..200 {
        let (mut world, leader, others) = whole(3, SyncMode::Synchronous, seed);
        world.node_mut(&others[0]).cut_from_peers = true;
        world.run_until("it is dropped", seconds(10), |world| {
            world.store.sync_record().is_some_and(|record| !record.names.contains_key(&others[0]))
        });
        world.node_mut(&others[0]).cut_from_peers = false;
        // The leader learns late what the member says of itself.
        let until = world.now + seconds(2);
        world.node_mut(&leader).watch_stalled_until = until;
        let wait = millis(world.chance(600));
        world.run(wait);
        world.command(&others[0], Command::Reinit);
        heals(&mut world);
    }
}

#[test]
fn a_leader_does_not_replace_its_own() {
    let (mut world, leader, _) = whole(2, SyncMode::Synchronous, 2);
    let before = world.node(&leader).database.data_id.clone();
    world.command(&leader, Command::Reinit);
    world.run(seconds(3));
    assert_eq!(world.node(&leader).database.data_id, before);
    heals(&mut world);
}
