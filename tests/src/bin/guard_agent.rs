//! An agent and, started a second time, its guard, for the tests of the guard: does what its standard input says, a line at a time.
//!
//! Arguments: data directory, runtime directory, `kill` or `spare` (the agent), the command that drops the address, and stops services too, if any.
//! Answers are lines that begin with `ok` or the error's kind; `lost` comes unasked.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a program of the tests: its panic is a failed test"
)]

use std::os::unix::process::CommandExt;
use std::sync::Arc;
use std::time::Duration;

use odoo_ha_backends::guard::{self, GuardConfig, GuardWatchdog};
use odoo_ha_core::error::Error;
use odoo_ha_core::roles::{Feed, Watchdog};
use odoo_ha_core::term::Term;

/// Generous: nothing here is a measurement of the agent.
const TIMEOUT: Duration = Duration::from_secs(10);

fn main() {
    guard::run_if_guard();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [data_dir, runtime_dir, agent, command @ ..] = arguments.as_slice() else {
        panic!("usage: guard_agent DATA_DIR RUNTIME_DIR kill|spare [DROP_ADDRESS ...]");
    };
    let mut config = GuardConfig::new(data_dir).runtime_dir(runtime_dir).kill_agent(agent == "kill");
    if !command.is_empty() {
        config = config.drop_address(command).stop_services(command);
    }
    let watchdog = Arc::new(config.build().expect("the test's configuration is right"));
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime is had");
    let mut sockets = Vec::new();
    let mut children = Vec::new();
    for line in std::io::stdin().lines() {
        let line = line.expect("the test writes text");
        let words: Vec<&str> = line.split(' ').collect();
        let reply = match words.as_slice() {
            ["arm", rest @ ..] => said(runtime.block_on(watchdog.arm(feed(rest), TIMEOUT))),
            ["feed", rest @ ..] => said(runtime.block_on(watchdog.feed(feed(rest), TIMEOUT))),
            ["disarm"] => said(runtime.block_on(watchdog.disarm(TIMEOUT))),
            ["keep", rest @ ..] => {
                runtime.spawn(keep(Arc::clone(&watchdog), rest.iter().map(|word| (*word).to_owned()).collect()));
                "ok".to_owned()
            }
            ["watch"] => {
                let watchdog = Arc::clone(&watchdog);
                runtime.spawn(async move {
                    watchdog.lost().await;
                    println!("lost {}", guard::now().since_origin().as_nanos());
                });
                "ok".to_owned()
            }
            ["listen"] => {
                let socket = std::net::TcpListener::bind("127.0.0.1:0").expect("a port is free");
                let address = socket.local_addr().expect("it is bound");
                sockets.push(socket);
                format!("ok {address}")
            }
            ["begin-fork"] => {
                // To anybody who looks, a child that has not become its program yet is this program with these arguments.
                let fifo = format!("{runtime_dir}.fifo");
                let made = std::process::Command::new("mkfifo").arg(&fifo).status().expect("there is mkfifo");
                assert!(made.success(), "mkfifo: {made}");
                // It waits for ever, its input's other end being its own.
                let input = std::fs::File::options().read(true).write(true).open(fifo).expect("it is there");
                let mut itself = std::process::Command::new(std::env::current_exe().expect("it is known"));
                itself.arg0(std::env::args_os().next().expect("a name")).args(&arguments).stdin(input);
                children.push(itself.spawn().expect("it starts"));
                format!("ok {}", children.last().expect("it was just pushed").id())
            }
            ["begin-start"] => {
                let script = format!("sleep 1000; : -D {data_dir}");
                children
                    .push(std::process::Command::new("sh").args(["-c", &script]).spawn().expect("there is a shell"));
                format!("ok {}", children.last().expect("one was pushed").id())
            }
            other => panic!("what is {other:?}?"),
        };
        println!("{reply}");
    }
    for mut child in children {
        child.kill().and_then(|()| child.wait()).expect("it is ours");
    }
}

/// Incarnation, term, and milliseconds until the deadline or `never`.
fn feed(words: &[&str]) -> Feed {
    let [incarnation, term, left] = words else { panic!("a feed is three words, not {words:?}") };
    let deadline =
        (*left != "never").then(|| guard::now() + Duration::from_millis(left.parse().expect("it is a number")));
    Feed { incarnation: incarnation.parse().unwrap(), term: Term(term.parse().unwrap()), deadline }
}

async fn keep(watchdog: Arc<GuardWatchdog>, words: Vec<String>) {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    while watchdog.feed(feed(&words), TIMEOUT).await.is_ok() {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

fn said(result: Result<(), Error>) -> String {
    match result {
        Ok(()) => "ok".to_owned(),
        Err(error) => format!("{}: {}", error.kind(), error.chain()),
    }
}
