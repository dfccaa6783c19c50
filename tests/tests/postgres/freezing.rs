//! A frozen database receives nothing and has replayed all it has.

use std::time::Instant;

use odoo_ha_core::database::{DatabaseState, StopMode};
use odoo_ha_core::lsn::Timeline;
use odoo_ha_core::roles::ReplicationManager;
use rustix::process::Signal;

use crate::support::{LONG, Place, all_of, eventually, id, pair, rows, signal, streaming, value};

#[tokio::test]
async fn a_freeze_is_quick_and_holds() {
    let place = Place::new();
    let (a, b, begun) = pair(&place).await;
    a.keep_slots(&crate::support::ids(&["b"]), LONG).await.unwrap();
    for round in 0..3 {
        let end = a.status(LONG).await.unwrap().lsn;
        let clock = Instant::now();
        let frozen = b.freeze(LONG).await.unwrap();
        println!("freeze of an idle standby: {} ms", clock.elapsed().as_millis());
        assert!(frozen.lsn >= end && frozen.timeline == Timeline(1));
        let status = b.status(LONG).await.unwrap();
        assert_eq!((status.state, status.upstream, status.streaming), (DatabaseState::Standby, None, false));
        let clock = Instant::now();
        b.freeze(LONG).await.unwrap();
        println!("freeze of a frozen one: {} ms", clock.elapsed().as_millis());
        if round == 1 {
            b.stop(StopMode::Fast, LONG).await.unwrap();
            let clock = Instant::now();
            assert!(b.freeze(LONG).await.unwrap().lsn >= end);
            println!("freeze of a stopped standby: {} ms", clock.elapsed().as_millis());
            assert_eq!(b.status(LONG).await.unwrap().upstream, None);
        }
        let clock = Instant::now();
        b.follow(&place.order(begun.system_id, "a", 1, 1), LONG).await.unwrap();
        streaming(&a, "b").await;
        println!("thaw until streaming: {} ms", clock.elapsed().as_millis());
    }
}

#[tokio::test]
async fn a_reader_that_blocks_replay_does_not_keep_the_receiver_alive() {
    let place = Place::new();
    let (a, b, _) = pair(&place).await;
    let writer = place.client("a").await;
    writer.batch_execute("create table t (n int); insert into t values (1)").await.unwrap();
    let on_b = place.client("b").await;
    streaming(&a, "b").await;
    eventually("b has the table", || async {
        !rows(&on_b, "select 1 from pg_class where relname = 't'").await.is_empty()
    })
    .await;
    let reader = place.client("b").await;
    reader.batch_execute("begin isolation level repeatable read; select * from t").await.unwrap();
    a.set_synchronous(&all_of(1, &["b"]), LONG).await.unwrap();
    // Replay has to wait for the reader's lock; the receiver goes on.
    writer.batch_execute("alter table t add m int").await.unwrap();
    eventually("replay is blocked", || async {
        value(&on_b, "select wait_event_type from pg_stat_activity where backend_type = 'startup'").await == "Lock"
    })
    .await;
    writer.batch_execute("insert into t values (2)").await.unwrap();

    let clock = Instant::now();
    let frozen = b.freeze(LONG).await.unwrap();
    println!("freeze with replay blocked by a reader: {} ms", clock.elapsed().as_millis());
    assert!(reader.simple_query("select 1").await.is_err(), "the reader had to go");
    let end: odoo_ha_core::lsn::Lsn = value(&writer, "select pg_current_wal_flush_lsn()").await.parse().unwrap();
    assert!(frozen.lsn >= end);
    // Nothing is acknowledged through it any more.
    let waiting = writer.simple_query("insert into t values (3)");
    assert!(tokio::time::timeout(std::time::Duration::from_millis(700), waiting).await.is_err());
    assert_eq!(b.freeze(LONG).await.unwrap().lsn, frozen.lsn);
}

#[tokio::test]
async fn a_receiver_that_hangs_is_ended() {
    let place = Place::new();
    let (_a, b, _) = pair(&place).await;
    let client = place.client("b").await;
    let pid: i32 =
        value(&client, "select pid from pg_stat_activity where backend_type = 'walreceiver'").await.parse().unwrap();
    signal(pid, Signal::STOP);
    let clock = Instant::now();
    b.freeze(std::time::Duration::from_secs(10)).await.unwrap();
    println!("freeze with a hung receiver (10 s given): {} ms", clock.elapsed().as_millis());
    assert!(
        !std::path::Path::new(&format!("/proc/{pid}/stat")).exists()
            || std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap().contains(") Z ")
    );
}

