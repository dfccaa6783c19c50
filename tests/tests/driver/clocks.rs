//! What the driver makes of clocks, and of the worst bug it can have.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::task::{Context, Waker};
use std::thread;
use std::time::Duration;

use odoo_ha_core::driver::{Clock, SystemClock, Timer};
use odoo_ha_core::error::Error;
use odoo_ha_core::machine::StateName;
use odoo_ha_core::policy::Timing;
use odoo_ha_core::time::Moment;

use super::node::{Member, block_on, eventually};
use super::world::Store;

/// The system's clock, whose wall clock can be set, and that can break the control loop.
#[derive(Debug, Default)]
struct TestClock {
    wall_moved_seconds: AtomicI64,
    breaks: AtomicBool,
}

impl Clock for TestClock {
    fn now(&self) -> Moment {
        let on_control = thread::current().name() == Some("odoo-ha-control");
        assert!(!(on_control && self.breaks.load(Ordering::SeqCst)), "the test wants a bug in the control loop");
        SystemClock.now()
    }

    fn wall_offset(&self) -> i128 {
        SystemClock.wall_offset() + i128::from(self.wall_moved_seconds.load(Ordering::SeqCst)) * 1_000_000_000
    }

    fn timer(&self) -> Result<Box<dyn Timer>, Error> {
        SystemClock.timer()
    }
}

#[test]
fn a_jump_of_the_wall_clock_makes_the_leader_renew_at_once() {
    let store = Store::new();
    let member = Member::new("a", &store);
    let clock = Arc::<TestClock>::default();
    let mut timing = Timing::with_ttl(Duration::from_secs(300));
    // No renewal is due while the test waits.
    timing.renew_interval = Duration::from_secs(120);
    let handle = member.spawn_leader(member.builder().timing(timing).clock(clock.clone()));
    for jump in [10, -10] {
        let begun = store.renewals();
        clock.wall_moved_seconds.fetch_add(jump, Ordering::SeqCst);
        eventually("it renews", || store.renewals() > begun);
    }
    handle.kill();
}

#[test]
fn a_leader_whose_control_loop_breaks_is_made_harmless() {
    let store = Store::new();
    let member = Member::new("a", &store);
    let clock = Arc::<TestClock>::default();
    let handle = member.spawn_leader(member.builder().clock(clock.clone()));
    clock.breaks.store(true, Ordering::SeqCst);
    eventually("address and database are down", || {
        !*member.address.here.lock().unwrap() && !member.database.state().runs()
    });
    block_on(handle.ended());
    assert!(block_on(handle.shutdown(true)).is_err());
}

/// A program that ends when its node has would cut off what makes the node harmless.
#[test]
fn a_node_whose_control_loop_broke_has_ended_only_when_it_is_harmless() {
    let store = Store::new();
    let member = Member::new("a", &store);
    let clock = Arc::<TestClock>::default();
    let mut timing = Timing::with_ttl(Duration::from_secs(300));
    // Longer than anything here takes: what does not end by then is given up.
    timing.stop_budget = Duration::from_secs(60);
    timing.renew_interval = Duration::from_millis(50);
    let handle = member.spawn_leader(member.builder().timing(timing).clock(clock.clone()));
    let mut changes = handle.status_changes();
    member.database.stop_gate.close();
    clock.breaks.store(true, Ordering::SeqCst);
    eventually("its database is being stopped", || member.database.stop_gate.waiting() > 0);
    let mut ended = pin!(handle.ended());
    let mut poll = || ended.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    let pending = poll().is_pending();
    member.database.stop_gate.open();
    assert!(pending, "ended while its database still runs as primary");
    block_on(ended);
    assert!(!*member.address.here.lock().unwrap() && !member.database.state().runs());
    while block_on(changes.next()).is_some() {}
    assert_ne!(handle.status().state, StateName::Stopped, "nobody takes it for one that has left in good order");
}
