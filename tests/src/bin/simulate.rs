//! Runs made-up worlds, one for each seed, and stops at the first in which something is seen that must never be.
//!
//! What depends on the seeds alone goes to standard output; figures of speed go to standard error.

use std::io::{IsTerminal, stderr};
use std::num::NonZeroUsize;
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};
use indicatif::{ProgressBar, ProgressStyle};
use odoo_ha_tests::sim::{Bounds, Broken, Campaign, MOST_MEMBERS, Outcome, Profile, Report, driven, shrink};

/// Runs made-up worlds with faults by chance, one for each seed.
#[derive(Debug, Parser)]
#[command(name = "simulate", after_help = profiles())]
struct Args {
    /// The first seed.
    #[arg(long, default_value_t = 1, value_name = "SEED")]
    first_seed: u64,
    /// How many seeds; 1000, unless --for or --failovers is given.
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u64).range(1..))]
    seeds: Option<u64>,
    /// What happens, and what is judged: see below. Without it, "usual", of the real driver "harsh".
    #[arg(long, value_name = "NAME")]
    profile: Option<String>,
    /// Clusters of the real driver instead of machines alone: its threads, queues, deadlines and files, by virtual time.
    #[arg(long, conflicts_with = "shrink")]
    driven: bool,
    /// So many members in every world, instead of as many as the seed says.
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u64).range(2..=MOST_MEMBERS as u64))]
    nodes: Option<u64>,
    /// On so many threads; without it, on as many as there are processors.
    #[arg(long, value_name = "NUMBER")]
    threads: Option<NonZeroUsize>,
    /// No world is begun after this time: 90, 90s, 15m or 2h.
    #[arg(long = "for", value_name = "TIME", value_parser = time)]
    time: Option<Duration>,
    /// Until so many failovers have happened.
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u64).range(1..))]
    failovers: Option<u64>,
    /// Go on after a violation.
    #[arg(long)]
    keep_going: bool,
    /// Leave out of the plan what is not needed for the violation.
    #[arg(long)]
    shrink: bool,
}

/// Without a terminal, a line is printed every so often.
const LINE_EVERY: Duration = Duration::from_secs(10);

/// So many seeds, if nothing else says when to end.
const SEEDS: u64 = 1000;

fn profiles() -> String {
    let lines = Profile::ALL.iter().map(|profile| format!("  {:<16} {}", profile.name, profile.about));
    let driven = driven::Profile::ALL.iter().map(|profile| format!("  {:<16} {}", profile.name(), profile.about()));
    let list = |lines: Vec<String>| lines.join("\n");
    format!("Profiles:\n{}\n\nProfiles with --driven:\n{}", list(lines.collect()), list(driven.collect()))
}

/// What is run.
enum Subject {
    Machines(Campaign),
    Drivers(driven::Options),
}

/// What was asked for; an unknown profile ends the program with what there is.
fn subject(args: &Args, bounds: &Bounds) -> Subject {
    let nodes = args.nodes.and_then(|nodes| usize::try_from(nodes).ok());
    let unknown = |known: Vec<&str>| -> ! {
        let text = format!("there is no profile of this name; there are {}", known.join(", "));
        Args::command().error(ErrorKind::InvalidValue, text).exit()
    };
    if args.driven {
        let name = args.profile.as_deref().unwrap_or("harsh");
        let profile = driven::Profile::named(name)
            .unwrap_or_else(|| unknown(driven::Profile::ALL.iter().map(|profile| profile.name()).collect()));
        return Subject::Drivers(driven::Options { members: nodes, profile, ..driven::Options::default() });
    }
    let name = args.profile.as_deref().unwrap_or("usual");
    let profile =
        Profile::named(name).unwrap_or_else(|| unknown(Profile::ALL.iter().map(|profile| profile.name).collect()));
    Subject::Machines(Campaign {
        profile,
        first_seed: bounds.first_seed,
        seeds: bounds.seeds,
        nodes,
        threads: bounds.threads,
        time: bounds.time,
        failovers: bounds.failovers,
        keep_going: bounds.keep_going,
    })
}

impl Subject {
    fn run(&self, bounds: &Bounds, progress: impl FnMut(&Report)) -> Report {
        match self {
            Self::Machines(campaign) => campaign.run(progress),
            Self::Drivers(options) => driven::campaign(options, bounds, progress),
        }
    }

    /// The arguments that make it.
    fn arguments(&self) -> String {
        let (profile, members) = match self {
            Self::Machines(campaign) => (campaign.profile.name.to_owned(), campaign.nodes),
            Self::Drivers(options) => (format!("{} --driven", options.profile.name()), options.members),
        };
        let nodes = members.map(|nodes| format!(" --nodes {nodes}")).unwrap_or_default();
        format!("--profile {profile}{nodes}")
    }

    fn name(&self) -> String {
        match self {
            Self::Machines(campaign) => campaign.profile.name.to_owned(),
            Self::Drivers(options) => format!("{} of the real driver", options.profile.name()),
        }
    }
}

fn time(text: &str) -> Result<Duration, String> {
    let (number, factor) = match text.strip_suffix(['s', 'm', 'h']) {
        Some(number) if text.ends_with('m') => (number, 60),
        Some(number) if text.ends_with('h') => (number, 3600),
        Some(number) => (number, 1),
        None => (text, 1),
    };
    match number.parse::<u64>() {
        Ok(number) if number > 0 => Ok(Duration::from_secs(number.saturating_mul(factor))),
        _ => Err("a time is a number above 0 with s, m or h behind it".to_owned()),
    }
}

