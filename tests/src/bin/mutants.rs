//! Breaks one rule of the protocol after the other and demands that each is caught: by the invariant, or the test, that is named for it.
//!
//! Fails when a mutant survives, is caught by something else, does not apply or does not build, and when something is found without any.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use clap::Parser;
use odoo_ha_tests::mutants::{self, Catch, Finding, Mutant, Trial, Workbench};

/// Breaks rules of the protocol on purpose, one at a time, and demands that each is caught.
#[derive(Debug, Parser)]
#[command(name = "mutants")]
struct Args {
    /// Only the mutants whose name contains one of these.
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// Say which there are, and end.
    #[arg(long)]
    list: bool,
    /// Print the table of the documentation, and end.
    #[arg(long)]
    table: bool,
    /// Run so many at once; without it, as many as there are processors.
    #[arg(long, value_name = "NUMBER")]
    threads: Option<usize>,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let chosen: Vec<&Mutant> = mutants::all()
        .into_iter()
        .filter(|mutant| args.only.is_empty() || args.only.iter().any(|part| mutant.name.contains(part)))
        .collect();
    if args.table {
        print!("{}", mutants::table());
        return ExitCode::SUCCESS;
    }
    if args.list {
        for mutant in &chosen {
            println!("{:45} {:8} {}", mutant.name, mutant.rules(), mutant.breaks);
        }
        return ExitCode::SUCCESS;
    }
    if chosen.is_empty() {
        eprintln!("no mutant has such a name");
        return ExitCode::FAILURE;
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    eprintln!("building one program with {} mutants in it", chosen.len());
    // All of them, whichever are run: so a second run builds nothing.
    let programs = match Workbench::new(&root).make(&mutants::all()) {
        Ok(programs) => programs,
        Err(why) => {
            eprintln!("{why}");
            return ExitCode::FAILURE;
        }
    };
    let threads = args.threads.or_else(|| thread::available_parallelism().ok().map(usize::from)).unwrap_or(1);
    let healthy = side_by_side(threads, &baselines(&chosen), |catch| Trial::run(&programs, None, *catch));
    let mut failures = 0;
    for (catch, trial) in &healthy {
        if trial.finding != Finding::Nothing {
            failures += 1;
            println!("without any mutant, {catch:?} finds {:?}", trial.finding);
        }
    }
    println!("without any mutant: {} runs, {failures} findings", healthy.len());
    let tried = side_by_side(threads, &chosen, |mutant| {
        let trial = Trial::run(&programs, Some(mutant), mutant.caught);
        eprintln!("{}", verdict(mutant, &trial).1);
        trial
    });
    for (mutant, trial) in &tried {
        let (caught, line) = verdict(mutant, trial);
        println!("{line}");
        failures += usize::from(!caught);
    }
    println!("{} mutants, {failures} failures", tried.len());
    if failures == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// What is run without a mutant first: everything that is to catch one of these, once and for as long as the longest of them.
fn baselines(chosen: &[&Mutant]) -> Vec<Catch> {
    let mut runs: BTreeMap<String, Catch> = BTreeMap::new();
    for mutant in chosen {
        match mutant.caught {
            Catch::Seeds { profile, seeds, .. } => {
                let longest = runs.entry(format!("profile {profile}")).or_insert(mutant.caught);
                if matches!(longest, Catch::Seeds { seeds: before, .. } if *before < seeds) {
                    *longest = mutant.caught;
                }
            }
            Catch::Situation(name) | Catch::Core(name) => {
                runs.insert(name.to_owned(), mutant.caught);
            }
        }
    }
    runs.into_values().collect()
}

/// Does it for all, so many at once; the results are in the order of the things.
fn side_by_side<T: Copy + Sync, R: Send>(threads: usize, things: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<(T, R)> {
    let next = AtomicUsize::new(0);
    let done = Mutex::new(BTreeMap::new());
    thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            scope.spawn(|| {
                loop {
                    let at = next.fetch_add(1, Ordering::SeqCst);
                    let Some(thing) = things.get(at) else { break };
                    let result = work(thing);
                    if let Ok(mut done) = done.lock() {
                        done.insert(at, result);
                    }
                }
            });
        }
    });
    let done = done.into_inner().unwrap_or_default();
    done.into_iter().filter_map(|(at, result)| things.get(at).map(|thing| (*thing, result))).collect()
}

/// Whether a mutant was caught as it is to be, and that in a line.
fn verdict(mutant: &Mutant, trial: &Trial) -> (bool, String) {
    let (caught, what) = match (&trial.finding, mutant.caught) {
        (Finding::Nothing, _) => (false, "SURVIVES".to_owned()),
        (Finding::Invariant(which, seed), Catch::Seeds { by, seeds, profile }) => {
            let expected = by.contains(&which.as_str());
            let by = if expected { String::new() } else { format!(", NOT BY {}", by.join(" or ")) };
            (expected, format!("{which}, seed {seed} of {seeds} {profile}{by}"))
        }
        (Finding::Invariant(which, seed), _) => (false, format!("{which}, seed {seed}")),
        (Finding::Test(name), _) => (true, format!("the test {name}")),
        (Finding::Other(why), _) => (false, format!("SOMETHING ELSE: {why}")),
    };
    let line = format!("{:45} rule {:8} {what}, {:.1} s", mutant.name, mutant.rules(), trial.took.as_secs_f64());
    (caught, line)
}
