//! A standby that was cut off is shown late what the leader wrote in time. In a synchronous cluster it counts the silence from when the record was
//! sent, by the holder's own clock: a leader that dies meanwhile is followed a `ttl` after its last word. What hangs on belief, and every
//! election that may lose commits, counts from the receipt (protocol rules 11, 35 and 42; decision 0013).

use std::time::Duration;

use odoo_ha_core::machine::AddressFacts;
use odoo_ha_core::member::MemberId;
use odoo_ha_core::policy::SyncMode;
use odoo_ha_tests::sim::World;

use super::{heals, millis, seconds, settled};

/// For how long the standby is shown nothing, and how long after the leader's end that lasts.
const UNHEARD: Duration = Duration::from_millis(1500);
const BEYOND: Duration = Duration::from_millis(500);
/// What an election takes at most, here.
const ELECTION: Duration = Duration::from_millis(450);

/// The leader's host is gone, and half a second later its standby is shown what the leader had written. Returns the world, who is gone, who is left, and
/// when the host went.
fn gone_unheard(mode: SyncMode, seed: u64) -> (World, MemberId, MemberId, Duration) {
    let world = World::with(2, seed, |config| {
        config.policy.sync_mode = mode;
        config.policy.maximum_lag_on_failover = u64::MAX;
        config.address = Some(AddressFacts {
            fences_by_term: false,
            moves_authoritatively: false,
            longest_in_flight: Duration::ZERO,
            ..AddressFacts::default()
        });
    });
    let (mut world, leader, others) = settled(world);
    let standby = others[0].clone();
    world.run(millis(seed * 97 % 1000));
    world.node_mut(&standby).watch_stalled_until = world.now + UNHEARD;
    world.run(UNHEARD - BEYOND);
    world.crash_host(&leader);
    let at = world.now;
    (world, leader, standby, at)
}

fn taken_over_after(world: &mut World, standby: &MemberId, since: Duration) -> Duration {
    let holds =
        |world: &World| world.store.leader_record().is_some_and(|leader| leader.holder.as_ref() == Some(standby));
    world.run_until("another holds leadership", seconds(10), holds);
    world.now - since
}

#[test]
fn a_synchronous_standby_counts_from_the_sending() {
    for seed in 0..20 {
        let (mut world, leader, standby, at) = gone_unheard(SyncMode::Synchronous, seed);
        let ttl = world.node(&standby).config.timing.ttl;
        let after = taken_over_after(&mut world, &standby, at);
        assert!(after < ttl + ELECTION, "seed {seed}: {after:?} after the host was gone");
        world.start_agent(&leader);
        heals(&mut world);
    }
}

#[test]
fn asynchronous_silence_counts_from_the_receipt() {
    for seed in 0..20 {
        let (mut world, leader, standby, at) = gone_unheard(SyncMode::Asynchronous, seed);
        let ttl = world.node(&standby).config.timing.ttl;
        let after = taken_over_after(&mut world, &standby, at);
        assert!(after >= ttl + BEYOND, "seed {seed}: {after:?} after the host was gone");
        world.start_agent(&leader);
        world.run_until("whole again", seconds(30), World::whole);
        world.assert_sound();
    }
}

#[test]
fn the_address_counts_from_the_receipt() {
    for seed in 0..20 {
        let (mut world, leader, standby, at) = gone_unheard(SyncMode::Synchronous, seed);
        let ttl = world.node(&standby).config.timing.ttl;
        world.run_until("the address", seconds(10), |world| world.node(&standby).address);
        let after = world.now - at;
        assert!(after >= ttl + BEYOND, "seed {seed}: {after:?} after the host was gone");
        world.start_agent(&leader);
        heals(&mut world);
    }
}
