//! The agent dies and its database lives on.

use odoo_ha_core::policy::SyncMode;

use super::{heals, seconds, whole};

#[test]
fn nobody_writes_beside_the_new_leader() {
    for seed in 0..20 {
        let (mut world, old, _) = whole(2, SyncMode::Asynchronous, seed);
        world.kill_agent(&old);
        world.run_until("another leads", seconds(7), |world| world.leader().is_some_and(|leader| leader != old));
        assert!(!world.node(&old).database.state.runs());
        world.start_agent(&old);
        heals(&mut world);
    }
}

#[test]
fn restarted_in_time_it_finds_its_database_undisturbed() {
    for seed in 0..20 {
        let (mut world, old, _) = whole(2, SyncMode::Asynchronous, seed);
        let before = world.node(&old).database.log.len();
        world.kill_agent(&old);
        world.run(seconds(2));
        world.start_agent(&old);
        world.run_until("it serves again", seconds(3), |world| world.leader().as_ref() == Some(&old));
        let node = world.node(&old);
        assert!(node.database.state.runs() && node.database.log.len() >= before);
        assert_eq!(node.database.timeline, 1, "nobody took over");
        heals(&mut world);
    }
}
