//! Wishes that are told at the same moment: who wished hears what became of it, and the answer to one undoes no other.

use std::cell::Cell;

use odoo_ha_core::event::EventKind;
use odoo_ha_core::member::{ClusterId, MemberId};
use odoo_ha_core::policy::SyncMode;
use odoo_ha_core::records::{Header, RequestKind, RequestOutcome, RequestRecord, decode, encode};
use odoo_ha_core::store::Key;
use odoo_ha_core::term::Nonce;
use odoo_ha_tests::sim::{World, member};

use super::{ask, heals, millis, seconds, whole};

/// Another member, or `odoo-hactl`, writes a wish.
fn somebody_asks(world: &mut World, id: &str, kind: RequestKind, outcome: RequestOutcome) {
    let header =
        Header::new(ClusterId::new("world").expect("a name"), Nonce { incarnation: u64::MAX, number: id.len() as u64 });
    world.put_raw(Key::request(), encode(&RequestRecord { header, id: id.to_owned(), kind, outcome }));
}

fn stands(world: &World) -> Option<RequestRecord> {
    let entry = world.store.entries().get(&Key::request())?;
    decode(&ClusterId::new("world").expect("a name"), &Key::request(), &entry.value).ok()
}

/// Why this member has told whoever wished it that it is refused.
fn refused(world: &World, on: &MemberId, wish: &str) -> Option<String> {
    world.events.iter().find_map(|(_, event)| match &event.kind {
        EventKind::RequestRefused { id: Some(id), why } if event.member == *on && id == wish => Some(why.clone()),
        _ => None,
    })
}

#[test]
fn a_second_one_is_refused_while_the_first_is_being_told() {
    for seed in 0..10 {
        let (mut world, _, others) = whole(2, SyncMode::Synchronous, seed);
        let on = &others[0];
        ask(&mut world, on, "one", RequestKind::Switchover { target: None });
        ask(&mut world, on, "two", RequestKind::Pause);
        world.run_until("the second is refused", seconds(1), |world| refused(world, on, "two").is_some());
        assert!(refused(&world, on, "two").is_some_and(|why| why.contains("just being told")), "{}", world.story());
        world.run_until("the first is carried out", seconds(5), |world| world.leader().as_ref() == Some(on));
        assert_eq!(refused(&world, on, "one"), None, "{}", world.story());
        heals(&mut world);
    }
}

#[test]
fn the_first_one_hears_that_it_failed_though_a_second_was_wished() {
    for seed in 0..10 {
        let (mut world, leader, others) = whole(2, SyncMode::Synchronous, seed);
        let on = &others[0];
        ask(&mut world, on, "one", RequestKind::Switchover { target: None });
        ask(&mut world, on, "two", RequestKind::Pause);
        // And somebody else was quicker than both.
        somebody_asks(&mut world, "zero", RequestKind::Resume, RequestOutcome::Done);
        world.run_until("the first is refused", seconds(3), |world| refused(world, on, "one").is_some());
        assert!(refused(&world, on, "one").is_some_and(|why| why.contains("could not be written")));
        assert_eq!(world.leader(), Some(leader), "{}", world.story());
        heals(&mut world);
    }
}

/// A forced failover, or a resume, may take the place of a wish that is still open: the answer to that one, which is on its way, does not take its place
/// in turn.
#[test]
fn an_answer_that_comes_late_leaves_the_next_wish_alone() {
    for seed in 0..20 {
        let (mut world, leader, others) = whole(2, SyncMode::Synchronous, seed);
        let other = &others[0];
        world.node_mut(&leader).slow_store = millis(300);
        ask(&mut world, other, "one", RequestKind::Switchover { target: Some(member("z")) });
        let about_to = |world: &World| refused(world, &leader, "one").is_some();
        world.run_until("the leader is about to answer", seconds(5), about_to);
        let open = stands(&world).expect("it was asked");
        assert_eq!((open.id.as_str(), &open.outcome), ("one", &RequestOutcome::Pending), "seed {seed}");
        let forced = RequestKind::Failover { target: other.clone(), accept_data_loss: false };
        somebody_asks(&mut world, "two", forced, RequestOutcome::Pending);
        stays_until_done(&mut world, "two", seed);
        world.node_mut(&leader).slow_store = millis(0);
        world.run_until("the other leads", seconds(5), |world| world.leader().as_ref() == Some(other));
        heals(&mut world);
    }
}

#[test]
fn an_answer_that_comes_late_leaves_a_wish_to_resume_alone() {
    for seed in 0..20 {
        let (mut world, leader, others) = whole(2, SyncMode::Synchronous, seed);
        let term = world.store.leader_record().expect("there is one").mark.term;
        world.node_mut(&leader).slow_store = millis(300);
        ask(&mut world, &others[0], "one", RequestKind::Pause);
        world.run_until("the leader is about to answer", seconds(5), |world| {
            let paused = |kind: &EventKind| matches!(kind, EventKind::PauseChanged { paused: true });
            world.events.iter().any(|(_, event)| event.member == leader && paused(&event.kind))
        });
        somebody_asks(&mut world, "two", RequestKind::Resume, RequestOutcome::Pending);
        stays_until_done(&mut world, "two", seed);
        let record = world.store.leader_record().expect("there is one");
        assert_eq!((record.paused, record.mark.term), (false, term), "seed {seed}\n{}", world.story());
        world.node_mut(&leader).slow_store = millis(0);
        heals(&mut world);
    }
}

/// Waits until the wish that stands there is done; no other stands there meanwhile.
fn stays_until_done(world: &mut World, wish: &str, seed: u64) {
    let other = Cell::new(false);
    world.run_until("it is done", seconds(10), |world| {
        let request = stands(world).expect("nobody deletes it");
        other.set(other.get() || request.id != wish);
        request.outcome == RequestOutcome::Done || other.get()
    });
    assert!(!other.get(), "seed {seed}: another took its place\n{}", world.story());
}

/// Somebody who wishes again and again does not keep the leader from renewing.
#[test]
fn wishes_without_end_cost_no_leadership() {
    for seed in 0..10 {
        let (mut world, leader, _) = whole(2, SyncMode::Synchronous, seed);
        let record = world.store.leader_record().expect("there is one");
        for number in 0..400 {
            let kind = if number % 2 == 0 { RequestKind::Pause } else { RequestKind::Resume };
            somebody_asks(&mut world, &"x".repeat(number + 1), kind, RequestOutcome::Pending);
            let wait = millis(world.chance(60));
            world.run(wait);
        }
        let now = world.store.leader_record().expect("there is one");
        assert_eq!((now.mark.term, now.holder), (record.mark.term, Some(leader)), "seed {seed}\n{}", world.story());
        heals(&mut world);
    }
}
