//! A process that holds a listener's address or does not, for the tests of the listener: does what its standard input says.
//!
//! Arguments: the address, the service's `host:port`, the fence file if any. Every line is answered by one.
#![expect(clippy::expect_used, clippy::panic, reason = "a program of the tests: its panic is a failed test")]

use std::time::Duration;

use odoo_ha_backends::listener::{ListenerConfig, Target};
use odoo_ha_core::error::Error;
use odoo_ha_core::roles::FloatingIp;
use odoo_ha_core::term::Term;

/// Generous: nothing here is a measurement.
const TIMEOUT: Duration = Duration::from_secs(10);

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [listen, target, fence @ ..] = arguments.as_slice() else {
        panic!("usage: listener_holder LISTEN TARGET [FENCE_FILE]");
    };
    let mut config = ListenerConfig::new(listen.parse().expect("it is an address"), Target::Tcp(target.clone()));
    if let [fence, ..] = fence {
        config = config.fence_file(fence);
    }
    let address = config.build().expect("the test's configuration is right");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime is had");
    for line in std::io::stdin().lines() {
        let line = line.expect("the test writes text");
        let words: Vec<&str> = line.split(' ').collect();
        let reply = match words.as_slice() {
            ["attach", term] => {
                let term = Term(term.parse().expect("it is a number"));
                said(runtime.block_on(address.attach(term, TIMEOUT)).map(|()| "ok".to_owned()))
            }
            ["detach"] => said(runtime.block_on(address.detach(TIMEOUT)).map(|()| "ok".to_owned())),
            ["look"] => said(runtime.block_on(address.look(TIMEOUT)).map(|state| format!("{state:?}"))),
            other => panic!("what is {other:?}?"),
        };
        println!("{reply}");
    }
}

fn said(result: Result<String, Error>) -> String {
    result.unwrap_or_else(|error| format!("{}: {}", error.kind(), error.chain()))
}
