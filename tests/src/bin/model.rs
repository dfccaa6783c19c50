//! Explores all orders of events of a small cluster within a bound: `--help` says how.

use std::process::ExitCode;
use std::time::Duration;

use odoo_ha_tests::model::{Beginning, Bounds, Clocks, Mistake, Report, Wrong, check};

const HELP: &str = "\
Model checking of the real machine: every order of events within a bound.

  --members N        2 or 3 (default 3)
  --depth N          steps from the beginning (default 8)
  --from WHERE       nothing, whole, failed-over or dropped (default whole)
  --quorum K         commits wait for any K of the standbys (default: all of them)
  --common-time      one time for all, and freezes; else every node has a clock of its own
  --fine             reads of the store and writes of the memo are steps, too
  --writes N --crashes N --lost N --freezes N --switchovers N
                     how much may happen in one run
  --mistake NAME     with a mistake on purpose (FreezeSkipped, LoosenedFirst, ...)
  --only WHAT        look for one kind of violation alone (Lost, VoterReceives, ...)
  --threads N        default 1; with more, the depth is bounded less exactly
  --seconds N        stop after so long, incomplete
  --story NAME       print the way to a state whose property's name has this in it
";

struct Asked {
    bounds: Bounds,
    threads: usize,
    limit: Option<Duration>,
    story: Option<String>,
}

fn asked() -> Result<Option<Asked>, String> {
    let mut asked = Asked { bounds: Bounds::new(3, 8), threads: 1, limit: None, story: None };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let bounds = &mut asked.bounds;
        match word.as_str() {
            "--help" | "-h" => return Ok(None),
            "--common-time" => bounds.clocks = Clocks::Common,
            "--fine" => bounds.fine = true,
            _ => {
                let value = words.next().ok_or_else(|| format!("{word} needs a value"))?;
                let number = || value.parse::<u16>().map_err(|_| format!("{word} needs a number, not {value}"));
                let small = || number().map(|number| number.min(u16::from(u8::MAX)) as u8);
                match word.as_str() {
                    "--members" => bounds.members = usize::from(number()?.clamp(2, 5)),
                    "--quorum" => bounds.quorum = number()?.into(),
                    "--depth" => bounds.depth = number()?,
                    "--writes" => bounds.budget.writes = small()?,
                    "--crashes" => bounds.budget.crashes = small()?,
                    "--lost" => bounds.budget.lost = small()?,
                    "--freezes" => bounds.budget.freezes = small()?,
                    "--switchovers" => bounds.budget.switchovers = small()?,
                    "--threads" => asked.threads = usize::from(number()?.max(1)),
                    "--seconds" => asked.limit = Some(Duration::from_secs(u64::from(number()?))),
                    "--story" => asked.story = Some(value),
                    "--from" => bounds.beginning = beginning(&value)?,
                    "--only" => bounds.only = Some(wrong(&value)?),
                    "--mistake" => bounds.mistake = mistake(&value)?,
                    _ => return Err(format!("{word} is not known; --help says what is")),
                }
            }
        }
    }
    Ok(Some(asked))
}

fn beginning(value: &str) -> Result<Beginning, String> {
    match value {
        "nothing" => Ok(Beginning::Nothing),
        "whole" => Ok(Beginning::Whole),
        "failed-over" => Ok(Beginning::FailedOver),
        "dropped" => Ok(Beginning::Dropped),
        _ => Err(format!("--from {value} is not known")),
    }
}

fn wrong(value: &str) -> Result<Wrong, String> {
    let known = Wrong::ALL.into_iter().find(|wrong| format!("{wrong:?}") == value);
    known.ok_or_else(|| format!("nothing is called that; there are {:?}", Wrong::ALL))
}

fn mistake(value: &str) -> Result<Mistake, String> {
    let known = Mistake::ALL.into_iter().find(|mistake| format!("{mistake:?}") == value);
    known.ok_or_else(|| format!("no such mistake; there are {:?}", Mistake::ALL))
}

fn print(report: &Report, story: Option<&str>) {
    println!(
        "{} states, {} of them different, {} steps deep, in {:.1} s{}",
        report.states,
        report.unique,
        report.depth,
        report.took.as_secs_f64(),
        if report.complete { "" } else { " (not all of the bound)" },
    );
    for landmark in Report::landmarks() {
        let found = report.reached.iter().find(|found| found.property == landmark);
        match found {
            Some(found) => println!("  reached after {:2} steps: {landmark}", found.steps.len()),
            None => println!("  not reached:            {landmark}"),
        }
    }
    let told = report.reached.iter().filter(|found| story.is_some_and(|story| found.property.contains(story)));
    for found in told {
        println!("\n{}:\n{}", found.property, found.story);
    }
    for (wrong, found) in &report.wrong {
        println!("\nVIOLATED ({wrong:?}): {}\n{}", found.property, found.story);
    }
    if report.wrong.is_empty() {
        println!("nothing was found that must never be");
    }
}

fn main() -> ExitCode {
    match asked() {
        Ok(None) => {
            print!("{HELP}");
            ExitCode::SUCCESS
        }
        Ok(Some(asked)) => {
            println!("{:?}", asked.bounds);
            let report = check(asked.bounds, asked.threads, asked.limit);
            print(&report, asked.story.as_deref());
            if report.wrong.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(why) => {
            eprintln!("{why}");
            ExitCode::from(2)
        }
    }
}
