//! `replicate_from`: a standby that streams from another one (protocol rules 13 and 29).

use odoo_ha_core::member::MemberId;
use odoo_ha_core::policy::SyncMode;
use odoo_ha_tests::sim::{World, member};

use super::{heals, seconds, settled};

/// `a` begins and leads, `c` streams from `b`.
fn cascade(seed: u64) -> World {
    let world = World::with(3, seed, |config| {
        config.policy.sync_mode = SyncMode::Synchronous;
        if config.me != member("a") {
            config.bootstrap = odoo_ha_core::machine::Bootstrap::Never;
        }
        if config.me == member("c") {
            config.tags.replicate_from = Some(member("b"));
        }
    });
    let (mut world, leader, _) = settled(world);
    assert_eq!(leader, member("a"));
    from(&mut world, "b");
    world
}

/// Waits until `c` streams from that member.
fn from(world: &mut World, upstream: &str) {
    let (c, upstream) = (member("c"), member(upstream));
    world.run_until("c streams from where it should", seconds(30), |world| {
        let database = &world.node(&c).database;
        database.streaming && database.upstream.as_ref() == Some(&upstream)
    });
}

fn named(world: &World) -> Vec<MemberId> {
    world.store.sync_record().expect("there is one").names.into_keys().collect()
}

fn dies(world: &mut World, name: &str) {
    world.kill_agent(&member(name));
    world.kill_database(&member(name));
}

#[test]
fn the_leader_serves_while_the_named_member_is_away() {
    for seed in 0..10 {
        let mut world = cascade(seed);
        assert_eq!(named(&world), [member("b")]);
        dies(&mut world, "b");
        from(&mut world, "a");
        world.run(seconds(5));
        assert!(named(&world).is_empty(), "who is tagged is not counted while it streams from the leader either");
        world.start_agent(&member("b"));
        from(&mut world, "b");
        heals(&mut world);
    }
}

#[test]
fn the_named_member_is_followed_when_it_leads() {
    for seed in 0..10 {
        let mut world = cascade(seed);
        dies(&mut world, "a");
        world.run_until("b leads", seconds(10), |world| world.leader() == Some(member("b")));
        from(&mut world, "b");
        world.run(seconds(3));
        assert!(named(&world).is_empty(), "c is counted");
        world.start_agent(&member("a"));
        heals(&mut world);
        assert_eq!(named(&world), [member("a")]);
    }
}

/// A member that comes and goes is streamed from less and less often.
#[test]
fn a_flapping_member_does_not_take_the_cascade_with_it() {
    let mut world = cascade(3);
    let mut changes = 0;
    for _ in 0..12 {
        dies(&mut world, "b");
        from(&mut world, "a");
        world.start_agent(&member("b"));
        world.run(seconds(8));
        let database = &world.node(&member("c")).database;
        changes += usize::from(database.upstream == Some(member("b")));
    }
    assert!(changes <= 5, "it went back {changes} times of 12");
    heals(&mut world);
}

#[test]
fn tags_that_lead_in_a_circle_are_not_followed() {
    for seed in 0..5 {
        let world = World::with(3, seed, |config| {
            config.policy.sync_mode = SyncMode::Asynchronous;
            config.tags.replicate_from = match config.me.as_str() {
                "b" => Some(member("c")),
                "c" => Some(member("b")),
                _ => None,
            };
            if config.me != member("a") {
                config.bootstrap = odoo_ha_core::machine::Bootstrap::Never;
            }
        });
        let (mut world, leader, _) = settled(world);
        world.run(seconds(20));
        for name in ["b", "c"] {
            assert_eq!(world.node(&member(name)).database.upstream.as_ref(), Some(&leader), "{}", world.story());
        }
        world.assert_sound();
    }
}
