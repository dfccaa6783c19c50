//! The quickstart: a real two-node failover on one machine.
//!
//! `quickstart` starts two nodes, each a process of its own with a real PostgreSQL, lets a client write through the one
//! address all the time, kills and freezes things, and measures what the client saw: how long it could not write, whether
//! anything that it was told is saved is missing, whether two databases ever accepted writes at the same time.
//!
//! It decides nothing about the cluster and has no way in that an embedder would not have: a node is `agent.rs`, and the
//! rest looks at it from outside.
//!
//! Where to go next: `agent.rs` one node · `demo.rs` the demo from beginning to end · `scenario.rs` the faults ·
//! `writer.rs` and `probe.rs` what is seen · `measure.rs` and `outcome.rs` what it means · `report` the picture.

mod agent;
mod args;
mod clock;
mod cluster;
mod console;
mod control;
mod demo;
mod fault;
mod host;
mod measure;
mod node;
mod node_config;
mod outcome;
mod probe;
mod processes;
mod record;
mod remote;
mod report;
mod scenario;
mod session;
mod store;
mod story;
mod supervisor;
mod trouble;
mod work_dir;
mod writer;

use std::process::ExitCode;

use clap::Parser;

pub use args::{Cli, Command, DemoArgs, Sync};
pub use fault::{Fault, Limits};
pub use store::{Servers, Store};
pub use trouble::Trouble;

/// Runs the program: the demo, or one node of it.
///
/// Exit code: 0 when every limit held, 1 when one was missed, 2 when it could not run, 130 when it was interrupted.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let ended = match &cli.command {
        Some(Command::Node { config }) => return agent::main(config),
        Some(Command::Status { work_dir }) => on_runtime(remote::status(work_dir)),
        Some(Command::Switchover { work_dir }) => on_runtime(remote::switchover(work_dir)),
        None => on_runtime(demo::run(&cli.demo)),
    };
    match ended {
        Ok(demo::Ending::Held) => ExitCode::SUCCESS,
        Ok(demo::Ending::Missed) => ExitCode::from(1),
        Ok(demo::Ending::Interrupted) => ExitCode::from(130),
        Err(trouble) => {
            eprintln!("quickstart: {trouble}");
            ExitCode::from(2)
        }
    }
}

fn on_runtime<T>(work: impl Future<Output = Result<T, Trouble>>) -> Result<T, Trouble> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.map_err(|source| Trouble::new(format!("No thread can be started: {source}.")))?;
    runtime.block_on(work)
}
