//! A change of the sync record without an answer: until its fate is known the database waits for everybody that either version names
//! (protocol rules 8 and 18). The world looks at every step.

use odoo_ha_core::policy::SyncMode;
use odoo_ha_tests::sim::Answerless;

use super::{heals, millis, seconds, whole};

#[test]
fn the_database_waits_for_whom_either_version_names() {
    for seed in 0..30 {
        let (mut world, leader, others) = whole(3, SyncMode::Synchronous, seed);
        let faults = [Answerless::Done, Answerless::NotDone, Answerless::Later(300 + seed * 40)];
        world.node_mut(&others[0]).cut_from_peers = true;
        // Two seconds later it is dropped; that, and what is tried again, is not answered.
        world.run(millis(1700));
        world.answerless.insert(leader.clone(), vec![faults[(seed % 3) as usize]; 1 + (seed % 4) as usize]);
        world.run(seconds(4));
        world.node_mut(&others[0]).cut_from_peers = false;
        world.answerless.insert(leader.clone(), vec![faults[((seed + 1) % 3) as usize]; 3]);
        world.run(seconds(6));
        world.assert_sound_of(seed);
        assert_eq!(world.leader(), Some(leader), "seed {seed}\n{}", world.story());
        heals(&mut world);
    }
}
