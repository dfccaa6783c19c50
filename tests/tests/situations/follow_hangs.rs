//! An order to follow hangs on its upstream, as it may for as long as a copy may take. It gives way to whatever cannot wait for it: this member's vote
//! when the leader is gone, and another leader.

use odoo_ha_core::policy::SyncMode;
use odoo_ha_tests::sim::{World, member};

use super::{heals, millis, seconds, settled};

/// The leader dies while its standby hangs in following it: the standby takes over as if it did not.
#[test]
fn its_member_votes_in_time() {
    for mode in [SyncMode::Synchronous, SyncMode::Asynchronous] {
        for seed in 0..10 {
            let world = World::with(2, seed, |config| {
                config.policy.sync_mode = mode;
                config.policy.maximum_lag_on_failover = u64::MAX;
            });
            let (mut world, leader, others) = settled(world);
            let standby = &others[0];
            world.node_mut(standby).follow_hangs_on = Some(leader.clone());
            world.kill_database(standby);
            world.run(millis(600));
            world.crash_host(&leader);
            let (at, ttl) = (world.now, world.node(standby).config.timing.ttl);
            world.run_until("its standby leads", seconds(10), |world| world.leader().as_ref() == Some(standby));
            let after = world.now - at;
            assert!(after < ttl + seconds(2), "{mode:?}, seed {seed}: {after:?}\n{}", world.story());
            world.start_agent(&leader);
            world.run_until("whole again", seconds(40), World::whole);
            world.assert_sound();
        }
    }
}

/// A member that never votes hangs in following a leader that is gone: it follows the next one at once.
#[test]
fn another_leader_is_followed() {
    for seed in 0..10 {
        let world = World::with(3, seed, |config| {
            if config.me == member("c") {
                config.tags.nofailover = true;
                config.bootstrap = odoo_ha_core::machine::Bootstrap::Never;
            }
        });
        let (mut world, leader, _) = settled(world);
        let c = member("c");
        world.node_mut(&c).follow_hangs_on = Some(leader.clone());
        world.kill_database(&c);
        world.run(millis(600));
        world.crash_host(&leader);
        let next = if leader == member("a") { member("b") } else { member("a") };
        world.run_until("another leads", seconds(10), |world| world.leader().as_ref() == Some(&next));
        let streams = |world: &World| {
            let database = &world.node(&c).database;
            database.streaming && database.upstream.as_ref() == Some(&next)
        };
        world.run_until("it is followed", seconds(5), streams);
        world.start_agent(&leader);
        heals(&mut world);
    }
}
