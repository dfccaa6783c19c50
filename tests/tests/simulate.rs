//! The program `simulate`: a fixed part of each profile, the same output for the same seeds, and what it says when something is broken.
#![expect(clippy::expect_used, reason = "a program that cannot be started fails its test")]

use std::process::{Command, Output};

use odoo_ha_tests::sim::{Campaign, Profile, Report};

fn simulate(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_simulate")).args(arguments).output().expect("the program starts")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn campaign(profile: &'static Profile, seeds: u64, threads: usize) -> Report {
    let campaign = Campaign {
        profile,
        first_seed: 1,
        seeds: Some(seeds),
        nodes: None,
        threads,
        time: None,
        failovers: None,
        keep_going: false,
    };
    campaign.run(|_| {})
}

#[test]
fn a_fixed_part_of_each_profile_breaks_nothing() {
    let sound = |profile: &&Profile| !profile.hasty;
    for profile in Profile::ALL.iter().filter(sound) {
        let report = campaign(profile, 3, 2);
        assert_eq!(report.broken, Vec::new(), "{}", profile.name);
        assert!(report.tally.failovers > 5, "{}: {:?}", profile.name, report.tally);
    }
}

#[test]
fn the_same_seeds_say_the_same_on_any_number_of_threads() {
    let arguments = ["--profile", "usual", "--seeds", "4", "--threads"];
    let one = simulate(&[&arguments[..], &["1"]].concat());
    let three = simulate(&[&arguments[..], &["3"]].concat());
    assert!(one.status.success(), "{}", text(&one.stdout));
    assert_eq!(text(&one.stdout), text(&three.stdout));
    assert!(text(&one.stdout).contains("digest "), "{}", text(&one.stdout));
    let other = simulate(&["--profile", "usual", "--first-seed", "2", "--seeds", "4"]);
    assert_ne!(text(&one.stdout), text(&other.stdout));
}

#[test]
fn clusters_of_the_real_driver_say_the_same_on_any_number_of_threads() {
    let arguments = ["--driven", "--seeds", "4", "--threads"];
    let one = simulate(&[&arguments[..], &["1"]].concat());
    let three = simulate(&[&arguments[..], &["3"]].concat());
    assert!(one.status.success(), "{}", text(&one.stdout));
    assert_eq!(text(&one.stdout), text(&three.stdout));
    assert!(text(&one.stdout).contains("profile harsh of the real driver, 4 seeds, 1 to 4"), "{}", text(&one.stdout));
    assert!(text(&one.stderr).contains("failovers a minute"), "{}", text(&one.stderr));
    let calm = simulate(&["--driven", "--profile", "calm", "--nodes", "2", "--first-seed", "9", "--seeds", "1"]);
    assert!(text(&calm.stdout).contains("0 failovers and switchovers, 0 faults"), "{}", text(&calm.stdout));
}

/// Databases that say "saved" too early: whom the record counts lacks what was acknowledged.
#[test]
fn a_world_with_hasty_databases_is_found_out_and_its_command_repeats_it() {
    let first = simulate(&["--profile", "hasty-databases", "--seeds", "50"]);
    let said = text(&first.stdout);
    assert_eq!(first.status.code(), Some(1), "{said}");
    assert!(said.contains("counted_have_every_commit is broken"), "{said}");
    let command = said.lines().find(|line| line.starts_with("cargo run ")).expect("the command that repeats it");
    let (_, arguments) = command.split_once(" -- ").expect("its arguments");
    let again = text(&simulate(&arguments.split(' ').collect::<Vec<_>>()).stdout);
    let story = |said: &str| said.split("to see it again").next().unwrap_or_default().to_owned();
    assert_eq!(story(&said), story(&again));
    let shrunk = simulate(&[&arguments.split(' ').collect::<Vec<_>>()[..], &["--shrink"]].concat());
    let steps = |said: &str| said.lines().filter(|line| line.contains(" step ")).count();
    assert_eq!(shrunk.status.code(), Some(1));
    assert!(steps(&text(&shrunk.stdout)) <= steps(&said), "{}", text(&shrunk.stdout));
}

#[test]
fn bad_arguments_are_refused_with_what_is_right() {
    for (arguments, hint) in [
        (&["--profile", "gentle"][..], "calm, usual, harsh"),
        (&["--driven", "--profile", "usual"], "calm, harsh"),
        (&["--driven", "--shrink"], "--shrink"),
        (&["--nodes", "8"], "2..=7"),
        (&["--nodes", "1"], "2..=7"),
        (&["--seeds", "0"], "1.."),
        (&["--for", "soon"], "a time is a number"),
        (&["--threads", "0"], "--threads"),
        (&["--first-seed", "x"], "--first-seed"),
    ] {
        let output = simulate(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(text(&output.stderr).contains(hint), "{arguments:?}: {}", text(&output.stderr));
        assert_eq!(text(&output.stdout), "");
    }
}
