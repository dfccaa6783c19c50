//! The command line.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::TypedValueParser;
use clap::error::ErrorKind;
use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};
use odoo_ha_core::policy::{SyncMode, Timing};

use super::fault::Fault;
use super::store::Store;

/// A real failover on this machine.
///
/// Starts two nodes with a PostgreSQL each, lets a client write through one address
/// all the time, kills and freezes things, and says what the client saw of it.
/// Needs PostgreSQL's programs; touches nothing that runs already.
#[derive(Debug, Parser)]
#[command(name = "quickstart", version, verbatim_doc_comment, args_conflicts_with_subcommands = true)]
#[command(after_help = "Exit code: 0 when every limit held, 1 when one was missed, 2 when it could not run, \
                        130 when it was interrupted.")]
pub struct Cli {
    /// Something else than the demo.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// The demo.
    #[command(flatten)]
    pub demo: DemoArgs,
}

/// What the program does besides the demo.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Runs one node (the demo starts two of these)
    #[command(hide = true)]
    Node {
        /// The node's configuration.
        #[arg(long)]
        config: PathBuf,
    },
    /// Show the nodes of a demo that was left running with --keep
    Status {
        /// The demo's work directory
        #[arg(value_name = "WORK_DIR")]
        work_dir: PathBuf,
    },
    /// Move the leadership of a demo that was left running with --keep
    Switchover {
        /// The demo's work directory
        #[arg(value_name = "WORK_DIR")]
        work_dir: PathBuf,
    },
}

/// How the demo is run.
#[derive(Clone, Debug, Args)]
pub struct DemoArgs {
    /// How long a silent leader keeps its right, in seconds
    #[arg(long, value_name = "SECONDS", default_value = "5", value_parser = parse_ttl)]
    pub ttl: Duration,
    /// How commits are protected
    #[arg(long, value_enum, value_name = "MODE", default_value = "sync")]
    pub sync: Sync,
    /// Where the nodes agree on who leads: sqlite (a file), etcd://HOST:PORT,... or consul://HOST:PORT,...
    ///
    /// Servers that run already; what is left out is this machine, and the store's usual port. Options follow after a
    /// question mark, joined by '&': ca=FILE (then TLS), cert=FILE and key=FILE; for etcd user=NAME, with its password in
    /// password-file=FILE or in the variable ETCD_PASSWORD; for Consul token-file=FILE, or the variable CONSUL_HTTP_TOKEN.
    #[arg(long, value_name = "STORE", default_value = "sqlite", value_parser = StoreParser)]
    pub dcs: Store,
    /// What to do to the leader, in this order
    #[arg(
        long,
        value_enum,
        value_name = "FAULT,...",
        value_delimiter = ',',
        default_value = "kill-database,kill-node,freeze-agent,switchover,switch-back"
    )]
    pub faults: Vec<Fault>,
    /// How often all of that
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub rounds: u32,
    /// The directory of PostgreSQL's programs [default: the newest supported one that is installed]
    #[arg(long, value_name = "DIR")]
    pub pg_bin: Option<PathBuf>,
    /// Work here: a directory that is empty or not there yet [default: a new one in the temporary directory]
    #[arg(long, value_name = "DIR")]
    pub work_dir: Option<PathBuf>,
    /// Where the timeline is written, .html or .svg [default: odoo-ha-quickstart.html in the temporary directory]
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
    /// Leave the cluster running afterwards, to play with; Ctrl-C ends it
    #[arg(long, action = ArgAction::SetTrue)]
    pub keep: bool,
    /// Leave data and logs in the work directory
    #[arg(long, action = ArgAction::SetTrue)]
    pub keep_files: bool,
    /// No colors, even on a terminal
    #[arg(long, action = ArgAction::SetTrue)]
    pub no_color: bool,
}

/// How commits are protected, as the command line says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Sync {
    /// Acknowledged by the primary alone
    Async,
    /// Acknowledged when the standby has it; a silent standby is dropped
    Sync,
    /// Never acknowledged by the primary alone
    Strict,
}

impl Sync {
    /// The library's word for it.
    pub const fn mode(self) -> SyncMode {
        match self {
            Self::Async => SyncMode::Asynchronous,
            Self::Sync => SyncMode::Synchronous,
            Self::Strict => SyncMode::Strict,
        }
    }

    /// As an adjective.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Async => "asynchronous",
            Self::Sync => "synchronous",
            Self::Strict => "strictly synchronous",
        }
    }
}

/// Does not repeat what it refuses, as clap does: there may be a password in it.
#[derive(Clone)]
struct StoreParser;

impl TypedValueParser for StoreParser {
    type Value = Store;

    fn parse_ref(&self, command: &clap::Command, _: Option<&clap::Arg>, value: &OsStr) -> Result<Store, clap::Error> {
        let parsed = value.to_str().ok_or_else(|| "it is no text".to_owned()).and_then(str::parse);
        parsed.map_err(|why: String| {
            command.clone().error(ErrorKind::ValueValidation, format!("invalid value for '--dcs <STORE>': {why}"))
        })
    }
}

fn parse_ttl(text: &str) -> Result<Duration, String> {
    let number = text.strip_suffix('s').unwrap_or(text).trim();
    let seconds: f64 = number.parse().map_err(|_| "give a number of seconds, such as 5 or 1.5".to_owned())?;
    let ttl = Duration::try_from_secs_f64(seconds).map_err(|_| "that is no time".to_owned())?;
    Timing::with_ttl(ttl).check().map_err(|refusal| refusal.to_string())?;
    Ok(ttl)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn parse(words: &[&str]) -> Result<Cli, clap::Error> {
        Cli::try_parse_from([&["quickstart"], words].concat())
    }

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn without_arguments_all_faults_happen_once_at_the_defaults() {
        let demo = parse(&[]).expect("valid").demo;
        assert_eq!(demo.faults, Fault::ALL);
        assert_eq!(demo.ttl, Timing::default().ttl);
        assert_eq!(demo.sync.mode(), SyncMode::default());
        assert_eq!(demo.dcs, Store::Sqlite);
        assert_eq!((demo.rounds, demo.keep, demo.keep_files), (1, false, false));
    }

    #[test]
    fn faults_are_listed_with_commas() {
        let demo =
            parse(&["--faults", "switchover,kill-database", "--ttl", "1.5", "--sync=async"]).expect("valid").demo;
        assert_eq!(demo.faults, [Fault::Switchover, Fault::KillDatabase]);
        assert_eq!(demo.ttl, Duration::from_millis(1500));
        assert_eq!(demo.sync, Sync::Async);
    }

    #[test]
    fn a_ttl_that_the_library_refuses_is_refused_with_its_reason() {
        for ttl in ["0.5", "301", "-1", "soon"] {
            assert!(parse(&["--ttl", ttl]).is_err(), "{ttl}");
        }
        let said = parse(&["--ttl=0.2"]).expect_err("too short").to_string();
        assert!(said.contains("not between 1s and 300s"), "{said}");
    }

    #[test]
    fn a_password_in_a_store_s_address_is_refused_and_not_repeated() {
        let said = parse(&["--dcs", "etcd://shop:hush@10.0.0.1"]).expect_err("refused").to_string();
        assert!(said.contains("does not belong here") && !said.contains("hush"), "{said}");
    }

    #[test]
    fn nonsense_is_a_usage_error() {
        for words in [&["--faults", "earthquake"][..], &["--rounds", "0"], &["dance"], &["node"]] {
            assert_eq!(parse(words).expect_err("nonsense").exit_code(), 2, "{words:?}");
        }
    }
}
