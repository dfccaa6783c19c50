//! Somebody deletes the leader record: that is no vacancy (protocol rule 1).

use odoo_ha_core::policy::SyncMode;
use odoo_ha_core::store::Key;

use super::{seconds, whole};

#[test]
fn nobody_takes_a_deleted_record_for_a_vacant_one() {
    let (mut world, leader, others) = whole(2, SyncMode::Synchronous, 1);
    world.kill_agent(&leader);
    world.kill_database(&leader);
    world.delete_raw(&Key::leader());
    world.run(seconds(20));
    assert_eq!(world.leader(), None, "{}", world.story());
    let status = world.node(&others[0]).machine.as_ref().expect("it lives").status();
    assert!(status.refusal.is_some(), "a refusal is loud\n{}", world.story());
}
