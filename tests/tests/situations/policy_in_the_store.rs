//! The cluster's policy stands in the store and changes at run time; it is what the leader strives for, never what decides an election (protocol rule 16).

use odoo_ha_core::event::EventKind;
use odoo_ha_core::machine::Command;
use odoo_ha_core::member::{ClusterId, MemberId};
use odoo_ha_core::policy::{Policy, SyncMode};
use odoo_ha_core::records::{ElectionRule, Header, PolicyRecord, decode, encode};
use odoo_ha_core::store::Key;
use odoo_ha_core::term::Nonce;
use odoo_ha_tests::sim::World;

use super::{heals, millis, seconds, settled};

fn kept_in_the_store(members: usize, seed: u64) -> (World, MemberId, Vec<MemberId>) {
    let world = World::with(members, seed, |config| config.policy_in_store = true);
    let (mut world, leader, others) = settled(world);
    world.run_until("the leader has written its policy", seconds(10), |world| stands(world).is_some());
    (world, leader, others)
}

fn stands(world: &World) -> Option<PolicyRecord> {
    let entry = world.store.entries().get(&Key::policy())?;
    decode(&ClusterId::new("world").expect("a name"), &Key::policy(), &entry.value).ok()
}

/// An operator writes another policy.
fn change(world: &mut World, number: u64, change: impl FnOnce(&mut Policy)) {
    let mut policy = stands(world).map_or_else(Policy::default, |record| record.policy);
    change(&mut policy);
    let header = Header::new(ClusterId::new("world").expect("a name"), Nonce { incarnation: u64::MAX, number });
    let record = PolicyRecord { header, by: "an operator".into(), policy };
    world.put_raw(Key::policy(), encode(&record));
}

fn in_force(world: &World, name: &MemberId) -> (Policy, Option<String>) {
    let status = world.node(name).machine.as_ref().expect("it lives").status();
    (status.policy, status.policy_refused)
}

/// The sync record is of this mode, and everybody goes by this policy.
fn strives_for(world: &World, mode: SyncMode) -> bool {
    let names: Vec<MemberId> = world.nodes.keys().cloned().collect();
    let everybody = names.iter().all(|name| in_force(world, name).0.sync_mode == mode);
    let sync = world.store.sync().is_some_and(|sync| match mode {
        SyncMode::Asynchronous => sync.rule == ElectionRule::Asynchronous,
        SyncMode::Synchronous => sync.rule == ElectionRule::Synchronous && !sync.strict && !sync.names.is_empty(),
        SyncMode::Strict => sync.rule == ElectionRule::Synchronous && sync.strict && !sync.names.is_empty(),
    });
    everybody && sync
}

#[test]
fn the_first_leader_writes_what_its_node_says_and_nobody_writes_where_nobody_asked_for_it() {
    let (world, leader, _) = kept_in_the_store(2, 1);
    let record = stands(&world).unwrap();
    assert_eq!((record.by, record.policy), (leader.to_string(), world.node(&leader).config.policy));
    let (mut world, _, _) = settled(World::new(2, SyncMode::Synchronous, 1));
    world.run(seconds(10));
    assert_eq!(stands(&world), None);
}

#[test]
fn changed_under_load_it_holds_everywhere_and_costs_nobody_leadership() {
    for seed in 0..10 {
        let (mut world, leader, _) = kept_in_the_store(3, seed);
        let modes = [SyncMode::Strict, SyncMode::Asynchronous, SyncMode::Synchronous, SyncMode::Strict];
        for (number, mode) in (1..).zip(modes) {
            world.run(millis(seed * 37));
            change(&mut world, number, |policy| policy.sync_mode = mode);
            world.run_until("it is in force", seconds(20), |world| strives_for(world, mode));
            assert_eq!(world.leader(), Some(leader.clone()), "seed {seed}\n{}", world.story());
        }
        heals(&mut world);
    }
}

#[test]
fn changed_while_the_leader_s_host_dies_nothing_is_lost() {
    for seed in 0..20 {
        let (mut world, leader, others) = kept_in_the_store(3, seed);
        change(&mut world, 1, |policy| policy.sync_mode = SyncMode::Strict);
        world.run(millis(seed * 13));
        change(&mut world, 2, |policy| policy.restarts = 7);
        world.run(millis(seed * 5));
        world.crash_host(&leader);
        world.run_until("another leads", seconds(60), |world| world.leader().is_some_and(|now| now != leader));
        world.start_agent(&leader);
        world.run_until("it is in force", seconds(60), |world| strives_for(world, SyncMode::Strict));
        assert!(others.iter().all(|name| in_force(&world, name).0.restarts == 7), "seed {seed}\n{}", world.story());
        heals(&mut world);
    }
}

