//! Commits wait for any k of the standbys: a slow one holds nobody up, one that lacks what others acknowledged still votes, and whoever is elected has
//! everything (protocol rules 12, 13, 18 and 32).

use std::num::NonZeroU32;

use odoo_ha_core::member::MemberId;
use odoo_ha_tests::sim::World;

use super::{heals, millis, seconds, settled};

/// A whole cluster in which commits wait for any k of all the others.
fn with_quorum(members: usize, k: u32, seed: u64) -> (World, MemberId, Vec<MemberId>) {
    let world = World::with(members, seed, |config| config.policy.quorum = NonZeroU32::new(k));
    let (mut world, leader, others) = settled(world);
    let counts_all =
        |world: &World| world.store.sync_record().is_some_and(|sync| (sync.k, sync.names.len()) == (k, members - 1));
    world.run_until("any k of all the others", seconds(10), counts_all);
    (world, leader, others)
}

fn kill(world: &mut World, name: &MemberId) {
    world.kill_agent(name);
    world.kill_database(name);
}

#[test]
fn a_silent_one_holds_nobody_up_and_is_dropped() {
    for seed in 0..10 {
        let (mut world, _, others) = with_quorum(3, 1, seed);
        world.measure();
        world.node_mut(&others[0]).cut_from_peers = true;
        let dropped =
            |world: &World| world.store.sync_record().is_some_and(|sync| !sync.names.contains_key(&others[0]));
        world.run_until("the silent one is dropped, so that the other may be elected alone", seconds(10), dropped);
        assert!(world.longest_gap < millis(500), "seed {seed}: nobody waited: {:?}", world.longest_gap);
        world.node_mut(&others[0]).cut_from_peers = false;
        heals(&mut world);
    }
}

#[test]
fn the_leader_dies_while_one_lags() {
    for seed in 0..20 {
        let (mut world, leader, others) = with_quorum(3, 1, seed);
        let (ahead, behind) = (&others[0], &others[1]);
        world.cut_link(&leader, behind);
        world.run(millis(1200));
        let published = world.store.leader_record().expect("there is one").lsn;
        assert!(world.node(behind).database.lsn() < published, "seed {seed}: it lacks what is said to be acknowledged");
        kill(&mut world, &leader);
        world.run_until("the one ahead leads", seconds(15), |world| world.leader().as_ref() == Some(ahead));
        world.heal();
        heals(&mut world);
    }
}

#[test]
fn leader_and_the_fastest_die_at_once() {
    for seed in 0..20 {
        let (mut world, leader, others) = with_quorum(4, 2, seed);
        let (fastest, second, third) = (&others[0], &others[1], &others[2]);
        // Only the fastest gets anything more: nothing is acknowledged from here on.
        world.cut_link(&leader, second);
        world.cut_link(&leader, third);
        world.run(millis(1200));
        assert!(
            world.node(fastest).database.lsn()
                > world.node(second).database.lsn().max(world.node(third).database.lsn()),
            "seed {seed}: the fastest is ahead"
        );
        kill(&mut world, &leader);
        kill(&mut world, fastest);
        let leads = |world: &World| world.leader().is_some_and(|leader| leader == *second || leader == *third);
        world.run_until("one of the two that have everything acknowledged leads", seconds(20), leads);
        world.heal();
        world.start_agent(&leader);
        world.start_agent(fastest);
        heals(&mut world);
    }
}

#[test]
fn nobody_leads_by_votes_that_all_lack_what_was_acknowledged() {
    for seed in 0..10 {
        let (mut world, leader, others) = with_quorum(3, 1, seed);
        world.run(seconds(5));
        for name in world.present() {
            kill(&mut world, &name);
        }
        world.run(seconds(1));
        // Each disk lost what it had flushed: that one of them has everything holds no more.
        for name in &others {
            world.node_mut(name).database.log.truncate(100);
            world.start_agent(name);
        }
        world.run(seconds(20));
        assert_eq!(world.leader(), None, "elected without what was acknowledged\n{}", world.story());
        let refusals = others.iter().filter_map(|name| world.node(name).machine.as_ref()?.status().refusal);
        assert!(refusals.into_iter().any(|why| why.contains("data were lost")), "{}", world.story());
        world.start_agent(&leader);
        heals(&mut world);
    }
}

#[test]
fn users_come_in_when_k_have_what_the_winner_brought() {
    for seed in 0..20 {
        let (mut world, leader, others) = with_quorum(4, 2, seed);
        let (winner, lagging) = (&others[0], &others[1..]);
        for name in lagging {
            world.cut_link(&leader, name);
        }
        world.run(millis(600));
        // The winner has log that nobody acknowledged; of the other two one gets it late.
        world.cut_link(winner, &lagging[0]);
        kill(&mut world, &leader);
        let mut served = false;
        for _ in 0..4000 {
            world.run(millis(5));
            if world.node(winner).address {
                let sync = world.store.sync_record().expect("there is one");
                let end =
                    world.store.history_record().and_then(|history| history.rows.last().map(|row| row.switch_lsn));
                // The dead leader's disk has it, which nobody can know.
                let has = |name: &&MemberId| {
                    **name != leader && end.is_some_and(|end| world.node(name).database.lsn() >= end)
                };
                let (count, k) = (sync.names.keys().filter(has).count(), sync.k as usize);
                assert!(count >= k, "seed {seed}: users were let in when {count} of {k} had everything");
                served = true;
                break;
            }
        }
        assert!(served, "seed {seed}: the winner serves\n{}", world.story());
        world.heal();
        heals(&mut world);
    }
}

#[test]
fn the_number_is_changed_while_users_write() {
    for seed in 0..10 {
        let (mut world, _, _) = with_quorum(4, 1, seed);
        for k in [3, 2, 0, 1] {
            for name in world.present() {
                let policy = &mut world.node_mut(&name).config.policy;
                policy.quorum = NonZeroU32::new(k);
                let policy = *policy;
                world.command(&name, odoo_ha_core::machine::Command::SetPolicy(policy));
            }
            let wanted = if k == 0 { 3 } else { k };
            let there =
                |world: &World| world.store.sync_record().is_some_and(|sync| (sync.k, sync.names.len()) == (wanted, 3));
            world.measure();
            world.run_until("the wished number", seconds(10), there);
            assert!(world.longest_gap < millis(500), "seed {seed}: users waited {:?}", world.longest_gap);
        }
        heals(&mut world);
    }
}
