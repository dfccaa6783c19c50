//! A leader changes the sync record, nobody answers, another takes over, and only then do its writes arrive (protocol rule 9: such a write once
//! undid what the next leader had recorded).

use odoo_ha_core::policy::SyncMode;
use odoo_ha_tests::sim::Answerless;

use super::{heals, millis, seconds, whole};

#[test]
fn nothing_of_it_is_taken() {
    for seed in 0..20 {
        let (mut world, old, others) = whole(3, SyncMode::Synchronous, seed);
        // It is about to drop one that went silent, when its writes begin to get lost on the way.
        world.node_mut(&others[0]).cut_from_peers = true;
        world.run(millis(1500 + seed * 50));
        world.answerless.insert(old.clone(), vec![Answerless::Later(9000 + seed * 300); 40]);
        let mut newest = 0;
        for _ in 0..4000 {
            world.run(millis(5));
            let (Some(leader), Some(sync)) = (world.store.leader_record(), world.store.sync_record()) else { continue };
            assert!(leader.mark.term.0 >= newest, "seed {seed}: an older term came back\n{}", world.story());
            newest = leader.mark.term.0;
            assert_eq!(
                sync.mark.term,
                leader.mark.term,
                "seed {seed}: a sync record of another reign\n{}",
                world.story()
            );
        }
        assert!(newest > 1, "seed {seed}: nobody took over\n{}", world.story());
        world.answerless.clear();
        world.node_mut(&others[0]).cut_from_peers = false;
        world.run(seconds(1));
        heals(&mut world);
    }
}
