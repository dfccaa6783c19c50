//! Asynchronous mode: nobody too far behind is promoted, and the refusal says so (rules 4 and 11).

use odoo_ha_core::machine::Command;
use odoo_ha_core::policy::SyncMode;
use odoo_ha_core::records::RequestKind;
use odoo_ha_tests::sim::World;

use super::{seconds, settled};

#[test]
fn one_too_far_behind_waits_until_an_operator_accepts_the_loss() {
    let world = World::with(2, 3, |config| {
        config.policy.sync_mode = SyncMode::Asynchronous;
        config.policy.maximum_lag_on_failover = 100;
    });
    let (mut world, old, others) = settled(world);
    let behind = others[0].clone();
    world.node_mut(&behind).cut_from_peers = true;
    world.run(seconds(20));
    world.kill_agent(&old);
    world.kill_database(&old);
    world.node_mut(&behind).cut_from_peers = false;
    world.run(seconds(20));
    assert_eq!(world.leader(), None, "{}", world.story());
    let status = world.node(&behind).machine.as_ref().expect("it lives").status();
    let refusal = status.refusal.expect("a refusal is loud");
    assert!(refusal.contains("maximum_lag_on_failover"), "{refusal}");
    let kind = RequestKind::Failover { target: behind.clone(), accept_data_loss: true };
    world.command(&behind, Command::Request { id: "force".into(), kind });
    world.run_until("the forced one leads", seconds(5), |world| world.leader().as_ref() == Some(&behind));
    world.start_agent(&old);
    world.run_until("whole again", seconds(30), World::whole);
    world.assert_sound();
}
