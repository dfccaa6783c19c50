//! Holds the backends against the suites of their roles, and the suites against implementations that are broken on purpose.
#![expect(clippy::unwrap_used, reason = "helpers of tests: a broken set-up is a failed test")]

#[path = "conformance/filestores.rs"]
mod filestores;
#[path = "conformance/linux_address.rs"]
mod linux_address;
#[path = "conformance/linux_address_mishaps.rs"]
mod linux_address_mishaps;
#[path = "conformance/listener.rs"]
mod listener;
#[path = "conformance/log.rs"]
mod log;
#[path = "conformance/memory.rs"]
mod memory;
#[path = "conformance/mutant.rs"]
mod mutant;
#[path = "conformance/mutants.rs"]
mod mutants;
#[path = "conformance/notifiers.rs"]
mod notifiers;
#[path = "conformance/peers.rs"]
mod peers;
#[path = "conformance/postgres.rs"]
mod postgres;
#[path = "conformance/probes.rs"]
mod probes;
#[path = "conformance/services.rs"]
mod services;
#[path = "conformance/sqlite.rs"]
mod sqlite;
#[path = "conformance/watchdogs.rs"]
mod watchdogs;

use std::time::Duration;

use odoo_ha_core::conformance::BoxFuture;

/// The timer that the suites are handed.
fn timer(time: Duration) -> BoxFuture<'static, ()> {
    Box::pin(tokio::time::sleep(time))
}

/// A timer twenty times as fast: waits that are in vain on purpose end sooner. Only for stores in memory, which need no time.
fn hasty_timer(time: Duration) -> BoxFuture<'static, ()> {
    Box::pin(tokio::time::sleep(time / 20))
}
