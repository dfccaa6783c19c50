//! A read of the leader's is answered after a write of its own that came later: the record that was written does not go back, or the
//! database would be told to wait for fewer than the store counts (protocol rule 18).

use odoo_ha_core::machine::Input;
use odoo_ha_core::policy::SyncMode;

use super::{heals, millis, whole};

#[test]
fn what_was_written_is_not_forgotten() {
    for seed in 0..20 {
        let (mut world, leader, others) = whole(2, SyncMode::Synchronous, seed);
        world.node_mut(&leader).slow_store = millis(120);
        for step in 0..1200_u64 {
            match step % 400 {
                10 => world.node_mut(&others[0]).cut_from_peers = true,
                200 => world.node_mut(&others[0]).cut_from_peers = false,
                _ => {}
            }
            let until = world.now + millis(60);
            world.node_mut(&leader).watch_stalled_until = until;
            world.input(&leader, Input::WatchLost);
            world.run(millis(15));
        }
        world.node_mut(&leader).slow_store = millis(0);
        world.node_mut(&others[0]).cut_from_peers = false;
        heals(&mut world);
    }
}
