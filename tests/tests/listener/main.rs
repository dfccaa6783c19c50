//! The listener with real sockets and real processes: who holds the address, what goes through it, what a detach leaves.
#![expect(clippy::expect_used, reason = "helpers of tests: their panic is a failed test")]

mod forwarding;
mod holder;
mod holding;

use std::net::{SocketAddr, TcpListener};
use std::time::{Duration, Instant};

/// Longest wait for anything that must happen: generous, for a machine that does other things too.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// An address of the machine that nobody has. Each call gives another one: the kernel hands out the ports at random.
pub(crate) fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port is free")
}

/// Looks until it is so.
pub(crate) fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < PATIENCE, "not within {PATIENCE:?}: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}
