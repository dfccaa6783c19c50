//! Failsafe: a leader that does not reach the store leads on as long as every member that might take over lets it (protocol rule 33).

use odoo_ha_core::event::EventKind;
use odoo_ha_core::machine::{Command, StateName};
use odoo_ha_core::member::MemberId;
use odoo_ha_core::policy::SyncMode;
use odoo_ha_core::records::RequestKind;
use odoo_ha_tests::sim::World;

use super::{ask, heals, millis, seconds, settled};

const MODES: [SyncMode; 3] = [SyncMode::Synchronous, SyncMode::Asynchronous, SyncMode::Strict];

/// A whole cluster whose members can ask one another, its leader, and the others; the leader has renewed since the last of them came.
fn talking(members: usize, mode: SyncMode, seed: u64) -> (World, MemberId, Vec<MemberId>) {
    let world = World::with(members, seed, |config| {
        config.policy.sync_mode = mode;
        config.peer = Some(config.me.to_string());
        config.watchdog = Some(millis(400));
    });
    let (mut world, leader, others) = settled(world);
    world.run(seconds(2));
    (world, leader, others)
}

fn says(world: &World, active: bool) -> bool {
    world.events.iter().any(|(_, event)| event.kind == EventKind::Failsafe { active })
}

#[test]
fn nobody_notices() {
    for (seed, mode) in (0..12).flat_map(|seed| MODES.map(|mode| (seed, mode))) {
        let (mut world, leader, _) = talking(2 + (seed % 3) as usize, mode, seed);
        world.measure();
        world.store_goes_away(seconds(60));
        world.run(seconds(61));
        assert_eq!(world.leader().as_ref(), Some(&leader), "seed {seed}\n{}", world.story());
        assert!(world.longest_gap < millis(300), "seed {seed}: {:?}\n{}", world.longest_gap, world.story());
        heals(&mut world);
        world.run(seconds(5));
        assert!(says(&world, true) && says(&world, false), "seed {seed}\n{}", world.story());
    }
}

/// A leader went on without the store, lost leadership and came by it again, in one life of its agent: the members let it go on as before.
#[test]
fn again_in_another_reign() {
    for seed in 0..12 {
        let (mut world, leader, others) = talking(2, SyncMode::Synchronous, seed);
        world.store_goes_away(seconds(60));
        world.run(seconds(61));
        for target in [&others[0], &leader] {
            heals(&mut world);
            let kind = RequestKind::Switchover { target: Some(target.clone()) };
            ask(&mut world, &leader, &format!("to {target}"), kind);
            world.run_until("it leads", seconds(10), |world| world.leader().as_ref() == Some(target));
        }
        heals(&mut world);
        world.run(seconds(2));
        world.measure();
        world.store_goes_away(seconds(30));
        world.run(seconds(31));
        assert_eq!(world.leader().as_ref(), Some(&leader), "seed {seed}\n{}", world.story());
        assert!(world.longest_gap < millis(300), "seed {seed}: {:?}\n{}", world.longest_gap, world.story());
        heals(&mut world);
    }
}

/// Others reach the store and could take over; they promised not to.
#[test]
fn the_leader_alone_does_not_reach_the_store() {
    for (seed, mode) in (0..12).flat_map(|seed| MODES.map(|mode| (seed, mode))) {
        let (mut world, leader, _) = talking(2 + (seed % 3) as usize, mode, seed);
        world.measure();
        world.node_mut(&leader).cut_from_store = true;
        world.run(seconds(60));
        assert_eq!(world.leader().as_ref(), Some(&leader), "seed {seed}\n{}", world.story());
        assert!(world.longest_gap < millis(300), "seed {seed}: {:?}\n{}", world.longest_gap, world.story());
        world.node_mut(&leader).cut_from_store = false;
        heals(&mut world);
    }
}

#[test]
fn one_member_is_not_reached_and_the_leader_gives_up_in_time() {
    for (seed, mode) in (0..12).flat_map(|seed| [SyncMode::Synchronous, SyncMode::Strict].map(|mode| (seed, mode))) {
        let (mut world, leader, others) = talking(3, mode, seed);
        world.node_mut(&others[0]).cut_from_peers = true;
        world.node_mut(&leader).cut_from_store = true;
        world.run_until("it gives up", seconds(10), |world| world.state(&leader) == Some(StateName::GivingUp));
        world.run_until("another leads", seconds(20), |world| {
            world.leader().is_some_and(|other| other != leader) || mode == SyncMode::Strict
        });
        world.node_mut(&leader).cut_from_store = false;
        world.node_mut(&others[0]).cut_from_peers = false;
        heals(&mut world);
    }
}

