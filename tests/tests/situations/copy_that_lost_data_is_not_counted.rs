//! A counted copy that ends before what was acknowledged has lost data, and one with log that a later reign never had has diverged: neither is
//! elected, and the refusal says so (protocol rules 14 and 30).

use odoo_ha_core::policy::SyncMode;

use super::{heals, millis, seconds, whole};

fn refusal(world: &odoo_ha_tests::sim::World, name: &odoo_ha_core::member::MemberId) -> String {
    let status = world.node(name).machine.as_ref().expect("it lives").status();
    status.refusal.unwrap_or_else(|| panic!("a refusal is loud\n{}", world.story()))
}

#[test]
fn one_that_ends_before_what_was_acknowledged_waits_for_the_leader() {
    for seed in 0..10 {
        let (mut world, leader, others) = whole(2, SyncMode::Synchronous, seed);
        world.run(seconds(5));
        for name in [&leader, &others[0]] {
            world.kill_agent(name);
            world.kill_database(name);
        }
        world.run(seconds(1));
        world.node_mut(&others[0]).database.log.truncate(100);
        world.start_agent(&others[0]);
        world.run(seconds(20));
        assert_eq!(world.leader(), None, "elected without what it had acknowledged\n{}", world.story());
        assert!(refusal(&world, &others[0]).contains("lost data"), "{}", world.story());
        world.start_agent(&leader);
        heals(&mut world);
    }
}

#[test]
fn one_that_has_diverged_waits_for_its_successor() {
    for seed in 0..10 {
        let (mut world, first, others) = whole(2, SyncMode::Asynchronous, seed);
        world.node_mut(&others[0]).cut_from_peers = true;
        world.run(millis(400));
        world.kill_agent(&first);
        world.kill_database(&first);
        world.node_mut(&others[0]).cut_from_peers = false;
        world.run_until("another leads", seconds(9), |world| world.leader().as_ref() == Some(&others[0]));
        world.run(seconds(3));
        world.kill_agent(&others[0]);
        world.kill_database(&others[0]);
        world.start_agent(&first);
        world.run(seconds(20));
        assert_eq!(world.leader(), None, "elected with log that its successor never had\n{}", world.story());
        assert!(refusal(&world, &first).contains("never had"), "{}", world.story());
        world.start_agent(&others[0]);
        world.run_until("whole again", seconds(40), odoo_ha_tests::sim::World::whole);
        world.assert_sound();
    }
}
