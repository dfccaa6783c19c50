//! The benchmarks of the stores run, on real ones. What they measure is judged nowhere.

#![expect(clippy::expect_used, reason = "a program that does not start is a failed test")]

use std::process::Command;

/// Runs a short measurement; its output.
fn run(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_bench_stores")).args(arguments).output().expect("the program starts");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    text
}

#[test]
fn leadership_moves_once() {
    let text = run(&["failover", "--rounds", "1", "--store", "etcd", "--case", "healthy"]);
    for what in ["asynchronous", "synchronous", "etcd's lease"] {
        assert!(text.lines().any(|line| line.starts_with(&format!("| {what} "))), "{what} is missing:\n{text}");
    }
}

#[test]
fn a_few_clusters_are_measured_beside_the_bare_client() {
    let text = run(&["many", "--clusters", "5", "--for", "1s"]);
    for what in ["5 clusters", "etcd's client alone, connections: 5"] {
        assert!(text.contains(&format!("| {what} ")), "{what} is missing:\n{text}");
    }
}