#[tokio::test]
async fn a_crashed_primary_is_frozen_with_all_it_had() {
    let place = Place::new();
    let (a, _b, _) = pair(&place).await;
    let client = place.client("a").await;
    client.batch_execute("create table t as select generate_series(1, 1000) n").await.unwrap();
    let end: odoo_ha_core::lsn::Lsn = value(&client, "select pg_current_wal_flush_lsn()").await.parse().unwrap();
    crate::support::kill(&a).await;
    assert_eq!(a.status(LONG).await.unwrap().state, DatabaseState::Crashed);
    let clock = Instant::now();
    let frozen = a.freeze(LONG).await.unwrap();
    println!("freeze of a crashed primary: {} ms", clock.elapsed().as_millis());
    assert!(frozen.lsn >= end && frozen.timeline == Timeline(1));
    let status = a.status(LONG).await.unwrap();
    assert_eq!((status.state, status.upstream), (DatabaseState::Standby, None));
    assert!(status.standbys.get(&id("b")).is_none_or(|b| !b.synchronous));
}

#[tokio::test]
async fn half_a_record_does_not_keep_a_freeze_from_ending() {
    let place = Place::new();
    let (a, b, _) = pair(&place).await;
    let writer = place.client("a").await;
    writer.batch_execute("create table t (n text)").await.unwrap();
    let load = tokio::spawn(async move {
        writer.batch_execute("insert into t select repeat('x', 500) from generate_series(1, 3000000)").await
    });
    eventually("the load runs", || async { b.status(LONG).await.unwrap().replayed.0 > 0x800_0000 }).await;
    crate::support::kill(&a).await;
    let _cut = load.await;
    let clock = Instant::now();
    let frozen = b.freeze(LONG).await.unwrap();
    println!("freeze under load, upstream killed: {} ms", clock.elapsed().as_millis());
    let status = b.status(LONG).await.unwrap();
    println!("received {} replayed {}", status.lsn, status.replayed);
    assert_eq!(frozen.lsn, status.replayed);
}

#[tokio::test]
async fn a_record_that_goes_on_in_a_segment_that_never_came_ends_the_log_at_once() {
    let place = Place::new();
    let (a, b, _) = pair(&place).await;
    let writer = place.client("a").await;
    // The receiver is told to go when the first segment of a long record is there: the standby has the beginning of it only.
    let load = tokio::spawn(async move {
        writer.batch_execute("select pg_logical_emit_message(false, 'x', repeat('x', 200000000))").await
    });
    eventually("the record has begun", || async {
        let status = b.status(LONG).await.unwrap();
        status.lsn.0 > status.replayed.0 + 20_000_000
    })
    .await;
    kill_now(&a);
    let _cut = load.await;
    let clock = Instant::now();
    let frozen = b.freeze(LONG).await.unwrap();
    println!("freeze with a torn record over segments: {} ms", clock.elapsed().as_millis());
    assert_eq!(frozen.lsn, b.status(LONG).await.unwrap().replayed);
    assert!(clock.elapsed() < std::time::Duration::from_secs(3));
}

fn kill_now(member: &odoo_ha_backends::postgres::PostgresReplication) {
    signal(member.postmaster_pid().unwrap(), Signal::KILL);
}

/// A hot standby cannot serve serializable transactions: the agent's own must not become such by a default.
#[tokio::test]
async fn a_standby_answers_and_freezes_where_transactions_are_serializable() {
    let place = Place::new();
    let [a, b] = ["a", "b"]
        .map(|name| place.config(name).parameter("default_transaction_isolation", "serializable").build().unwrap());
    let begun = crate::support::bootstrap(&a).await;
    b.follow(&place.order(begun.system_id, "a", 1, 1), LONG).await.unwrap();
    crate::support::streaming(&a, "b").await;
    assert_eq!(b.status(LONG).await.unwrap().state, odoo_ha_core::database::DatabaseState::Standby);
    b.freeze(LONG).await.unwrap();
}

/// An upstream whose kernel takes everything, and whose processes answer nothing: following it fails in seconds, not after the hours that a copy may
/// take; and dropped half-way it leaves nothing that undoes the freeze that took its place.
#[tokio::test]
async fn a_follow_that_hangs_on_its_upstream_gives_way() {
    let place = Place::new();
    let (_a, b, begun) = pair(&place).await;
    let mute = tokio::net::TcpListener::bind(("127.0.0.1", place.port("mute"))).await.unwrap();
    let order = place.order(begun.system_id, "mute", 2, 2);
    tokio::select! {
        result = b.follow(&order, LONG) => panic!("it followed nobody: {result:?}"),
        connected = mute.accept() => drop(connected.unwrap()),
    }
    let frozen = b.freeze(LONG).await.unwrap();
    let on_b = place.client("b").await;
    assert_eq!(value(&on_b, "select current_setting('primary_conninfo')").await, "");
    let held = tokio::spawn(async move {
        let mut connections = Vec::new();
        while let Ok(connection) = mute.accept().await {
            connections.push(connection);
        }
    });
    let error = b.follow(&order, LONG).await.unwrap_err();
    assert_eq!(error.kind(), odoo_ha_core::error::ErrorKind::Unavailable, "{}", error.chain());
    assert!(error.to_string().contains("opened no session"), "{}", error.chain());
    held.abort();
    assert_eq!(b.freeze(LONG).await.unwrap().lsn, frozen.lsn);
}
