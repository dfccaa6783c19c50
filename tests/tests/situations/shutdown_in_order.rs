//! An agent is asked to leave: a leader hands over first, a standby leaves the synchronous set first.

use odoo_ha_core::machine::{Command, StateName};
use odoo_ha_core::policy::SyncMode;

use super::{heals, seconds, whole};

#[test]
fn a_leader_hands_over_before_it_leaves() {
    for seed in 0..10 {
        let (mut world, old, _) = whole(2, SyncMode::Synchronous, seed);
        world.measure();
        world.command(&old, Command::Shutdown { stop_database: true });
        world.run_until("another leads", seconds(3), |world| world.leader().is_some_and(|leader| leader != old));
        world.run_until("it has left", seconds(15), |world| world.state(&old) == Some(StateName::Stopped));
        assert!(!world.node(&old).database.state.runs());
        assert!(world.longest_gap < seconds(2), "{:?}\n{}", world.longest_gap, world.story());
        world.start_agent(&old);
        heals(&mut world);
    }
}

#[test]
fn a_standby_leaves_without_holding_up_commits() {
    for seed in 0..10 {
        let (mut world, _, others) = whole(2, SyncMode::Synchronous, seed);
        world.measure();
        world.command(&others[0], Command::Shutdown { stop_database: true });
        world.run_until("it has left", seconds(15), |world| world.state(&others[0]) == Some(StateName::Stopped));
        world.run(seconds(3));
        assert!(world.longest_gap < super::millis(300), "{:?}\n{}", world.longest_gap, world.story());
        world.start_agent(&others[0]);
        heals(&mut world);
    }
}

#[test]
fn the_last_one_stops_its_database_and_releases() {
    let (mut world, leader, others) = whole(2, SyncMode::Synchronous, 1);
    world.kill_agent(&others[0]);
    world.kill_database(&others[0]);
    world.run(seconds(5));
    world.command(&leader, Command::Shutdown { stop_database: true });
    world.run_until("it has left", seconds(20), |world| world.state(&leader) == Some(StateName::Stopped));
    assert!(!world.node(&leader).database.state.runs());
    world.start_agent(&leader);
    world.start_agent(&others[0]);
    heals(&mut world);
}
