//! A log that blocks (a pipe that nobody reads) delays no renewal.

use std::io::{self, Write};
use std::sync::LazyLock;

use tracing_subscriber::filter::LevelFilter;

use super::node::{Member, eventually, renewals_go_on};
use super::world::{Gate, Store};

static GATE: LazyLock<Gate> = LazyLock::new(Gate::default);

/// Writes nothing, and blocks while the gate is closed.
struct Pipe;

impl Write for Pipe {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        GATE.pass();
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_blocked_log_delays_no_renewal() {
    // For the whole process: the other tests' nodes log into it too.
    tracing_subscriber::fmt().with_max_level(LevelFilter::TRACE).with_writer(|| Pipe).init();
    let store = Store::new();
    let member = Member::new("a", &store);
    let handle = member.spawn_leader(member.builder());
    GATE.close();
    eventually("it blocks", || GATE.waiting() > 0);
    renewals_go_on(&handle, &store, 150);
    GATE.open();
    handle.kill();
}
