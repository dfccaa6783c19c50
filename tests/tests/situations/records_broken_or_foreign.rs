//! The store holds what cannot be used: nothing is decided by it, and the refusal says what to do.

use odoo_ha_core::policy::SyncMode;
use odoo_ha_core::store::Key;
use odoo_ha_tests::sim::World;

use super::{seconds, whole};

fn refusal_after(value: &[u8]) -> String {
    let (mut world, leader, others) = whole(2, SyncMode::Synchronous, 1);
    world.kill_agent(&leader);
    world.kill_database(&leader);
    world.put_raw(Key::leader(), value.to_vec());
    world.run(seconds(30));
    assert_eq!(world.leader(), None, "taken over on the word of a broken record\n{}", world.story());
    let status = world.node(&others[0]).machine.as_ref().expect("it lives").status();
    status.refusal.unwrap_or_else(|| panic!("a refusal is loud\n{}", world.story()))
}

#[test]
fn garbage_is_not_taken_for_vacant() {
    assert!(refusal_after(b"\0\xff not json").contains("cannot be understood"));
    assert!(refusal_after(b"{}").contains("cannot be understood"));
}

#[test]
fn a_newer_format_is_refused_politely() {
    let refusal = refusal_after(br#"{"header":{"format":99,"cluster":"world","nonce":{"incarnation":1,"number":1}}}"#);
    assert!(refusal.contains("format 99") && refusal.contains("upgrade"), "{refusal}");
}

#[test]
fn another_clusters_record_is_not_ours() {
    let refusal = refusal_after(br#"{"header":{"format":1,"cluster":"other","nonce":{"incarnation":1,"number":1}}}"#);
    assert!(refusal.contains("other") && refusal.contains("prefix"), "{refusal}");
}

#[test]
fn a_database_of_another_cluster_does_not_join() {
    let mut world = World::new(2, SyncMode::Synchronous, 3);
    let b = odoo_ha_tests::sim::member("b");
    world.kill_agent(&b);
    world.run(seconds(5));
    let node = world.node_mut(&b);
    node.database.state = odoo_ha_core::database::DatabaseState::StoppedCleanly;
    node.database.system_id = Some(odoo_ha_core::member::SystemId(99));
    node.database.data_id = Some(odoo_ha_core::member::DataId("foreign".into()));
    world.start_agent(&b);
    world.run(seconds(10));
    assert!(!world.node(&b).database.state.runs());
    let refusal = world.node(&b).machine.as_ref().and_then(|machine| machine.status().refusal);
    assert!(refusal.expect("it says why").contains("another database"));
}
