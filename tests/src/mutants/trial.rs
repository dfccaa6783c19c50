//! One run of the programs with one mutant switched on, or with none.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::workbench::SWITCH;
use super::{Catch, Mutant, Programs};

/// A program that has not ended by then is taken for one that hangs.
const PATIENCE: Duration = Duration::from_secs(600);

/// What was found, and how long it took.
#[derive(Clone, Debug)]
pub struct Trial {
    /// What was found.
    pub finding: Finding,
    /// After this time.
    pub took: Duration,
}

/// What a run found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// Nothing.
    Nothing,
    /// This invariant did not hold, in the run of this seed.
    Invariant(String, u64),
    /// This test failed.
    Test(String),
    /// Something else went wrong.
    Other(String),
}

impl Trial {
    /// Runs what is to catch a mutant, with it switched on; with `None`, without any.
    pub fn run(programs: &Programs, mutant: Option<&Mutant>, catch: Catch) -> Self {
        let began = Instant::now();
        let finding = match catch {
            Catch::Seeds { profile, seeds, .. } => {
                let seeds = seeds.to_string();
                let arguments = ["--first-seed", "1", "--seeds", &seeds, "--profile", profile, "--threads", "1"];
                finding_of_seeds(programs, mutant, &arguments)
            }
            Catch::Situation(name) => finding_of_test(&programs.situations, programs, mutant, name),
            Catch::Core(name) => finding_of_test(&programs.core, programs, mutant, name),
        };
        Self { finding, took: began.elapsed() }
    }
}

/// How a program ended, and what it said.
struct Ended {
    well: bool,
    in_time: bool,
    said: String,
}

fn finding_of_seeds(programs: &Programs, mutant: Option<&Mutant>, arguments: &[&str]) -> Finding {
    let ended = match run(&programs.simulate, programs, mutant, arguments) {
        Ok(ended) => ended,
        Err(why) => return Finding::Other(why),
    };
    let broken = ended.said.lines().find_map(invariant);
    match broken {
        Some((invariant, seed)) => Finding::Invariant(invariant, seed),
        None if ended.well => Finding::Nothing,
        None => other(&ended),
    }
}

/// `seed 7, step 12, 3.4 s: one_believer is broken`
fn invariant(line: &str) -> Option<(String, u64)> {
    let (place, what) = line.strip_prefix("seed ")?.split_once(" s: ")?;
    let seed = place.split(',').next()?.parse().ok()?;
    Some((what.strip_suffix(" is broken")?.to_owned(), seed))
}

fn finding_of_test(program: &Path, programs: &Programs, mutant: Option<&Mutant>, name: &str) -> Finding {
    let ended = match run(program, programs, mutant, &["--exact", name, "--test-threads", "1"]) {
        Ok(ended) => ended,
        Err(why) => return Finding::Other(why),
    };
    if ended.well && ended.said.contains("\nrunning 1 test\n") {
        Finding::Nothing
    } else if ended.well {
        Finding::Other(format!("there is no test {name}"))
    } else if ended.in_time && ended.said.contains(&format!("test {name} ... FAILED")) {
        Finding::Test(name.to_owned())
    } else {
        other(&ended)
    }
}

fn other(ended: &Ended) -> Finding {
    if !ended.in_time {
        return Finding::Other(format!("it did not end within {PATIENCE:?}"));
    }
    let last: Vec<&str> = ended.said.lines().rev().filter(|line| !line.trim().is_empty()).take(3).collect();
    Finding::Other(last.into_iter().rev().collect::<Vec<_>>().join(" / "))
}

fn run(program: &Path, programs: &Programs, mutant: Option<&Mutant>, arguments: &[&str]) -> Result<Ended, String> {
    let said = |error: std::io::Error| format!("{}: {error}", program.display());
    let output = tempfile::NamedTempFile::new().map_err(said)?;
    // One place to write to for both, or they overwrite each other.
    let out = output.reopen().map_err(said)?;
    let err = out.try_clone().map_err(said)?;
    let mut command = Command::new(program);
    command.current_dir(&programs.directory).args(arguments).stdin(Stdio::null()).stdout(out).stderr(err);
    command.env_remove(SWITCH).env_remove("ODOO_HA_SEEDS").env_remove("ODOO_HA_FIRST_SEED");
    if let Some(mutant) = mutant {
        command.env(SWITCH, mutant.name);
    }
    let began = Instant::now();
    let mut child = command.spawn().map_err(said)?;
    let ended = loop {
        if let Some(status) = child.try_wait().map_err(said)? {
            break Some(status);
        }
        if began.elapsed() > PATIENCE {
            let _ = child.kill();
            let _ = child.wait();
            break None;
        }
        thread::sleep(Duration::from_millis(5));
    };
    let mut text = String::new();
    let _ = File::open(output.path()).map_err(said)?.read_to_string(&mut text);
    Ok(Ended { well: ended.is_some_and(|status| status.success()), in_time: ended.is_some(), said: text })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_that_names_an_invariant_is_understood() {
        let line = "seed 7, step 12, 1003.400 s: one_believer is broken";
        assert_eq!(invariant(line), Some(("one_believer".to_owned(), 7)));
        assert_eq!(invariant("seed 7, step 12"), None);
    }
}
