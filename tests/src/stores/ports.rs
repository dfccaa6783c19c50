//! Ports that nobody uses.

use std::net::{IpAddr, TcpListener};
use std::sync::atomic::{AtomicU16, Ordering};

/// Below the range that the kernel gives to outgoing connections (from 32768 by default), so that a server that is started
/// again finds its port free.
const FIRST: u16 = 10_000;
const LAST: u16 = 32_000;

static NEXT: AtomicU16 = AtomicU16::new(0);

/// A port that nobody listens on at this address, and that this process has not given away before.
pub fn free_port(address: IpAddr) -> u16 {
    let span = LAST - FIRST;
    for _ in 0..span {
        // Two test programs that run side by side begin at different places.
        let place = (std::process::id().wrapping_mul(157) % u32::from(span)) as u16;
        let port = FIRST + (place + NEXT.fetch_add(1, Ordering::Relaxed) % span) % span;
        if TcpListener::bind((address, port)).is_ok() {
            return port;
        }
    }
    panic!("no port is free at {address}");
}
