//! A watchdog that did not answer may be armed, with the end that it was told or with the one before: it is let go when leadership ends, and nothing is
//! recorded that counts on its having heard (design rule 6; protocol rules 4 and 34).

use odoo_ha_core::machine::StateName;
use odoo_ha_core::policy::{SyncMode, Timing};
use odoo_ha_tests::sim::World;

use super::times_changed_at_run_time::set;
use super::{heals, millis, seconds, settled, whole};

#[test]
fn it_is_let_go_by_a_leader_that_gives_up_in_good_order() {
    for seed in 0..12 {
        let (mut world, old, _) = whole(2, SyncMode::Synchronous, seed);
        let life = world.node(&old).incarnation;
        world.node_mut(&old).watchdog_unanswered = true;
        // Until a renewal was confirmed, and its feed has failed.
        world.run(millis(1300 + seed * 60));
        world.node_mut(&old).cut_from_store = true;
        world.run_until("it has given up", seconds(8), |world| {
            world.state(&old) == Some(StateName::GivingUp) && !world.node(&old).database.state.runs()
        });
        world.node_mut(&old).watchdog_unanswered = false;
        world.run_until("its watchdog is let go", seconds(2), |world| world.node(&old).watchdog.is_none());
        world.node_mut(&old).cut_from_store = false;
        heals(&mut world);
        assert_eq!(world.node(&old).incarnation, life, "seed {seed}: its watchdog has not killed the agent");
    }
}

#[test]
fn no_shorter_ttl_is_recorded_before_it_has_heard() {
    for seed in 0..12 {
        let world = World::with(2, seed, |config| {
            config.policy.sync_mode = SyncMode::Asynchronous;
            config.timing = Timing::with_ttl(seconds(20));
        });
        let (mut world, old, _) = settled(world);
        world.direct_writers = true;
        world.run(millis(seed * 370));
        world.node_mut(&old).watchdog_deaf = true;
        set(&mut world, Timing::with_ttl(seconds(3)));
        world.run(millis(200 + seed * 30));
        let recorded = world.store.leader_record().expect("there is one").ttl();
        assert_eq!(recorded, seconds(20), "seed {seed}: its watchdog has not heard of another");
        world.kill_agent(&old);
        world.run(seconds(26));
        world.node_mut(&old).watchdog_deaf = false;
        world.start_agent(&old);
        world.run_until("whole again", seconds(30), World::whole);
        world.assert_sound_of(seed);
    }
}
