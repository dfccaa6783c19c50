//! A reign's row is in the history before users are let in, and before the sync record names anybody anew: a copy that has diverged must be
//! recognised as such from the first commit on (protocol rule 14).

use odoo_ha_core::policy::SyncMode;

use super::{heals, millis, whole};

#[test]
fn the_row_is_there_first() {
    for seed in 0..6 {
        let mode = if seed % 2 == 0 { SyncMode::Synchronous } else { SyncMode::Asynchronous };
        let (mut world, first, _) = whole(3, mode, seed);
        world.kill_agent(&first);
        world.kill_database(&first);
        let mut names = world.store.sync_record().expect("there is one").names;
        let mut term = world.store.leader_record().expect("there is one").mark.term;
        for _ in 0..12_000 {
            world.run(millis(1));
            let (Some(leader), Some(sync)) = (world.store.leader_record(), world.store.sync_record()) else { continue };
            let recorded = world
                .store
                .history_record()
                .is_some_and(|history| history.rows.iter().any(|row| row.term == leader.mark.term));
            let serves = world.leader().is_some();
            assert!(recorded || !serves, "seed {seed}: users are let in first\n{}", world.story());
            let gained = leader.mark.term == term && sync.names.keys().any(|name| !names.contains_key(name));
            assert!(recorded || !gained, "seed {seed}: a member is named first\n{}", world.story());
            (names, term) = (sync.names, leader.mark.term);
        }
        assert!(world.leader().is_some(), "seed {seed}\n{}", world.story());
        world.start_agent(&first);
        world.run_until("whole again", super::seconds(30), odoo_ha_tests::sim::World::whole);
        if mode == SyncMode::Synchronous {
            heals(&mut world);
        }
        world.assert_sound();
    }
}
