//! Real failovers: the quickstart with every fault once, in every mode, held to safety alone. How long something took is the
//! demo's own matter: on a busy machine a time limit says nothing.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

mod demo;
mod store;
mod table;

use std::sync::{Mutex, PoisonError};

use demo::Demo;
use store::Store;
use table::Row;

/// Every fault of the quickstart, in its order, and whether an asynchronous cluster may lose by it what was in flight.
const FAULTS: [(&str, bool); 5] = [
    ("database killed", false),
    ("node and database killed", true),
    ("agent frozen", false),
    ("switchover", false),
    ("switch back", false),
];

/// One cluster at a time: three of them slow each other down until suspicions are their own doing.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

fn every_fault_once(mode: &str, dcs: &str) {
    if !demo::has_postgresql() {
        println!("SKIPPED: no PostgreSQL (make setup installs it)");
        return;
    }
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let demo = Demo::start(mode, dcs);
    let said = demo.finish();
    println!("{said}");
    let rows = table::rows(&said);
    let faults: Vec<&str> = rows.iter().map(|row| row.fault.as_str()).collect();
    assert_eq!(faults, FAULTS.map(|(fault, _)| fault), "a fault was left out:\n{said}");
    for (Row { fault, acknowledged, lost, two_writers, rejoin, .. }, (_, may_lose)) in rows.iter().zip(FAULTS) {
        assert!(*acknowledged > 0, "{fault}: nobody was served");
        assert!(*lost == 0 || (may_lose && mode == "async"), "{fault}: {lost} acknowledged writes are lost");
        assert_eq!(two_writers, "never", "{fault}: two databases took writes at once");
        assert_ne!(rejoin, "never", "{fault}: the cluster was not whole again");
    }
    for missed in table::missed(&said) {
        println!("a time limit on a busy machine: {missed}");
        let is_of_time = missed.contains(": gap of ") || missed.contains(": streams again after ");
        assert!(is_of_time, "{missed}");
    }
    assert!(said.contains("both nodes left in good order"), "{said}");
}

#[test]
fn synchronous_loses_nothing_and_never_has_two_writers() {
    every_fault_once("sync", "sqlite");
}

#[test]
fn strict_loses_nothing_and_never_has_two_writers() {
    every_fault_once("strict", "sqlite");
}

#[test]
fn asynchronous_never_has_two_writers() {
    every_fault_once("async", "sqlite");
}

#[test]
fn by_etcd_it_is_the_same() {
    every_fault_once("sync", &Store::etcd().url);
}

#[test]
fn by_consul_it_is_the_same() {
    every_fault_once("sync", &Store::consul().url);
}

#[test]
fn a_store_that_does_not_answer_is_told_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_failover_demo"))
        .args(["--dcs", "etcd://127.0.0.1:1", "--report"])
        .arg(directory.path().join("report.html"))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("etcd at 127.0.0.1:1 is no use") && said.contains("Is it running"), "{said}");
}