#[test]
fn nonsense_is_refused_loudly_and_the_last_good_one_stays() {
    let nonsense: [&[u8]; 4] = [
        b"\0\xff not json",
        br#"{"header":{"format":1,"cluster":"world","nonce":{"incarnation":1,"number":1}},"by":"me","policy":{"sync_mode":"sometimes"}}"#,
        br#"{"header":{"format":1,"cluster":"world","nonce":{"incarnation":1,"number":1}},"by":"me","policy":{"restarts":4000000000}}"#,
        br#"{"header":{"format":1,"cluster":"other","nonce":{"incarnation":1,"number":1}},"by":"me","policy":{}}"#,
    ];
    for bytes in nonsense {
        let (mut world, leader, _) = kept_in_the_store(2, 4);
        change(&mut world, 1, |policy| policy.sync_mode = SyncMode::Strict);
        world.run_until("it is in force", seconds(20), |world| strives_for(world, SyncMode::Strict));
        world.put_raw(Key::policy(), bytes.to_vec());
        // By the watch, and by a new look at everything.
        for _ in 0..2 {
            world.run(seconds(5));
            let names: Vec<MemberId> = world.nodes.keys().cloned().collect();
            for name in &names {
                let (policy, refused) = in_force(&world, name);
                assert_eq!(policy.sync_mode, SyncMode::Strict, "{}", world.story());
                assert!(refused.is_some_and(|why| why.contains("policy")), "{}", world.story());
            }
            world.refresh_everybody();
        }
        assert_eq!(world.leader(), Some(leader.clone()), "it stops nobody\n{}", world.story());
        assert!(strives_for(&world, SyncMode::Strict), "{}", world.story());
        // Agents that start anew have seen no good one, and their files say something weaker: what is in force stays in force.
        for name in world.nodes.keys().cloned().collect::<Vec<_>>() {
            world.node_mut(&name).config.policy.sync_mode = SyncMode::Synchronous;
            world.kill_agent(&name);
            world.start_agent(&name);
        }
        world.run(seconds(20));
        assert!(world.store.sync().is_some_and(|sync| sync.strict), "{}", world.story());
        change(&mut world, 2, |policy| policy.sync_mode = SyncMode::Synchronous);
        world.run_until("the mended one is in force", seconds(30), |world| strives_for(world, SyncMode::Synchronous));
        assert_eq!(in_force(&world, &leader).1, None);
        heals(&mut world);
    }
}

#[test]
fn a_lost_record_comes_back_as_it_was() {
    let (mut world, _, _) = kept_in_the_store(2, 9);
    change(&mut world, 1, |policy| policy.sync_mode = SyncMode::Strict);
    world.run_until("it is in force", seconds(20), |world| strives_for(world, SyncMode::Strict));
    world.delete_raw(&Key::policy());
    world.run(seconds(2));
    world.refresh_everybody();
    world.run_until("it is back", seconds(20), |world| {
        stands(world).is_some_and(|record| record.policy.sync_mode == SyncMode::Strict)
    });
    assert!(strives_for(&world, SyncMode::Strict), "{}", world.story());
    heals(&mut world);
}

#[test]
fn what_one_node_s_file_says_does_not_override_it() {
    let (mut world, leader, _) = kept_in_the_store(2, 2);
    let policy = {
        let mut policy = Policy::default();
        policy.sync_mode = SyncMode::Asynchronous;
        policy
    };
    world.command(&leader, Command::SetPolicy(policy));
    world.run(seconds(10));
    assert!(strives_for(&world, SyncMode::Synchronous), "{}", world.story());
    heals(&mut world);
}

#[test]
fn the_events_say_who_changed_it() {
    let (mut world, leader, _) = kept_in_the_store(2, 3);
    change(&mut world, 1, |policy| policy.restarts = 5);
    world.run(seconds(2));
    let told = world.events.iter().any(|(_, event)| {
        event.member == leader
            && matches!(&event.kind, EventKind::PolicyChanged { by, policy } if by == "an operator" && policy.restarts == 5)
    });
    assert!(told, "{}", world.story());
}

/// What the leader wrote first is answered when somebody has written another since, which the watch has shown already.
#[test]
fn a_late_answer_to_the_first_write_brings_no_older_policy_back() {
    for seed in 0..20 {
        let mut world = World::with(2, seed, |config| config.policy_in_store = true);
        let names: Vec<MemberId> = world.nodes.keys().cloned().collect();
        for name in &names {
            world.node_mut(name).slow_store = millis(400);
        }
        world.run_until("the first one has landed", seconds(30), |world| stands(world).is_some());
        change(&mut world, 1, |policy| policy.restarts = 7);
        for name in &names {
            world.node_mut(name).slow_store = millis(0);
        }
        world.run(seconds(5));
        for name in &names {
            assert_eq!(in_force(&world, name).0.restarts, 7, "seed {seed}, {name}\n{}", world.story());
        }
        heals(&mut world);
    }
}
