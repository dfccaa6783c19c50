//! A database is restarted in place: what it recovered may never have been acknowledged, and is read by nobody before it is on the named
//! standbys (protocol rule 32).

use odoo_ha_core::policy::{OnDatabaseDeath, SyncMode};
use odoo_ha_tests::world::World;

use super::{heals, seconds, settled};

#[test]
fn the_address_is_down_until_the_standby_has_it() {
    for seed in 0..10 {
        let world = World::with(2, seed, |config| {
            config.policy.sync_mode = SyncMode::Strict;
            config.policy.on_database_death = OnDatabaseDeath::Restart;
        });
        let (mut world, leader, others) = settled(world);
        world.node_mut(&others[0]).cut_from_peers = true;
        world.run(super::millis(200));
        world.kill_database(&leader);
        world.run(seconds(3));
        assert!(!world.node(&leader).address, "the unacknowledged tail can be read\n{}", world.story());
        world.node_mut(&others[0]).cut_from_peers = false;
        heals(&mut world);
    }
}
