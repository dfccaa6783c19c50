//! The leader's database is frozen: its process lives and answers nobody.

use odoo_ha_core::policy::SyncMode;

use super::{heals, seconds, whole};

#[test]
fn it_is_stopped_and_another_takes_over() {
    for seed in 0..10 {
        let (mut world, old, _) = whole(2, SyncMode::Synchronous, seed);
        world.node_mut(&old).database.hung = true;
        world.run_until("another leads", seconds(8), |world| world.leader().is_some_and(|leader| leader != old));
        heals(&mut world);
    }
}
