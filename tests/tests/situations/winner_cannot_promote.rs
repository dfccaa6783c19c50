//! A winner whose database does not become primary hands leadership back and is passed over (protocol rule 17).

use odoo_ha_core::policy::SyncMode;

use super::{heals, seconds, whole};

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
