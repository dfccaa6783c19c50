//! A stop of the services takes long, and before it has ended they are wanted again: they are started after it, not beside it. (Found by
//! `simulate --profile paused --first-seed 982148 --seeds 1`.)

use odoo_ha_core::policy::SyncMode;
use odoo_ha_tests::sim::World;

use super::{heals, millis, seconds, settled};

#[test]
fn they_run_in_the_end() {
    for seed in 0..10 {
        let world = World::with(2, seed, |config| {
            config.policy.sync_mode = SyncMode::Asynchronous;
            config.services = true;
        });
        let (mut world, leader, _) = settled(world);
        world.run_until("they run", seconds(5), |world| world.node(&leader).services.running.is_some());
        world.node_mut(&leader).services.slow = seconds(3);
        // They are stopped, and started again; while they start, they are to stop once more.
        world.kill_database(&leader);
        world.run(seconds(4));
        world.kill_database(&leader);
        world.run(millis(100));
        world.node_mut(&leader).services.slow = seconds(0);
        world.run(seconds(10));
        assert!(world.node(&leader).services.running.is_some(), "seed {seed}\n{}", world.story());
        heals(&mut world);
    }
}