fn main() -> ExitCode {
    let args = Args::parse();
    let unbounded = args.time.is_some() || args.failovers.is_some();
    let bounds = Bounds {
        first_seed: args.first_seed,
        seeds: args.seeds.or((!unbounded).then_some(SEEDS)),
        threads: args.threads.or_else(|| thread::available_parallelism().ok()).map_or(1, NonZeroUsize::get),
        time: args.time,
        failovers: args.failovers,
        keep_going: args.keep_going,
    };
    let subject = subject(&args, &bounds);
    let began = Instant::now();
    let show = Show::new(&bounds);
    let report = subject.run(&bounds, |report| show.progress(report, began.elapsed()));
    show.end();
    let took = began.elapsed();
    for outcome in &report.broken {
        tell(&args, &subject, outcome);
    }
    summary(&subject, &bounds, &report);
    eprintln!("{}", speed(&report, took, bounds.threads));
    if report.broken.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// What is shown meanwhile.
struct Show {
    bar: Option<ProgressBar>,
    last: std::cell::Cell<Duration>,
}

impl Show {
    fn new(bounds: &Bounds) -> Self {
        let last = std::cell::Cell::new(Duration::ZERO);
        if !stderr().is_terminal() {
            return Self { bar: None, last };
        }
        // What ends the run measures how far it is.
        let bar = ProgressBar::new(bounds.failovers.or(bounds.seeds).unwrap_or(0));
        let bounded = "{spinner} {wide_bar} {pos}/{len} {eta} {msg}";
        let open = "{spinner} {elapsed} {msg}";
        let template = if bar.length() == Some(0) { open } else { bounded };
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        Self { bar: Some(bar), last }
    }

    fn progress(&self, report: &Report, elapsed: Duration) {
        let text = || {
            let (failovers, seeds) = (report.tally.failovers, report.seeds);
            format!("{seeds} seeds, {failovers} failovers, {} a minute", a_minute(failovers, elapsed))
        };
        match &self.bar {
            Some(bar) if elapsed > self.last.get() + Duration::from_millis(100) => {
                self.last.set(elapsed);
                let seeds = bar.length().is_some_and(|length| length >= report.seeds);
                bar.set_position(if seeds { report.seeds } else { report.tally.failovers });
                bar.set_message(text());
            }
            None if elapsed > self.last.get() + LINE_EVERY => {
                self.last.set(elapsed);
                eprintln!("{:4} s: {}", elapsed.as_secs(), text());
            }
            _ => {}
        }
    }

    fn end(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn a_minute(count: u64, took: Duration) -> u64 {
    let millis = u64::try_from(took.as_millis()).unwrap_or(u64::MAX).max(1);
    count.saturating_mul(60_000) / millis
}

/// Says what was seen, and how to see it again.
fn tell(args: &Args, subject: &Subject, outcome: &Outcome) {
    let mut shorter = None;
    let mut about = None;
    if let Subject::Machines(campaign) = subject {
        let mut plan = campaign.plan(outcome.seed);
        if args.shrink
            && let Some((shorter_plan, shown)) = shrink(&plan)
        {
            (plan, shorter) = (shorter_plan, Some(shown));
        }
        let (ttl, suspicion) = (plan.timing.ttl, plan.timing.suspicion);
        about = Some(format!("{} members, {:?}, ttl {ttl:?}, suspicion {suspicion:?}:", plan.nodes, plan.mode));
    }
    let Some(broken) = &shorter.as_ref().unwrap_or(outcome).broken else { return };
    print_broken(outcome.seed, broken, about);
    let shrink = if args.shrink { " --shrink" } else { "" };
    println!("to see it again:");
    println!(
        "cargo run --release -p odoo-ha-tests --no-default-features --bin simulate -- --first-seed {} --seeds 1 {}{shrink}",
        outcome.seed,
        subject.arguments()
    );
    println!();
}

fn print_broken(seed: u64, broken: &Broken, about: Option<String>) {
    let at = broken.at.as_secs_f64();
    // Drivers' worlds have no plan, and so no steps.
    let step = about.as_ref().map(|_| format!("step {}, ", broken.step)).unwrap_or_default();
    println!("seed {seed}, {step}{at:.3} s: {} is broken", broken.invariant);
    println!("  {}", broken.what);
    if let Some(about) = about {
        println!("{about}");
    }
    print!("{}", broken.timeline);
}

fn summary(subject: &Subject, bounds: &Bounds, report: &Report) {
    let tally = &report.tally;
    let last = bounds.first_seed + report.seeds.saturating_sub(1);
    println!("profile {}, {} seeds, {} to {last}", subject.name(), report.seeds, bounds.first_seed);
    let lived = tally.lived.as_secs();
    match subject {
        Subject::Machines(_) => {
            println!(
                "{} failovers, {} switchovers, {} re-elections, {} restarts in place",
                tally.failovers, tally.switchovers, tally.re_elections, tally.restarts
            );
            println!(
                "{} faults, {} wishes, {} times whole again, at the latest after {:.1} s; {lived} s lived",
                tally.faults,
                tally.wishes,
                tally.peaces,
                tally.longest_heal.as_secs_f64(),
            );
        }
        Subject::Drivers(_) => {
            println!("{} failovers and switchovers, {} faults and wishes", tally.failovers, tally.faults);
            println!("{} writes saved, {} calls of roles; {lived} s lived", tally.saved, tally.calls);
        }
    }
    println!("{} violations, digest {:016x}", report.broken.len(), report.digest);
}

fn speed(report: &Report, took: Duration, threads: usize) -> String {
    format!(
        "{:.1} s on {threads} threads: {} failovers a minute, {} simulated seconds a second",
        took.as_secs_f64(),
        a_minute(report.tally.failovers, took),
        a_minute(report.tally.lived.as_secs(), took) / 60
    )
}
