//! The leader's database dies while its node lives.

use odoo_ha_core::policy::SyncMode;

use super::{heals, millis, seconds, whole};

#[test]
fn a_synchronous_standby_takes_over_at_once() {
    for seed in 0..50 {
        let (mut world, old, _) = whole(2, SyncMode::Synchronous, seed);
        world.run(millis(300 + seed * 7));
        world.measure();
        world.kill_database(&old);
        world.run_until("another leads", seconds(2), |world| world.leader().is_some_and(|leader| leader != old));
        world.run_until("whole again", seconds(5), odoo_ha_tests::sim::World::whole);
        assert!(world.longest_gap < seconds(1), "seed {seed}: {:?}\n{}", world.longest_gap, world.story());
        heals(&mut world);
    }
}

#[test]
fn an_asynchronous_leader_restarts_it_in_place() {
    for seed in 0..20 {
        let (mut world, old, _) = whole(2, SyncMode::Asynchronous, seed);
        world.measure();
        world.kill_database(&old);
        world.run(seconds(3));
        assert_eq!(world.leader(), Some(old), "{}", world.story());
        assert!(world.longest_gap < seconds(1), "seed {seed}: {:?}", world.longest_gap);
        heals(&mut world);
    }
}

#[test]
fn one_that_does_not_start_is_not_looked_at_without_a_break() {
    let (mut world, old, others) = whole(2, SyncMode::Synchronous, 1);
    world.kill_agent(&others[0]);
    world.kill_database(&others[0]);
    world.run(seconds(5));
    world.node_mut(&old).start_fails = true;
    world.kill_database(&old);
    let before = world.node(&old).looks;
    world.run(seconds(3));
    let looks = world.node(&old).looks - before;
    assert!(looks < 100, "{looks} looks in three seconds");
    world.heal();
    world.start_agent(&others[0]);
    heals(&mut world);
}

#[test]
fn without_a_standby_it_is_restarted_in_place() {
    let (mut world, old, others) = whole(2, SyncMode::Synchronous, 1);
    world.kill_agent(&others[0]);
    world.kill_database(&others[0]);
    world.run(seconds(5));
    world.kill_database(&old);
    world.run_until("it serves again", seconds(3), |world| world.leader().as_ref() == Some(&old));
    world.start_agent(&others[0]);
    heals(&mut world);
}
