//! At every instant: whom the sync record counts, the database waits for (rule 3, protocol rule 18).

use odoo_ha_core::database::DatabaseState;
use odoo_ha_core::machine::Command;
use odoo_ha_core::policy::{Policy, SyncMode};

use super::{heals, millis, seconds, whole};

/// Looks at every 5 ms whether the record names somebody for whom the leader's running database does not wait.
#[test]
fn the_record_never_names_whom_the_database_does_not_wait_for() {
    for seed in 0..15 {
        let (mut world, leader, others) = whole(3, SyncMode::Synchronous, seed);
        for step in 0..4000_u64 {
            match step % 1600 {
                10 => world.node_mut(&others[0]).cut_from_peers = true,
                800 => world.node_mut(&others[0]).cut_from_peers = false,
                1200 => world.kill_database(&others[1]),
                _ => {}
            }
            world.run(millis(5));
            let node = world.node(&leader);
            let record = world.store.sync_record();
            let applies = record.as_ref().is_some_and(|record| record.leader == leader)
                && node.database.state == DatabaseState::Primary;
            if let (true, Some(record)) = (applies, record) {
                for name in record.names.keys() {
                    assert!(
                        node.database.synchronous.names(name),
                        "seed {seed}: the record names {name}, the database waits for {:?}\n{}",
                        node.database.synchronous,
                        world.story()
                    );
                }
            }
        }
        world.node_mut(&others[0]).cut_from_peers = false;
        heals(&mut world);
    }
}

#[test]
fn the_mode_changes_at_run_time_and_back() {
    for seed in 0..10 {
        let (mut world, _, _) = whole(3, SyncMode::Synchronous, seed);
        for mode in [SyncMode::Asynchronous, SyncMode::Strict, SyncMode::Asynchronous, SyncMode::Synchronous] {
            let mut policy = Policy::default();
            policy.sync_mode = mode;
            let names: Vec<_> = world.nodes.keys().cloned().collect();
            for name in names {
                world.node_mut(&name).config.policy = policy;
                world.command(&name, Command::SetPolicy(policy));
            }
            world.run_until("whole in the new mode", seconds(10), odoo_ha_tests::sim::World::whole);
        }
        heals(&mut world);
    }
}
