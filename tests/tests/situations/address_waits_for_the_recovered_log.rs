//! A database is restarted in place: what it recovered may never have been acknowledged, and is read by nobody before it is on the named
//! standbys (protocol rule 32).

use odoo_ha_core::policy::{OnDatabaseDeath, SyncMode};
use odoo_ha_tests::sim::World;

use super::{heals, millis, settled};

#[test]
fn nobody_reads_what_an_admitted_member_may_lack() {
    for seed in 0..10 {
        let world = World::with(2, seed, |config| {
            config.policy.sync_mode = SyncMode::Strict;
            config.policy.on_database_death = OnDatabaseDeath::Restart;
        });
        let (mut world, leader, others) = settled(world);
        world.node_mut(&others[0]).cut_from_peers = true;
        world.run(millis(200));
        let tail = world.node(&leader).database.lsn();
        assert!(tail > world.node(&others[0]).database.lsn(), "there is a tail that nobody acknowledged");
        world.kill_database(&leader);
        let mut was_down = false;
        for _ in 0..1000 {
            world.run(millis(5));
            was_down |= !world.node(&leader).address;
            if was_down && world.node(&leader).address {
                let record = world.store.sync_record().expect("there is one");
                for name in record.names.keys() {
                    assert!(
                        world.node(name).database.lsn() >= tail,
                        "seed {seed}: {name} may be elected without the tail"
                    );
                }
            }
        }
        assert!(was_down, "seed {seed}: the address stayed up while the database was down");
        world.node_mut(&others[0]).cut_from_peers = false;
        heals(&mut world);
    }
}
