//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Measures what the coordination stores do to a cluster, and a cluster to them.
#[derive(Debug, Parser)]
#[command(name = "bench_stores")]
pub(super) struct Cli {
    #[command(subcommand)]
    pub(super) measurement: Measurement,
}

#[derive(Debug, Subcommand)]
pub(super) enum Measurement {
    /// How long leadership takes to move when the leading node is killed
    Failover(FailoverArgs),
    /// Requests and processor time of the store while nothing happens
    Rest(RestArgs),
    /// Many clusters on one etcd, from one process
    Many(ManyArgs),
    /// One node of ours, as a process
    #[command(hide = true)]
    Node(NodeArgs),
    /// One contender for a key with etcd's own lease, as a process
    #[command(hide = true)]
    Lease(NativeArgs),
    /// One contender for a key with Consul's own session, as a process
    #[command(hide = true)]
    Session(NativeArgs),
}

#[derive(Debug, Args)]
pub(super) struct FailoverArgs {
    /// How often the leading node is killed, in each case
    #[arg(long, default_value_t = 20, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) rounds: u32,
    /// Which store
    #[arg(long, value_enum, default_value_t = Which::Both)]
    pub(super) store: Which,
    /// What becomes of the store meanwhile
    #[arg(long, value_enum, default_value_t = Case::Both)]
    pub(super) case: Case,
    /// The clusters' ttl
    #[arg(long, default_value = "2s", value_parser = time, value_name = "TIME")]
    pub(super) ttl: Duration,
}

#[derive(Debug, Args)]
pub(super) struct RestArgs {
    /// How long it is counted: 5s, 10m
    #[arg(long = "for", default_value = "60s", value_parser = time, value_name = "TIME")]
    pub(super) time: Duration,
    /// The program `patroni` with its etcd3 client; without it the one on PATH, if there is one
    #[arg(long, value_name = "PROGRAM")]
    pub(super) patroni: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct ManyArgs {
    /// How many clusters
    #[arg(long, default_value_t = 1000, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..=5000))]
    pub(super) clusters: u32,
    /// How long they are looked at: 5s, 10m
    #[arg(long = "for", default_value = "10m", value_parser = time, value_name = "TIME")]
    pub(super) time: Duration,
    /// Their ttl
    #[arg(long, default_value = "5s", value_parser = time, value_name = "TIME")]
    pub(super) ttl: Duration,
}

/// Which store is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Which {
    Etcd,
    Consul,
    Both,
}

/// What becomes of the store when the leading node is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Case {
    /// It is healthy
    Healthy,
    /// Its own leader is killed at the same moment
    Leader,
    /// Each of the two, one after the other
    Both,
}

#[derive(Debug, Args)]
pub(super) struct NodeArgs {
    /// All members of the cluster, with commas
    #[arg(long, value_delimiter = ',')]
    pub(super) members: Vec<String>,
    /// This one
    #[arg(long)]
    pub(super) member: String,
    #[arg(long)]
    pub(super) cluster: String,
    #[arg(long, value_enum)]
    pub(super) store: Which,
    #[arg(long, value_delimiter = ',')]
    pub(super) endpoints: Vec<String>,
    /// The directory that the members share
    #[arg(long)]
    pub(super) directory: PathBuf,
    #[arg(long, value_parser = time)]
    pub(super) ttl: Duration,
    /// Synchronous mode, and the leader is suspected as early as may be
    #[arg(long)]
    pub(super) synchronous: bool,
    /// How long a watch of etcd may be silent, where it is not the default
    #[arg(long, value_parser = time)]
    pub(super) silence: Option<Duration>,
}

#[derive(Debug, Args)]
pub(super) struct NativeArgs {
    #[arg(long, value_delimiter = ',')]
    pub(super) endpoints: Vec<String>,
    /// What is contended for
    #[arg(long)]
    pub(super) key: String,
    /// This contender
    #[arg(long)]
    pub(super) name: String,
    #[arg(long, value_parser = time)]
    pub(super) ttl: Duration,
}

/// `500ms`, `5s`, `10m`.
fn time(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let number: u64 = digits.parse().map_err(|_| format!("{text:?} is no time such as 500ms, 5s or 10m"))?;
    match &text[digits.len()..] {
        "ms" => Ok(Duration::from_millis(number)),
        "s" | "" => Ok(Duration::from_secs(number)),
        "m" => Ok(Duration::from_secs(number.saturating_mul(60))),
        unit => Err(format!("{unit:?} is no unit of time: ms, s, m")),
    }
}
