//! Whoever finds leadership vacant takes over at once. So it is vacant only when the old leader's database has stopped and its address is gone
//! (protocol rules 10 and 37).

use odoo_ha_core::database::DatabaseState;
use odoo_ha_core::machine::Command;
use odoo_ha_core::policy::SyncMode;

use super::{millis, seconds, whole};

#[test]
fn a_vacant_record_means_a_stopped_database() {
    for seed in 0..10 {
        let (mut world, leader, others) = whole(2, SyncMode::Synchronous, seed);
        world.kill_agent(&others[0]);
        world.kill_database(&others[0]);
        world.run(seconds(4));
        world.command(&leader, Command::Shutdown { stop_database: true });
        let mut vacant = 0;
        for _ in 0..3000 {
            world.run(millis(1));
            if world.store.leader_record().is_some_and(|record| record.holder.is_none() && record.writer == leader) {
                vacant += 1;
                let node = world.node(&leader);
                let runs = node.database.state == DatabaseState::Primary;
                assert!(!runs && !node.address, "seed {seed}: released too early\n{}", world.story());
            }
        }
        assert!(vacant > 0, "seed {seed}: never released\n{}", world.story());
        world.assert_sound();
    }
}
