//! The leader dies, the winner dies right after: whoever leads then has every acknowledged commit (protocol rule 15: S rewritten by the
//! winner once lost one).

use odoo_ha_core::machine::StateName;
use odoo_ha_core::policy::SyncMode;

use super::{heals, millis, seconds, whole};

#[test]
fn nothing_is_lost_when_the_winner_dies_too() {
    for seed in 0..40 {
        let (mut world, first, _) = whole(3, SyncMode::Synchronous, seed);
        world.kill_agent(&first);
        world.kill_database(&first);
        world.run_until("another leads", seconds(8), |world| world.leader().is_some_and(|leader| leader != first));
        let second = world.leader().expect("one leads");
        let wait = millis(world.chance(1500));
        world.run(wait);
        world.kill_agent(&second);
        world.kill_database(&second);
        world.run(seconds(9));
        world.start_agent(&first);
        let wait = millis(world.chance(3000));
        world.run(wait);
        world.start_agent(&second);
        heals(&mut world);
    }
}

/// The winner dies before it has acknowledged anything: the old leader has all there is, and leads again without it.
#[test]
fn the_old_leader_leads_when_the_winner_dies_at_once() {
    for seed in 0..10 {
        let (mut world, first, others) = whole(2, SyncMode::Synchronous, seed);
        let winner = &others[0];
        world.kill_agent(&first);
        world.kill_database(&first);
        world.run_until("one is elected", seconds(9), |world| world.state(winner) == Some(StateName::Promoting));
        world.kill_agent(winner);
        world.kill_database(winner);
        world.start_agent(&first);
        world.run_until("the old leader leads", seconds(30), |world| world.leader().as_ref() == Some(&first));
        world.start_agent(winner);
        heals(&mut world);
    }
}
