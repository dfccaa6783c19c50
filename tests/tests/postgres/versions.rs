//! The same with other versions of PostgreSQL than the one that is installed.

use std::process::Command;

use odoo_ha_tests::stores::find_tree;

use crate::support::Place;

/// Where an inner run finds PostgreSQL's programs.
const PROGRAMS: &str = "ODOO_HA_TEST_POSTGRES";

/// Those in which versions differ: what is asked of the database and of its programs, and every order once.
const SITUATIONS: [&str; 12] = [
    "conformance::",
    "access::over_the_network",
    "archive::what_the_cluster_keeps",
    "archive::an_upstream_that_ends",
    "barrier::any_k",
    "barrier::a_barrier_waits_for_a_checkpointer",
    "freezing::a_reader_that_blocks",
    "freezing::a_crashed_primary",
    "parameters::changed_parameters",
    "promotion::two_reigns",
    "rejoin::an_old_leader_with_more",
    "slots::a_member_whose_log_is_gone",
];

fn run_with(version: &str) {
    if std::env::var_os(PROGRAMS).is_some() {
        return;
    }
    let Some(tree) = find_tree(&format!("postgresql-{version}")) else {
        panic!("PostgreSQL {version} is not there: run .ci/setup (make setup)");
    };
    if let Ok(why) = std::fs::read_to_string(tree.join("cannot-run")) {
        println!(
            "SKIPPED: PostgreSQL {version} does not run on this system: {}",
            why.lines().next().unwrap_or_default()
        );
        return;
    }
    // PostgreSQL's user may not be allowed to where it was unpacked.
    let place = Place::new();
    let programs = place.path().join("postgresql");
    let copied = Command::new("cp").arg("-a").arg(&tree).arg(&programs).status().unwrap();
    assert!(copied.success());
    let output = Command::new(std::env::current_exe().unwrap())
        .args(SITUATIONS)
        .arg("--test-threads=2")
        .env(PROGRAMS, programs.join("bin"))
        .output()
        .unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "with PostgreSQL {version}:\n{said}");
    assert!(said.contains(&format!("{} passed", SITUATIONS.len())), "{said}");
}

#[test]
fn version_13() {
    run_with("13");
}

#[test]
fn version_17() {
    run_with("17");
}
