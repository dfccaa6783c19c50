//! A synchronous cluster takes the database before the old leader's belief has ended; the address still waits for that end, whatever else happens
//! meanwhile (protocol rules 35 and 42). The made-up address counts a race for it as a violation.

use odoo_ha_core::machine::{Command, StateName};
use odoo_ha_core::member::MemberId;
use odoo_ha_core::policy::SyncMode;
use odoo_ha_tests::sim::World;

use super::{heals, millis, seconds, settled, whole};

/// Short suspicion, and the leader is cut off from the store: it serves until its belief ends.
fn cut_off(members: usize, seed: u64) -> (World, MemberId, Vec<MemberId>) {
    let world = World::with(members, seed, |config| {
        config.timing.renew_interval = millis(100);
        config.timing.suspicion = millis(400);
    });
    let (mut world, old, others) = settled(world);
    world.node_mut(&old).cut_from_store = true;
    (world, old, others)
}

fn then_all_is_well(world: &mut World, old: &MemberId) {
    world.run(seconds(8));
    world.node_mut(old).cut_from_store = false;
    heals(world);
}

#[test]
fn when_the_winner_agent_restarts() {
    for seed in 0..20 {
        let (mut world, old, others) = cut_off(2, seed);
        let promoted = |world: &World| world.state(&others[0]) == Some(StateName::Leading);
        world.run_until("another leads", seconds(3), promoted);
        world.kill_agent(&others[0]);
        world.run(millis(20));
        world.start_agent(&others[0]);
        then_all_is_well(&mut world, &old);
    }
}

#[test]
fn when_the_winner_leaves_before_it() {
    for seed in 0..20 {
        let (mut world, old, others) = cut_off(3, seed);
        let leads = |world: &World| others.iter().find(|other| world.state(other) == Some(StateName::Leading)).cloned();
        let streams = |world: &World| others.iter().any(|other| world.node(other).database.streaming);
        world.run_until("another leads, and has a standby", seconds(3), |world| {
            leads(world).is_some() && streams(world)
        });
        let winner = leads(&world).expect("another leads");
        world.run(millis(100 + seed * 20));
        // An agent that is to leave hands over, whether it serves already or not.
        world.command(&winner, Command::Shutdown { stop_database: true });
        world.run(seconds(10));
        world.assert_sound();
        world.start_agent(&winner);
        then_all_is_well(&mut world, &old);
    }
}

#[test]
fn when_the_voter_agent_restarts() {
    for seed in 0..20 {
        let (mut world, old, others) = cut_off(2, seed);
        let votes = |world: &World| {
            matches!(world.state(&others[0]), Some(StateName::Voting | StateName::TakingOver | StateName::Freezing))
        };
        world.run_until("a vote", seconds(3), votes);
        world.run(millis(seed * 8));
        world.kill_agent(&others[0]);
        world.start_agent(&others[0]);
        then_all_is_well(&mut world, &old);
    }
}

#[test]
fn when_the_first_winner_cannot_promote() {
    for seed in 0..20 {
        let (mut world, old, others) = cut_off(3, seed);
        for other in &others {
            world.node_mut(other).promotion_fails = true;
        }
        let tried = |world: &World| others.iter().any(|name| world.state(name) == Some(StateName::GivingUp));
        world.run_until("one gives up", seconds(3), tried);
        for other in &others {
            world.node_mut(other).promotion_fails = false;
        }
        then_all_is_well(&mut world, &old);
    }
}

#[test]
fn an_attach_that_was_called_off_may_still_happen_and_is_undone() {
    for seed in 0..20 {
        let (mut world, old, others) = whole(2, SyncMode::Synchronous, seed);
        world.node_mut(&others[0]).slow_attach = millis(700);
        world.kill_database(&old);
        world.run_until("another leads", seconds(3), |world| world.state(&others[0]) == Some(StateName::Leading));
        world.run(millis(200 + seed * 10));
        world.kill_database(&others[0]);
        world.run(seconds(3));
        world.node_mut(&others[0]).slow_attach = millis(0);
        heals(&mut world);
    }
}
