//! An agent that finds itself in the leader record renews before it acts, and only when it remembers that very reign (protocol rules 6, 11).

use odoo_ha_core::machine::Memo;
use odoo_ha_core::policy::SyncMode;

use super::{heals, seconds, whole};

#[test]
fn both_died_and_it_comes_back_within_its_right() {
    for seed in 0..20 {
        let (mut world, leader, _) = whole(2, SyncMode::Synchronous, seed);
        world.kill_agent(&leader);
        world.kill_database(&leader);
        world.run(seconds(1));
        world.start_agent(&leader);
        world.run_until("it serves again", seconds(4), |world| world.leader().as_ref() == Some(&leader));
        assert_eq!(world.node(&leader).database.timeline, 1);
        heals(&mut world);
    }
}

#[test]
fn without_its_memory_it_does_not_resume() {
    for seed in 0..10 {
        let (mut world, leader, _) = whole(2, SyncMode::Synchronous, seed);
        world.kill_agent(&leader);
        world.kill_database(&leader);
        world.node_mut(&leader).memo = Memo::default();
        world.start_agent(&leader);
        world.run(seconds(3));
        assert_eq!(world.leader(), None, "it resumed a reign that it does not remember\n{}", world.story());
        world.run_until("an election", seconds(9), |world| world.leader().is_some());
        let elected = world.leader().expect("there is one");
        assert!(world.node(&elected).database.term.0 >= 2, "{}", world.story());
        heals(&mut world);
    }
}
