//! An agent restarts beside its running primary, finds itself in the leader record, and then the store is gone: without a renewal there is no
//! leadership, and the database does not run on (rule 5).

use odoo_ha_core::policy::SyncMode;
use odoo_ha_tests::sim::World;

use super::{heals, millis, seconds, settled};

#[test]
fn an_unconfirmed_primary_is_stopped() {
    for seed in 0..30 {
        let world = World::with(2, seed, |config| {
            config.policy.sync_mode = SyncMode::Asynchronous;
            config.watchdog = None;
        });
        let (mut world, old, _) = settled(world);
        world.direct_writers = true;
        world.kill_agent(&old);
        world.start_agent(&old);
        world.run(millis(1 + seed % 10));
        world.node_mut(&old).cut_from_store = true;
        world.run(seconds(8));
        assert!(world.leader().is_some_and(|leader| leader != old), "seed {seed}\n{}", world.story());
        assert!(!world.node(&old).database.state.runs(), "seed {seed}: it runs on\n{}", world.story());
        world.node_mut(&old).cut_from_store = false;
        heals(&mut world);
    }
}
