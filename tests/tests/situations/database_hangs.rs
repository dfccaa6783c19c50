//! The leader's database is frozen: its process lives and answers nobody.

use odoo_ha_core::policy::SyncMode;
use odoo_ha_tests::sim::World;

use super::{heals, millis, seconds, settled, whole};

#[test]
fn it_is_stopped_and_another_takes_over() {
    for seed in 0..10 {
        let (mut world, old, _) = whole(2, SyncMode::Synchronous, seed);
        world.node_mut(&old).database.hung = true;
        world.run_until("another leads", seconds(8), |world| world.leader().is_some_and(|leader| leader != old));
        heals(&mut world);
    }
}

/// A database that does not answer may be a primary: the watchdog of its dead agent is not let go by the next one. (Found by
/// `simulate --profile harsh --first-seed 980248 --seeds 1`.)
#[test]
fn its_agent_starts_anew_and_the_watchdog_ends_it_all_the_same() {
    for seed in 0..10 {
        let world = World::with(2, seed, |config| {
            config.watchdog = Some(millis(400));
            (config.timing.renew_interval, config.timing.suspicion) = (millis(300), millis(900));
        });
        let (mut world, old, _) = settled(world);
        world.node_mut(&old).database.hung = true;
        world.kill_agent(&old);
        let taken =
            |world: &World| world.store.leader_record().is_some_and(|record| record.holder.as_ref() != Some(&old));
        world.run_until("leadership is another's", seconds(3), taken);
        // Its watchdog has not acted yet.
        assert!(world.node(&old).database.hung, "seed {seed}");
        world.start_agent(&old);
        world.run_until("it is ended", seconds(6), |world| !world.node(&old).database.hung);
        world.start_agent(&old);
        heals(&mut world);
    }
}
