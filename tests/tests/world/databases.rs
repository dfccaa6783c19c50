//! What databases do slowly, later, or not at all.

use odoo_ha_core::database::DatabaseState;
use odoo_ha_core::machine::{Command, StateName};
use odoo_ha_core::policy::SyncMode;
use odoo_ha_tests::sim::{HalfWay, ReplayHeld};

use super::{heals, millis, seconds, whole};

#[test]
fn a_reader_holds_a_freeze_up_until_it_is_ended() {
    let (mut world, leader, others) = whole(2, SyncMode::Synchronous, 1);
    world.node_mut(&others[0]).database.replay_held = Some(ReplayHeld::ByReader);
    world.run(seconds(1));
    let database = &world.node(&others[0]).database;
    assert!(database.replayed < database.flushed && database.streaming);
    world.kill_agent(&leader);
    world.kill_database(&leader);
    world.run_until("frozen", seconds(20), |world| world.state(&others[0]) == Some(StateName::Freezing));
    world.run(millis(800));
    assert_eq!(world.state(&others[0]), Some(StateName::Freezing));
    world.run_until("it serves", seconds(10), |world| world.leader().as_ref() == Some(&others[0]));
    heals(&mut world);
}

#[test]
fn without_replay_there_is_no_vote() {
    let (mut world, leader, others) = whole(2, SyncMode::Synchronous, 2);
    world.node_mut(&others[0]).database.replay_held = Some(ReplayHeld::Stuck);
    world.run(seconds(1));
    world.kill_agent(&leader);
    world.kill_database(&leader);
    world.run(seconds(60));
    assert!(world.leader().is_none());
    assert!(world.node(&others[0]).machine.as_ref().is_some_and(|m| m.state() != StateName::Voting));
    heals(&mut world);
}

#[test]
fn a_crash_loses_what_was_not_flushed() {
    let (mut world, _, others) = whole(2, SyncMode::Synchronous, 3);
    world.node_mut(&others[0]).disk.slow = 50;
    world.run(seconds(1));
    world.run_until("something is not flushed", seconds(1), |world| {
        let database = &world.node(&others[0]).database;
        database.flushed < database.log.len()
    });
    let flushed = world.node(&others[0]).database.flushed;
    world.kill_database(&others[0]);
    assert_eq!(world.node(&others[0]).database.log.len(), flushed);
    heals(&mut world);
}

#[test]
fn a_setting_is_not_in_force_when_it_is_shown() {
    let (mut world, leader, others) = whole(3, SyncMode::Synchronous, 4);
    // One is dropped and comes back: it is named again only behind the barrier.
    world.node_mut(&others[0]).cut_from_peers = true;
    world.run_until("dropped", seconds(20), |world| !world.node(&leader).database.synchronous.names(&others[0]));
    world.node_mut(&leader).settings_take = millis(700);
    world.node_mut(&others[0]).cut_from_peers = false;
    world.run_until("shown", seconds(20), |world| world.node(&leader).database.synchronous.names(&others[0]));
    let database = &world.node(&leader).database;
    assert!(database.is_enough(|name| *name == others[1]), "the old setting is enough for a while");
    world.run(millis(600));
    assert!(world.store.sync().is_some_and(|record| !record.names.contains_key(&others[0])), "not recorded before");
    world.run(millis(150));
    assert!(!world.node(&leader).database.is_enough(|name| *name == others[1]));
    heals(&mut world);
}

#[test]
fn a_promotion_goes_on_without_its_agent() {
    let (mut world, leader, others) = whole(2, SyncMode::Synchronous, 5);
    world.node_mut(&others[0]).promotion_takes = seconds(3);
    world.kill_agent(&leader);
    world.kill_database(&leader);
    world.run_until("under way", seconds(20), |world| world.node(&others[0]).database.promotion.is_some());
    world.kill_agent(&others[0]);
    world.run(seconds(4));
    assert_eq!(world.node(&others[0]).database.state, DatabaseState::Primary);
    heals(&mut world);
}

#[test]
fn a_promotion_that_hangs_is_not_waited_for_for_ever() {
    let (mut world, leader, others) = whole(3, SyncMode::Synchronous, 6);
    others.iter().for_each(|name| world.node_mut(name).promotion_hangs = true);
    world.kill_agent(&leader);
    world.kill_database(&leader);
    world.run(seconds(30));
    let hangs = others.iter().find(|name| world.state(name) == Some(StateName::Promoting)).expect("one was elected");
    world.run_until("it hands back", seconds(90), |world| world.state(hangs) != Some(StateName::Promoting));
    heals(&mut world);
}

#[test]
fn a_stop_that_hangs_keeps_the_database_from_being_called_stopped() {
    let (mut world, leader, _) = whole(2, SyncMode::Synchronous, 7);
    world.node_mut(&leader).stop_hangs = true;
    world.switchover(&leader, None);
    world.run(seconds(3));
    assert!(world.node(&leader).database.state.runs());
    heals(&mut world);
}

#[test]
fn a_rewind_or_copy_that_broke_off_is_never_started() {
    let (mut world, _, others) = whole(3, SyncMode::Synchronous, 8);
    world.node_mut(&others[0]).clone_fails = true;
    world.command(&others[0], Command::Reinit);
    world.run_until("broken", seconds(20), |world| world.node(&others[0]).database.broken == Some(HalfWay::Clone));
    world.run(seconds(10));
    assert!(!world.node(&others[0]).database.state.runs());
    assert_eq!(world.wrong_starts, Vec::<String>::new());
    heals(&mut world);
    assert_eq!(world.node(&others[0]).database.broken, None);
}

#[test]
fn a_copy_that_takes_long_is_worthless_until_it_ends() {
    let (mut world, _, others) = whole(3, SyncMode::Synchronous, 9);
    world.node_mut(&others[0]).copy_takes = seconds(5);
    world.command(&others[0], Command::Reinit);
    world.run_until("begun", seconds(20), |world| world.node(&others[0]).database.broken == Some(HalfWay::Clone));
    world.run(seconds(3));
    world.kill_agent(&others[0]);
    world.run(seconds(5));
    assert_eq!(world.node(&others[0]).database.broken, Some(HalfWay::Clone), "nobody ended it");
    heals(&mut world);
}