/// The leader dies in the middle of it: what was promised holds for a `ttl`, then another is elected.
#[test]
fn the_leader_dies_meanwhile_and_is_replaced() {
    for (seed, mode) in (0..12).flat_map(|seed| MODES.map(|mode| (seed, mode))) {
        let (mut world, leader, _) = talking(3, mode, seed);
        world.node_mut(&leader).cut_from_store = true;
        world.run(seconds(20));
        assert_eq!(world.leader().as_ref(), Some(&leader), "seed {seed}\n{}", world.story());
        world.kill_agent(&leader);
        world.kill_database(&leader);
        world.run_until("another leads", seconds(14), |world| world.leader().is_some_and(|other| other != leader));
        world.node_mut(&leader).cut_from_store = false;
        world.start_agent(&leader);
        heals(&mut world);
    }
}

/// A member that was started anew remembers no promise: it watches a whole `ttl` before it suspects, and the address waits for the old belief.
#[test]
fn a_member_forgets_what_it_promised() {
    for (seed, mode) in (0..12).flat_map(|seed| MODES.map(|mode| (seed, mode))) {
        let (mut world, leader, others) = talking(2, mode, seed);
        world.node_mut(&leader).cut_from_store = true;
        for _ in 0..8 {
            let wait = millis(500 + world.chance(4000));
            world.run(wait);
            world.start_agent(&others[0]);
        }
        world.node_mut(&leader).cut_from_store = false;
        heals(&mut world);
    }
}

/// Many writes are left unanswered, and one of them lands in the end: it is known as its own.
#[test]
fn what_was_never_answered_is_not_forgotten() {
    for seed in 0..6 {
        let (mut world, leader, _) = talking(2, SyncMode::Synchronous, seed);
        world.node_mut(&leader).store_link.answers_lost = true;
        world.run(seconds(120));
        assert_eq!(world.leader().as_ref(), Some(&leader), "seed {seed}\n{}", world.story());
        world.node_mut(&leader).store_link.answers_lost = false;
        world.run(seconds(5));
        assert_eq!(world.leader().as_ref(), Some(&leader), "seed {seed}\n{}", world.story());
        heals(&mut world);
    }
}

/// A member that the leader's record does not list may not take over from it.
#[test]
fn who_is_not_listed_waits_for_the_leader() {
    for seed in 0..6 {
        let (mut world, leader, others) = talking(2, SyncMode::Asynchronous, seed);
        world.node_mut(&leader).cut_from_store = true;
        let newcomer = odoo_ha_tests::sim::member("z");
        world.add_node(&newcomer);
        world.run(seconds(20));
        assert_eq!(world.leader().as_ref(), Some(&leader), "seed {seed}\n{}", world.story());
        for name in [&leader, &others[0]] {
            world.kill_agent(name);
            world.kill_database(name);
        }
        world.run(seconds(30));
        assert_eq!(world.leader(), None, "seed {seed}\n{}", world.story());
        world.node_mut(&leader).cut_from_store = false;
        world.start_agent(&leader);
        world.start_agent(&others[0]);
        heals(&mut world);
    }
}

/// Nobody was there to be asked, so nobody promised anything; then a shorter `ttl` is written and somebody comes who may take over from that. (Found
/// by `simulate --profile failsafe --first-seed 5815 --seeds 1`.)
#[test]
fn a_shorter_ttl_ends_what_the_members_had_let() {
    for seed in 0..20 {
        let (mut world, leader, others) = talking(2, SyncMode::Synchronous, seed);
        world.command(&others[0], Command::Shutdown { stop_database: false });
        world.run(seconds(3));
        world.node_mut(&leader).cut_from_store = true;
        world.run(seconds(4));
        let mut timing = world.node(&leader).config.timing;
        (timing.ttl, timing.suspicion) = (millis(1500), millis(1500));
        (timing.renew_interval, timing.stop_budget, timing.clock_margin) = (millis(300), millis(500), millis(30));
        world.command(&leader, Command::SetTiming(timing));
        let wait = millis(world.chance(1000));
        world.run(wait);
        world.node_mut(&leader).cut_from_store = false;
        world.start_agent(&others[0]);
        heals(&mut world);
    }
}
