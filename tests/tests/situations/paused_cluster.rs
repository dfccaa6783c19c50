//! Paused: nothing is promoted or demoted, whatever dies; resumed, everything is as before (protocol rule 5).

use odoo_ha_core::machine::{Bootstrap, Command};
use odoo_ha_core::policy::SyncMode;
use odoo_ha_core::records::RequestKind;
use odoo_ha_tests::sim::{World, member};

use super::{ask, heals, millis, seconds, whole};

fn ask_anybody(world: &mut World, kind: RequestKind) {
    let on = world.nodes.iter().find(|(_, node)| node.machine.is_some()).map(|(name, _)| name.clone());
    let on = on.expect("one lives");
    let id = format!("{kind:?}");
    ask(world, &on, &id, kind);
    world.run(seconds(2));
}

#[test]
fn a_dead_leader_is_not_replaced_until_forced() {
    let (mut world, old, others) = whole(2, SyncMode::Synchronous, 1);
    ask_anybody(&mut world, RequestKind::Pause);
    world.kill_agent(&old);
    world.kill_database(&old);
    world.run(seconds(30));
    assert_eq!(world.leader(), None, "{}", world.story());
    ask_anybody(&mut world, RequestKind::Failover { target: others[0].clone(), accept_data_loss: false });
    world.run_until("the forced one leads", seconds(8), |world| world.leader().as_ref() == Some(&others[0]));
    ask_anybody(&mut world, RequestKind::Resume);
    world.start_agent(&old);
    heals(&mut world);
}

/// A forced failover waits for votes, and the operator asks another member instead: that one takes over, and not the one asked first, though its vote
/// is the better. (Found by `simulate --profile harsh --first-seed 7000020 --seeds 1`.)
#[test]
fn a_wish_that_is_replaced_promotes_nobody() {
    for seed in 0..10 {
        let [first, old, second] = ["a", "b", "c"].map(member);
        let mut world = World::with(3, seed, |config| {
            if config.me == first {
                (config.tags.nosync, config.tags.failover_priority) = (true, 10);
            }
            config.bootstrap = if config.me == old { Bootstrap::Create } else { Bootstrap::Never };
        });
        world.run_until("a whole cluster", seconds(30), World::whole);
        ask_anybody(&mut world, RequestKind::Pause);
        world.crash_host(&old);
        world.kill_agent(&second);
        ask_anybody(&mut world, RequestKind::Failover { target: first.clone(), accept_data_loss: false });
        world.run(seconds(2));
        assert_eq!(world.leader(), None, "seed {seed}: its vote does not suffice\n{}", world.story());
        world.start_agent(&second);
        world.run(millis(100));
        let kind = RequestKind::Failover { target: second.clone(), accept_data_loss: false };
        ask(&mut world, &second, "another", kind);
        let says_why = |world: &World| {
            let status = world.node(&first).machine.as_ref().map(odoo_ha_core::machine::Machine::status);
            status.and_then(|status| status.refusal).is_some_and(|why| why.contains("was replaced"))
        };
        world.run_until("the first one says why it takes nothing", seconds(3), says_why);
        world.run_until("one of them leads", seconds(10), |world| world.leader().is_some());
        assert_eq!(world.leader(), Some(second), "seed {seed}\n{}", world.story());
        ask_anybody(&mut world, RequestKind::Resume);
        world.start_agent(&old);
        heals(&mut world);
    }
}

/// A watchdog is told an end before leadership has one again, however often it is told meanwhile that there is none. (Found by
/// `simulate --profile harsh --first-seed 100035 --seeds 1 --nodes 3`.)
#[test]
fn it_resumes_while_its_watchdog_is_fed_without_a_rest() {
    for seed in 0..40 {
        let mut world = World::with(2, seed, |config| {
            config.watchdog = Some(millis(400));
            config.timing.renew_interval = millis(50);
        });
        world.run_until("a whole cluster", seconds(30), World::whole);
        ask_anybody(&mut world, RequestKind::Pause);
        let wait = millis(world.chance(100));
        world.run(wait);
        ask_anybody(&mut world, RequestKind::Resume);
        let paused = world.store.leader_record().is_none_or(|record| record.paused);
        assert!(!paused, "seed {seed}\n{}", world.story());
        heals(&mut world);
    }
}

#[test]
fn a_paused_leader_without_the_store_serves_on() {
    let (mut world, old, _) = whole(2, SyncMode::Synchronous, 2);
    ask_anybody(&mut world, RequestKind::Pause);
    world.measure();
    world.node_mut(&old).cut_from_store = true;
    world.run(seconds(30));
    assert_eq!(world.leader().as_ref(), Some(&old), "{}", world.story());
    assert!(world.longest_gap < millis(200));
    world.node_mut(&old).cut_from_store = false;
    world.run(seconds(3));
    ask_anybody(&mut world, RequestKind::Resume);
    world.kill_agent(&old);
    world.kill_database(&old);
    world.run_until("another leads", seconds(8), |world| world.leader().is_some_and(|leader| leader != old));
    world.start_agent(&old);
    heals(&mut world);
}

#[test]
fn an_agent_that_shuts_down_leaves_the_database_running() {
    let (mut world, old, _) = whole(2, SyncMode::Synchronous, 3);
    ask_anybody(&mut world, RequestKind::Pause);
    world.command(&old, Command::Shutdown { stop_database: true });
    world.run(seconds(10));
    assert!(world.node(&old).database.state.runs());
    world.start_agent(&old);
    world.run(seconds(5));
    ask_anybody(&mut world, RequestKind::Resume);
    heals(&mut world);
}

#[test]
fn a_leader_whose_database_does_not_start_keeps_trying() {
    let (mut world, old, _) = whole(2, SyncMode::Synchronous, 4);
    ask_anybody(&mut world, RequestKind::Pause);
    world.node_mut(&old).start_fails = true;
    world.kill_database(&old);
    world.run(seconds(20));
    assert_eq!(world.leader(), None);
    world.node_mut(&old).start_fails = false;
    world.run_until("it serves again", seconds(5), |world| world.leader().as_ref() == Some(&old));
    ask_anybody(&mut world, RequestKind::Resume);
    heals(&mut world);
}

#[test]
fn a_forced_takeover_from_one_that_may_live_is_loud_and_ends_it_at_sight() {
    let (mut world, old, others) = whole(2, SyncMode::Synchronous, 5);
    ask_anybody(&mut world, RequestKind::Pause);
    world.node_mut(&old).cut_from_store = true;
    world.run(seconds(10));
    let kind = RequestKind::Failover { target: others[0].clone(), accept_data_loss: false };
    ask(&mut world, &others[0], "force", kind);
    let primary =
        |world: &World| world.node(&others[0]).database.state == odoo_ha_core::database::DatabaseState::Primary;
    world.run_until("the forced one is primary", seconds(9), primary);
    let loud = world.events.iter().any(|(_, event)| event.sentence.contains("may still serve"));
    assert!(loud, "{}", world.story());
    // Two believe while it is paused and cut off, as it was told in words; the address and the promise are looked at all the same.
    world.violations.clear();
    world.node_mut(&old).cut_from_store = false;
    world.refresh_everybody();
    // A read that began while it was cut off may take its whole timeout; then it gives up at sight.
    world.run(super::millis(2600));
    assert!(!world.believers().contains(&old), "{}", world.story());
    assert!(!world.node(&old).address, "{}", world.story());
    world.violations.clear();
    world.run(seconds(2));
    ask_anybody(&mut world, RequestKind::Resume);
    heals(&mut world);
}
