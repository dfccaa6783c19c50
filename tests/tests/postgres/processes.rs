//! Processes: their end is seen at once, a hung one is told from a slow one, and the agent may come and go.

use std::time::{Duration, Instant};

use odoo_ha_core::database::DatabaseState;
use odoo_ha_core::roles::ReplicationManager;
use rustix::process::Signal;

use crate::support::{LONG, Place, bootstrap, eventually, signal};

#[tokio::test]
async fn a_killed_postmaster_is_known_at_once() {
    let place = Place::new();
    let a = place.member("a");
    a.exited().await;
    bootstrap(&a).await;
    let pid = a.postmaster_pid().unwrap();
    assert!(tokio::time::timeout(Duration::from_millis(100), a.exited()).await.is_err(), "it lives");
    let clock = Instant::now();
    signal(pid, Signal::KILL);
    tokio::time::timeout(Duration::from_millis(100), a.exited()).await.unwrap();
    println!("exit known after {} us", clock.elapsed().as_micros());
    assert_eq!(a.status(LONG).await.unwrap().state, DatabaseState::Crashed);
    eventually("it is no zombie", || async { !std::path::Path::new(&format!("/proc/{pid}")).exists() }).await;

    // What it left behind does not keep the next one from starting.
    assert!(a.freeze(LONG).await.is_ok());
    let adopted = {
        drop(a);
        place.member("a")
    };
    let pid = adopted.postmaster_pid().unwrap();
    signal(pid, Signal::KILL);
    tokio::time::timeout(Duration::from_millis(100), adopted.exited()).await.unwrap();
}

#[tokio::test]
async fn a_stopped_postmaster_is_unresponsive() {
    let place = Place::new();
    let a = place.member("a");
    let begun = bootstrap(&a).await;
    let pid = a.postmaster_pid().unwrap();
    signal(pid, Signal::STOP);
    let clock = Instant::now();
    let status = a.status(Duration::from_millis(500)).await.unwrap();
    assert!(clock.elapsed() < Duration::from_millis(600));
    assert_eq!((status.state, status.data_id), (DatabaseState::Unresponsive, Some(begun.data_id)));
    signal(pid, Signal::CONT);
    assert_eq!(a.status(LONG).await.unwrap().state, DatabaseState::Primary);
}
