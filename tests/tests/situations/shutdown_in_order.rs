//! An agent is asked to leave: a leader hands over first, a standby leaves the synchronous set first. Nobody waits for a store that does not answer.

use std::time::Duration;

use odoo_ha_core::machine::{Command, StateName};
use odoo_ha_core::member::MemberId;
use odoo_ha_core::policy::SyncMode;
use odoo_ha_core::records::RequestKind;
use odoo_ha_tests::sim::{Answerless, World};

use super::{ask, heals, millis, seconds, settled, whole};

/// More than a `ttl` for the answer, and as much and `standby_timeout` for others to notice, at the default times.
const LEAVES_WITHIN: Duration = Duration::from_secs(14);

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

/// However long its database takes to stop, the store is told.
#[test]
fn the_last_one_stops_its_database_and_releases() {
    for hangs in [0, 7] {
        let (mut world, leader, others) = whole(2, SyncMode::Synchronous, 1);
        world.kill_agent(&others[0]);
        world.kill_database(&others[0]);
        world.run(seconds(5));
        world.node_mut(&leader).stop_hangs = hangs > 0;
        world.command(&leader, Command::Shutdown { stop_database: true });
        world.run(seconds(hangs));
        world.node_mut(&leader).stop_hangs = false;
        world.run_until("it has left", seconds(20), |world| world.state(&leader) == Some(StateName::Stopped));
        assert!(!world.node(&leader).database.state.runs());
        let record = world.store.leader_record().expect("there is one");
        assert_eq!(record.holder, None, "leadership is not released\n{}", world.story());
        world.start_agent(&leader);
        world.start_agent(&others[0]);
        heals(&mut world);
    }
}

/// The store is gone for this member; it is asked to leave, and does. Then the store is back, and so is it.
fn leaves_without_the_store(world: &mut World, whom: &MemberId, what: &str) {
    world.node_mut(whom).cut_from_store = true;
    world.command(whom, Command::Shutdown { stop_database: true });
    world.run_until(what, LEAVES_WITHIN, |world| world.state(whom) == Some(StateName::Stopped));
    assert!(!world.node(whom).database.state.runs(), "{what}: its database runs on\n{}", world.story());
    world.node_mut(whom).cut_from_store = false;
    world.answerless.clear();
}

#[test]
fn a_leader_leaves_without_the_store() {
    for mode in [SyncMode::Synchronous, SyncMode::Asynchronous] {
        for seed in 0..10 {
            let (mut world, leader, others) = whole(2, mode, seed);
            // Nobody can take over either: the store is gone for all.
            world.node_mut(&others[0]).cut_from_store = true;
            world.run(millis(300 * seed));
            leaves_without_the_store(&mut world, &leader, "a leader leaves");
            world.node_mut(&others[0]).cut_from_store = false;
            world.start_agent(&leader);
            heals(&mut world);
        }
    }
}

/// Its votes get no answer, so that it is bound by one that may be there, and then nothing is to be read any more.
#[test]
fn a_voter_leaves_without_the_store() {
    for seed in 0..10 {
        let (mut world, leader, others) = whole(2, SyncMode::Synchronous, seed);
        let voter = &others[0];
        let fault = if seed % 2 == 0 { Answerless::NotDone } else { Answerless::Done };
        world.crash_host(&leader);
        world.run_until("a freeze", seconds(8), |world| world.state(voter) == Some(StateName::Freezing));
        world.answerless.insert(voter.clone(), vec![fault; 60]);
        world.run(seconds(1));
        if world.state(voter) != Some(StateName::Freezing) {
            assert_eq!(fault, Answerless::Done, "seed {seed}\n{}", world.story());
        }
        leaves_without_the_store(&mut world, voter, "a voter leaves");
        world.start_agent(&leader);
        world.start_agent(voter);
        heals(&mut world);
    }
}

