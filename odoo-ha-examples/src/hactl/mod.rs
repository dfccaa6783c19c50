//! `odoo-hactl`: looks at a cluster and tells it what an operator wishes, through the coordination store.
//!
//! It reads the same file as the node's agent, for the cluster's name and its store, and talks to the store alone: it works on any machine
//! that reaches it, whichever agents run. What is wished is carried out, or refused with a reason, by the leader's agent.
//!
//! Where to go next: `wish.rs` how a wish is told and answered · `policy.rs` what the cluster strives for · `status.rs` what is shown.

mod policy;
mod status;
mod wish;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};
use odoo_ha_core::error::{Error, ErrorKind};
use odoo_ha_core::member::MemberId;
use odoo_ha_core::records::RequestKind;

use crate::agent::AgentConfig;

/// Longest time of one call to the store.
const STORE_TIMEOUT: Duration = Duration::from_secs(5);

/// On top of what a wish itself may take: another agent has to see it and to write the answer.
const ANSWER_EXTRA: Duration = Duration::from_secs(10);

/// Looks at a cluster, and tells it what you wish.
#[derive(Debug, Parser)]
#[command(name = "odoo-hactl", version)]
#[command(after_help = "Exit code: 0 when it was done, 1 when it was refused, 2 when it cannot be told.")]
struct Cli {
    /// The configuration of a node of the cluster (docs/reference/configuration.md)
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    #[command(subcommand)]
    order: Order,
}

#[derive(Debug, Subcommand)]
enum Order {
    /// Who leads, what every member does, and what stands in the way
    Status,
    /// Hand leadership over, without loss
    Switchover {
        /// To whom; without it, to the best
        #[arg(long, value_name = "MEMBER")]
        to: Option<String>,
    },
    /// Show the policy of the whole cluster, or change some of its keys
    Policy {
        /// What is to change, `sync_mode=strict`, `quorum=1` (`quorum=null`: all of them)
        #[arg(value_name = "KEY=VALUE")]
        changes: Vec<String>,
    },
    /// Suspend automatic failover in the whole cluster
    Pause,
    /// End a pause
    Resume,
}

/// Runs the program.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(&cli) {
        Ok(said) => {
            print!("{said}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("odoo-hactl: {}", error.chain());
            ExitCode::from(if error.kind() == ErrorKind::NotReady { 1 } else { 2 })
        }
    }
}

fn run(cli: &Cli) -> Result<String, Error> {
    let config = AgentConfig::read(&cli.config)?;
    let (cluster, timing) = (config.cluster.name.clone(), config.timing.timing());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Error::new(ErrorKind::Unavailable, "no thread can be started").caused_by(error))?;
    // Backends may want a runtime where they are built.
    let _entered = runtime.enter();
    let store = config.dcs.build(cluster.clone())?;
    let (kind, limit) = match &cli.order {
        Order::Status => return runtime.block_on(status::show(store.as_ref(), &cluster)),
        Order::Policy { changes } => {
            let own = config.policy.policy();
            return runtime.block_on(policy::policy(store.as_ref(), &cluster, changes, own));
        }
        Order::Switchover { to } => {
            let target = to.as_deref().map(MemberId::new).transpose()?;
            let limit = timing.switchover_timeout + timing.promote_timeout + timing.ttl * 2;
            (RequestKind::Switchover { target }, limit)
        }
        Order::Pause => (RequestKind::Pause, timing.ttl * 3),
        Order::Resume => (RequestKind::Resume, timing.ttl * 3),
    };
    runtime.block_on(wish::wish(store.as_ref(), &cluster, kind, limit + ANSWER_EXTRA))?;
    Ok("done\n".to_owned())
}
