//! A takeover is on its way when the leader, cut off for a moment, renews: it must not be taken any more (protocol rule 15).

use odoo_ha_core::machine::StateName;
use odoo_ha_core::policy::SyncMode;
use odoo_ha_tests::sim::{Answerless, World};

use super::{heals, millis, seconds, settled};

#[test]
fn the_leader_that_renewed_meanwhile_leads_on() {
    for seed in 0..10 {
        let world = World::with(2, seed, |config| {
            config.policy.sync_mode = SyncMode::Synchronous;
            config.timing.renew_interval = millis(100);
            config.timing.suspicion = millis(400);
        });
        let (mut world, leader, others) = settled(world);
        let term = world.store.leader_record().expect("there is one").mark.term;
        world.node_mut(&leader).cut_from_store = true;
        world.run_until("a vote", seconds(4), |world| world.state(&others[0]) == Some(StateName::Voting));
        world.answerless.insert(others[0].clone(), vec![Answerless::Later(1500); 60]);
        world.run(millis(300));
        world.node_mut(&leader).cut_from_store = false;
        world.run(seconds(4));
        assert_eq!(world.leader(), Some(leader), "seed {seed}\n{}", world.story());
        assert_eq!(
            world.store.leader_record().expect("there is one").mark.term,
            term,
            "seed {seed}\n{}",
            world.story()
        );
        world.answerless.clear();
        heals(&mut world);
    }
}
