//! Every member is asked to replace its data while nobody leads: there is nobody to copy from, and what they have may be all there is.

use odoo_ha_core::machine::Command;
use odoo_ha_core::policy::SyncMode;

use super::{heals, millis, seconds, whole};

#[test]
fn they_keep_their_data_and_one_is_elected() {
    for seed in 0..20 {
        let (mut world, leader, others) = whole(2, SyncMode::Synchronous, seed);
        world.kill_database(&leader);
        let vacant = |world: &odoo_ha_tests::sim::World| {
            world.store.leader_record().is_some_and(|record| record.holder.is_none())
        };
        world.run_until("nobody leads", seconds(5), vacant);
        world.command(&leader, Command::Reinit);
        world.run(millis(seed));
        world.command(&others[0], Command::Reinit);
        heals(&mut world);
        assert_eq!(world.lost(), 0, "seed {seed}");
    }
}
