//! A winner whose database does not become primary hands leadership back and is passed over (protocol rule 17).

use odoo_ha_core::machine::StateName;
use odoo_ha_core::policy::SyncMode;
use odoo_ha_tests::sim::{World, member};

use super::{heals, seconds, settled, whole};

#[test]
fn another_is_elected_instead() {
    for seed in 0..10 {
        let (mut world, old, others) = whole(3, SyncMode::Synchronous, seed);
        let broken = others[(seed % 2) as usize].clone();
        world.node_mut(&broken).promotion_fails = true;
        world.kill_agent(&old);
        world.kill_database(&old);
        world.run_until("one that can leads", seconds(30), |world| {
            world.leader().is_some_and(|leader| leader != old && leader != broken)
        });
        world.node_mut(&broken).promotion_fails = false;
        world.start_agent(&old);
        heals(&mut world);
    }
}

#[test]
fn of_two_the_old_leader_leads_again_when_it_is_back() {
    for seed in 0..10 {
        for mode in [SyncMode::Synchronous, SyncMode::Strict] {
            let (mut world, old, others) = whole(2, mode, seed);
            world.node_mut(&others[0]).promotion_fails = true;
            world.kill_agent(&old);
            world.kill_database(&old);
            world.run(seconds(20));
            assert_eq!(world.leader(), None);
            world.start_agent(&old);
            world.run_until("the old one leads", seconds(30), |world| world.leader().as_ref() == Some(&old));
            world.node_mut(&others[0]).promotion_fails = false;
            heals(&mut world);
        }
    }
}

#[test]
fn mended_it_is_elected_when_nobody_else_is_left() {
    for seed in 0..5 {
        let (mut world, old, others) = whole(2, SyncMode::Synchronous, seed);
        world.node_mut(&others[0]).promotion_fails = true;
        world.kill_agent(&old);
        world.kill_database(&old);
        world.run(seconds(12));
        world.node_mut(&others[0]).promotion_fails = false;
        world.run_until("it leads", seconds(60), |world| world.leader().as_ref() == Some(&others[0]));
        world.start_agent(&old);
        heals(&mut world);
    }
}

/// Its agent starts anew after each try, and remembers nothing of having failed: the record does.
#[test]
fn it_stands_back_though_its_agent_restarts() {
    for seed in 0..5 {
        let world = World::with(3, seed, |config| {
            config.policy.sync_mode = SyncMode::Synchronous;
            if config.me != member("a") {
                config.bootstrap = odoo_ha_core::machine::Bootstrap::Never;
            }
            if config.me == member("c") {
                config.tags.failover_priority = 10;
            }
        });
        let (mut world, leader, _) = settled(world);
        world.writing = false;
        world.run(seconds(1));
        world.node_mut(&member("c")).promotion_fails = true;
        world.kill_agent(&leader);
        world.kill_database(&leader);
        for _ in 0..4000 {
            world.run(super::millis(5));
            let vacant = world.store.leader_record().is_some_and(|record| record.holder.is_none());
            if vacant && world.state(&member("c")) == Some(StateName::Following) {
                world.kill_agent(&member("c"));
                world.start_agent(&member("c"));
            }
            if world.leader().is_some() {
                break;
            }
        }
        assert_eq!(world.leader(), Some(member("b")), "seed {seed}\n{}", world.story());
        world.writing = true;
        world.node_mut(&member("c")).promotion_fails = false;
        world.start_agent(&leader);
        heals(&mut world);
    }
}

#[test]
fn one_that_hangs_is_passed_over() {
    for seed in 0..4 {
        let (mut world, old, others) = whole(3, SyncMode::Synchronous, seed);
        world.kill_agent(&old);
        world.kill_database(&old);
        let promotes = |world: &World| others.iter().any(|name| world.state(name) == Some(StateName::Promoting));
        world.run_until("one is elected", seconds(9), promotes);
        let winner =
            others.iter().find(|name| world.state(name) == Some(StateName::Promoting)).cloned().expect("one is");
        world.node_mut(&winner).database.hung = true;
        let limit = world.node(&winner).config.timing.promote_timeout * 2 + seconds(30);
        world.run_until("another leads", limit, |world| world.leader().is_some_and(|leader| leader != winner));
        world.node_mut(&winner).database.hung = false;
        world.start_agent(&old);
        world.run_until("whole again", seconds(60), World::whole);
        world.assert_sound();
    }
}
