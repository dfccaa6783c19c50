//! Nobody comes and nobody goes, and slots are looked after all the same: a standby's would keep all log, and a lost one would stay lost.

use odoo_ha_core::policy::SyncMode;

use super::{heals, seconds, whole};

#[test]
fn on_leader_and_standbys_now_and_then() {
    let (mut world, ..) = whole(3, SyncMode::Synchronous, 1);
    let before: Vec<u32> = world.nodes.values().map(|node| node.database.slots_kept).collect();
    world.run(seconds(250));
    for ((name, node), before) in world.nodes.iter().zip(before) {
        let times = node.database.slots_kept - before;
        assert!((3..=5).contains(&times), "{name}: {times} times in 250 s");
    }
    heals(&mut world);
}
