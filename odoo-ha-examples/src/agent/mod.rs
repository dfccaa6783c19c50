//! `odoo-ha-agent`: a complete node from one TOML file.
//!
//! Where to go next: `config` the file · `node.rs` what is made of it · `run.rs` signals and the end · `reload.rs` what can be changed while
//! it runs · `supervisor.rs` what systemd hears · `api` what is answered over HTTP ·
//! `policy_keys.rs` how a policy is changed key by key.

mod api;
mod config;
mod node;
pub(crate) mod policy_keys;
mod reload;
mod run;
mod supervisor;

use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{ArgAction, Parser};
use odoo_ha_core::error::Error;

pub use config::*;

/// Runs one node of a cluster: its database, its address, and what watches them.
///
/// SIGTERM hands leadership over, if somebody can take it, and stops the database; SIGHUP reads the file again.
#[derive(Debug, Parser)]
#[command(name = "odoo-ha-agent", version)]
#[command(after_help = "Exit code: 0 when the node left in good order, 2 when it cannot run.")]
struct Cli {
    /// The node's configuration (docs/reference/configuration.md)
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Check the file, print it with every default, and end
    #[arg(long, action = ArgAction::SetTrue)]
    check: bool,
}

/// Runs the program.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    match start(&cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("odoo-ha-agent: {}", error.chain());
            ExitCode::from(2)
        }
    }
}

fn start(cli: &Cli) -> Result<(), Error> {
    let config = AgentConfig::read(&cli.config)?;
    if cli.check {
        print!("{}", config.effective()?);
        return Ok(());
    }
    let filter = tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "info".into());
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        .init();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| {
        Error::new(odoo_ha_core::error::ErrorKind::Unavailable, "no thread can be started").caused_by(error)
    })?;
    // Backends may want a runtime where they are built.
    let _entered = runtime.enter();
    let (node, database) = node::build(&config)?;
    runtime.block_on(run::run(&cli.config, config, node, &database))
}
