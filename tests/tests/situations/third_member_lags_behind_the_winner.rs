//! Of three, one is not named and lags; the leader dies, then the winner right after it was elected. The one that lags must not lead: the
//! sync record that the winner wrote does not name it (protocol rule 15: a winner that named it once lost an acknowledged commit).

use odoo_ha_core::machine::StateName;
use odoo_ha_core::policy::SyncMode;

use super::{heals, millis, seconds, whole};

#[test]
fn it_does_not_lead_when_the_winner_dies() {
    for seed in 0..20 {
        let (mut world, first, others) = whole(3, SyncMode::Synchronous, seed);
        let (winner, lagging) = (&others[0], &others[1]);
        world.node_mut(lagging).cut_from_peers = true;
        world.run(seconds(6));
        let named = world.store.sync_record().expect("there is one").names;
        assert!(!named.contains_key(lagging), "{named:?}");
        // The one that lags has voted when the winner counts.
        world.node_mut(winner).slow_store = millis(150);
        world.kill_agent(&first);
        world.kill_database(&first);
        let elected = |world: &odoo_ha_tests::sim::World| {
            matches!(world.state(winner), Some(StateName::Promoting | StateName::Leading))
        };
        world.run_until("one is elected", seconds(9), elected);
        world.run(millis(seed * 10));
        world.node_mut(winner).slow_store = millis(0);
        world.kill_agent(winner);
        world.kill_database(winner);
        world.node_mut(lagging).cut_from_peers = false;
        world.run(seconds(20));
        assert_eq!(world.leader(), None, "seed {seed}: one that lacks commits leads\n{}", world.story());
        world.start_agent(&first);
        world.start_agent(winner);
        heals(&mut world);
    }
}