#[test]
fn a_candidate_leaves_without_the_store() {
    for seed in 0..30 {
        let (mut world, leader, others) = whole(2, SyncMode::Synchronous, seed);
        let candidate = &others[0];
        world.crash_host(&leader);
        world.run_until("a vote", seconds(8), |world| world.state(candidate) == Some(StateName::Voting));
        let fault = [Answerless::Done, Answerless::NotDone, Answerless::Later(900)][(seed % 3) as usize];
        world.answerless.insert(candidate.clone(), vec![fault; 60]);
        world.run(millis(40 * seed));
        leaves_without_the_store(&mut world, candidate, "a candidate leaves");
        world.start_agent(&leader);
        world.start_agent(candidate);
        heals(&mut world);
    }
}

/// Its agent was started anew beside the running primary, and the store does not confirm what the record says. A paused one leaves the database as it is.
#[test]
fn an_unconfirmed_leader_leaves_without_the_store() {
    for paused in [false, true] {
        for seed in 0..10 {
            let (mut world, leader, others) = settled(World::with(2, seed, |config| config.watchdog = None));
            if paused {
                ask(&mut world, &leader, "pause", RequestKind::Pause);
                world.run_until("a pause", seconds(3), |world| {
                    world.store.leader_record().is_some_and(|record| record.paused)
                });
            }
            world.kill_agent(&leader);
            world.start_agent(&leader);
            world.answerless.insert(leader.clone(), vec![Answerless::NotDone; 60]);
            world.run_until("it resumes", seconds(2), |world| world.state(&leader) == Some(StateName::Resuming));
            world.node_mut(&leader).cut_from_store = true;
            world.node_mut(&others[0]).cut_from_store = true;
            world.command(&leader, Command::Shutdown { stop_database: false });
            world.run_until("it has left", LEAVES_WITHIN, |world| world.state(&leader) == Some(StateName::Stopped));
            assert_eq!(world.node(&leader).database.state.runs(), paused, "seed {seed}\n{}", world.story());
            world.answerless.clear();
            world.node_mut(&leader).cut_from_store = false;
            world.node_mut(&others[0]).cut_from_store = false;
            world.start_agent(&leader);
            if paused {
                world.run_until("it leads on", seconds(10), |world| world.leader().as_ref() == Some(&leader));
                ask(&mut world, &leader, "resume", RequestKind::Resume);
            }
            heals(&mut world);
        }
    }
}

/// What ran by leadership does not run on without it, although the database was to be left alone and could not be stopped at first.
#[test]
fn an_unconfirmed_primary_is_stopped_before_its_agent_leaves() {
    for seed in 0..10 {
        let (mut world, leader, others) = settled(World::with(2, seed, |config| config.watchdog = None));
        world.kill_agent(&leader);
        world.start_agent(&leader);
        world.answerless.insert(leader.clone(), vec![Answerless::NotDone; 60]);
        world.run_until("it resumes", seconds(2), |world| world.state(&leader) == Some(StateName::Resuming));
        world.node_mut(&leader).cut_from_store = true;
        world.node_mut(&others[0]).cut_from_store = true;
        world.node_mut(&leader).stop_hangs = true;
        world.command(&leader, Command::Shutdown { stop_database: false });
        world.run_until("it begins to leave", seconds(14), |world| world.state(&leader) == Some(StateName::Leaving));
        // The stop that hangs is given up, and there is another.
        world.run(seconds(10));
        assert!(world.node(&leader).database.state.runs(), "seed {seed}: there is nothing left to stop");
        world.node_mut(&leader).stop_hangs = false;
        world.run_until("it has left", seconds(30), |world| world.state(&leader) == Some(StateName::Stopped));
        assert!(!world.node(&leader).database.state.runs(), "seed {seed}\n{}", world.story());
        world.answerless.clear();
        world.node_mut(&leader).cut_from_store = false;
        world.node_mut(&others[0]).cut_from_store = false;
        world.start_agent(&leader);
        heals(&mut world);
    }
}
