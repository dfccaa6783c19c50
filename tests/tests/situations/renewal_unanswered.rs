//! Writes to the leader record without an answer: unknown is neither yes nor no (protocol rule 8).

use odoo_ha_core::policy::SyncMode;
use odoo_ha_tests::sim::Answerless;

use super::{heals, seconds, whole};

#[test]
fn done_not_done_or_later_the_leader_goes_on() {
    for seed in 0..60 {
        let (mut world, leader, _) = whole(2, SyncMode::Synchronous, seed);
        world.measure();
        let faults = [Answerless::Done, Answerless::NotDone, Answerless::Later(300 + seed * 20)];
        let fault = faults[(seed % 3) as usize];
        world.answerless.insert(leader.clone(), vec![fault; 1 + (seed % 2) as usize]);
        world.run(seconds(10));
        assert_eq!(world.leader().as_ref(), Some(&leader), "seed {seed}\n{}", world.story());
        assert!(world.longest_gap < super::millis(300), "seed {seed}: {:?}", world.longest_gap);
        heals(&mut world);
    }
}

#[test]
fn a_takeover_without_an_answer_is_settled_by_its_effect() {
    for seed in 0..60 {
        let (mut world, old, others) = whole(2, SyncMode::Synchronous, seed);
        world.kill_agent(&old);
        world.kill_database(&old);
        world.run(seconds(4));
        let faults = [Answerless::Done, Answerless::NotDone, Answerless::Later(500 + seed * 40)];
        let fault = faults[(seed % 3) as usize];
        world.answerless.insert(others[0].clone(), vec![fault; 4]);
        world.run_until("another leads", seconds(15), |world| world.leader().is_some());
        world.start_agent(&old);
        heals(&mut world);
    }
}
