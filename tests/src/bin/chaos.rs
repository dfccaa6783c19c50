//! A cluster of real agents, databases and etcd on hosts of their own, and faults by chance for as long as it is told.
//!
//! After every step the cluster must be whole again; at the end every acknowledged row must be on every node, and never may two databases have
//! accepted writes at once. The steps follow from the seed; what comes of them does not, as real processes run them.
#![expect(clippy::expect_used, reason = "a set-up that cannot be made ends the program")]

use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use clap::Parser;
use odoo_ha_tests::lab::{Fault, Lab, Plan, program_in_world};
use odoo_ha_tests::sim::Dice;

/// Faults by chance on a real cluster.
#[derive(Debug, Parser)]
#[command(name = "chaos")]
#[command(after_help = "Exit code: 0 when everything was as it must be, 1 when it was not.")]
struct Args {
    /// Which sequence of faults; without it another one each time
    #[arg(long)]
    seed: Option<u64>,
    /// No new step after so many seconds
    #[arg(long = "for", value_name = "SECONDS", default_value_t = 300)]
    seconds: u64,
    /// So many nodes
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(2..=5))]
    nodes: u8,
    /// So many members of the store, 1 or 3
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=3))]
    stores: u8,
    /// In strict mode: commits are never acknowledged by the leader alone
    #[arg(long)]
    strict: bool,
}

fn main() -> ExitCode {
    let args = Args::parse();
    if let Some(code) = program_in_world() {
        return ExitCode::from(u8::try_from(code).unwrap_or(1));
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970");
    let seed = args.seed.unwrap_or(now.as_secs());
    println!("{}", command(&args, seed));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.expect("a runtime can be made").block_on(run(&args, seed));
    println!("everything was as it must be: {}", command(&args, seed));
    ExitCode::SUCCESS
}

fn command(args: &Args, seed: u64) -> String {
    let strict = if args.strict { " --strict" } else { "" };
    let Args { seconds, nodes, stores, .. } = args;
    format!("make chaos CHAOS_ARGS='--seed {seed} --for {seconds} --nodes {nodes} --stores {stores}{strict}'")
}

async fn run(args: &Args, seed: u64) {
    let (nodes, stores) = (usize::from(args.nodes), usize::from(args.stores));
    let plan = Plan::nodes(nodes).stores(stores);
    let plan = if args.strict { plan.policy("sync_mode = \"strict\"") } else { plan };
    let (mut dice, begun) = (Dice::new(seed), Instant::now());
    let lab = Lab::start(plan).await;
    // Agents that stand still are killed by their guards.
    lab.expect_any_restarts();
    let mut step = 0;
    while begun.elapsed() < Duration::from_secs(args.seconds) {
        step += 1;
        let first = Fault::draw(&mut dice, nodes, stores);
        let length = Fault::draw_length(&mut dice);
        let second = Fault::draw(&mut dice, nodes, stores);
        // In one step of three a second one begins in the middle of the first, and outlasts it.
        let second = dice.one_in(3).then_some(second).filter(|second| second.goes_with(first));
        print!("step {step}: {first} for {length:.1?}");
        if let Some(second) = second {
            print!(", and in the middle of it {second} for as long");
        }
        println!();
        first.begin(&lab);
        tokio::time::sleep(length / 2).await;
        if let Some(second) = second {
            second.begin(&lab);
        }
        tokio::time::sleep(length / 2).await;
        first.end(&lab);
        if let Some(second) = second {
            tokio::time::sleep(length / 2).await;
            second.end(&lab);
        }
        let mended = Instant::now();
        let whole = lab.whole().await;
        lab.judge_so_far();
        println!("        whole {:.1?} later, node{} leads in term {}", mended.elapsed(), whole.leader + 1, whole.term);
    }
    println!("{step} steps in {:.0?}", begun.elapsed());
    lab.finish().await;
}
