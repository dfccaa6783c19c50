//! Benchmarks of the coordination stores: how long leadership takes to move, what a cluster at rest costs its store, and many clusters on
//! one store. Each measures something else of the same purpose beside it in the same run and prints the ratio.
//!
//! Nothing here judges a build: times depend on the machine. `docs/benchmarks.md` says how to run it and what came out.
//!
//! Where to go next: `failover.rs`, `rest.rs` and `many.rs` are the measurements · `etcd.rs` and `consul.rs` start the stores ·
//! `contender.rs` is a process that may lead, `node.rs` what it runs of ours, `lease.rs` and `session.rs` what it runs of the stores' own.

mod args;
mod clock;
mod consul;
mod contender;
mod counter;
mod etcd;
mod failover;
mod figures;
mod lease;
mod many;
mod measured;
mod node;
mod patroni;
mod rest;
mod session;
mod shared_database;
mod usage;

use std::error::Error;
use std::process::ExitCode;

use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};

use args::{Cli, Measurement};

/// What goes wrong in a benchmark ends it, with a sentence.
type Fallible<T = ()> = Result<T, Box<dyn Error + Send + Sync>>;

/// Runs the program. Exit code: 0 when everything was measured, 2 when something could not be, 130 when it was interrupted.
#[must_use]
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    // One thread, the program's first: the kernel ends a child with the thread that started it.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let ended = runtime.map_err(Into::into).and_then(|runtime| runtime.block_on(unless_interrupted(cli.measurement)));
    match ended {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(130),
        Err(error) => {
            eprintln!("bench_stores: {error}");
            ExitCode::from(2)
        }
    }
}

/// `false` when it was interrupted. What was started ends with the future that is dropped.
async fn unless_interrupted(measurement: Measurement) -> Fallible<bool> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    tokio::select! {
        ended = run(measurement) => ended.map(|()| true),
        _ = interrupt.recv() => Ok(false),
        _ = terminate.recv() => Ok(false),
    }
}

async fn run(measurement: Measurement) -> Fallible {
    match measurement {
        Measurement::Failover(args) => failover::run(&args).await,
        Measurement::Rest(args) => rest::run(&args).await,
        Measurement::Many(args) => many::run(&args).await,
        Measurement::Node(args) => node::run(&args).await,
        Measurement::Lease(args) => lease::run(&args).await,
        Measurement::Session(args) => session::run(&args).await,
    }
}
