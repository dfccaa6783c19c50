//! A leader alone on its side gives up while commits wait for a standby: none of them is acknowledged by that (protocol rule 21: an emptied
//! setting once released them all).

use odoo_ha_core::policy::SyncMode;

use super::{heals, seconds, whole};

#[test]
fn what_waits_is_never_acknowledged() {
    for seed in 0..10 {
        for mode in [SyncMode::Synchronous, SyncMode::Strict] {
            let (mut world, leader, _) = whole(2 + (seed % 2) as usize, mode, seed);
            world.direct_writers = true;
            let node = world.node_mut(&leader);
            node.cut_from_peers = true;
            node.cut_from_store = true;
            let before = world.acknowledged.len();
            world.run(seconds(4));
            assert_eq!(world.acknowledged.len(), before, "seed {seed}: acknowledged by nobody else\n{}", world.story());
            world.run(seconds(8));
            let node = world.node_mut(&leader);
            node.cut_from_peers = false;
            node.cut_from_store = false;
            heals(&mut world);
        }
    }
}
