//! A cluster begins once, with whoever is first, and never beside data that somebody has (protocol rule 38).

use odoo_ha_core::database::DatabaseState;
use odoo_ha_core::machine::Bootstrap;
use odoo_ha_core::member::{DataId, SystemId};
use odoo_ha_core::policy::SyncMode;
use odoo_ha_tests::sim::{Fault, World, member};

use super::{heals, seconds, whole};

#[test]
fn one_of_them_makes_the_database_and_the_others_copy_it() {
    for seed in 0..30 {
        let (mut world, _, _) = whole(3, SyncMode::Synchronous, seed);
        assert!(world.nodes.values().all(|node| node.database.system_id == Some(SystemId(7))));
        heals(&mut world);
    }
}

#[test]
fn a_beginner_that_dies_is_replaced() {
    for seed in 0..20 {
        let mut world = World::new(2, SyncMode::Synchronous, seed);
        world.run(super::millis(60));
        let first = world
            .nodes
            .iter()
            .find(|(_, node)| node.machine.as_ref().is_some_and(|machine| machine.leads_until().is_some()))
            .map(|(name, _)| name.clone())
            .expect("one has begun");
        world.kill_agent(&first);
        world.run_until("the other leads", seconds(20), |world| world.leader().is_some_and(|leader| leader != first));
        world.start_agent(&first);
        heals(&mut world);
    }
}

#[test]
fn no_database_is_made_beside_one_that_is_there() {
    let mut world = World::with(2, 5, |config| config.founders = [member("a"), member("b")].into());
    let old = world.node_mut(&member("b"));
    old.database.state = DatabaseState::StoppedCleanly;
    old.database.system_id = Some(SystemId(9));
    old.database.data_id = Some(DataId("old".into()));
    world.run(seconds(20));
    assert_eq!(world.leader(), None, "{}", world.story());
    assert_eq!(world.node(&member("a")).database.state, DatabaseState::Absent);
    let refusal = world.node(&member("a")).machine.as_ref().and_then(|machine| machine.status().refusal);
    assert!(refusal.expect("it says why").contains("has data"));
}

#[test]
fn no_database_is_made_beside_data_that_were_being_adopted() {
    for seed in 0..20 {
        let mut world = World::with(2, seed, |config| {
            config.founders = [member("a"), member("b")].into();
            config.bootstrap = if config.me == member("a") { Bootstrap::Adopt } else { Bootstrap::Create };
        });
        world.former_data(&member("a"));
        world.run_until("a begins", seconds(5), |world| world.store.leader_record().is_some());
        world.kill_agent(&member("a"));
        world.run(seconds(60));
        assert_eq!(world.leader(), None, "{}", world.story());
        assert_eq!(world.node(&member("b")).database.state, DatabaseState::Absent);
        let refusal = world.node(&member("b")).machine.as_ref().and_then(|machine| machine.status().refusal);
        assert!(refusal.expect("it says why").contains("was beginning the cluster with its own data"));
        world.start_agent(&member("a"));
        world.run_until("a leads", seconds(20), |world| world.leader() == Some(member("a")));
        heals(&mut world);
    }
}

/// Who has data reports them only after the cluster was begun, by one that has died since.
#[test]
fn no_database_is_made_beside_data_that_came_late() {
    for seed in 0..20 {
        let mut world = World::with(3, seed, |config| {
            config.bootstrap = if config.me == member("c") { Bootstrap::Never } else { Bootstrap::Create };
        });
        world.kill_agent(&member("c"));
        world.former_data(&member("c"));
        world.run_until("one begins", seconds(5), |world| world.store.leader_record().is_some());
        let first = world.store.leader_record().and_then(|record| record.holder).expect("one has begun");
        world.apply(&Fault::HostCrashed(first.clone()));
        world.start_agent(&member("c"));
        world.run(seconds(60));
        assert_eq!(world.records.system_id, None, "{}", world.story());
        let other = if first == member("a") { member("b") } else { member("a") };
        assert_eq!(world.node(&other).database.state, DatabaseState::Absent, "{}", world.story());
        let refusal = world.node(&other).machine.as_ref().and_then(|machine| machine.status().refusal);
        assert!(refusal.expect("it says why").contains("c has data"));
    }
}

#[test]
fn a_member_that_may_not_begin_waits() {
    let mut world = World::with(1, 5, |config| config.bootstrap = Bootstrap::Never);
    world.run(seconds(20));
    assert_eq!(world.leader(), None);
}
