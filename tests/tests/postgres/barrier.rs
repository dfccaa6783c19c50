//! Changing who must acknowledge a commit.

use std::pin::pin;
use std::time::{Duration, Instant};

use odoo_ha_core::database::{SynchronousOrder, SynchronousStandbys};
use odoo_ha_core::error::ErrorKind;
use odoo_ha_core::roles::ReplicationManager;
use odoo_ha_core::term::Term;
use rustix::process::Signal;

use crate::support::{LONG, Place, all_of, eventually, id, ids, kill, pair, signal, streaming, value};

#[tokio::test]
async fn after_the_barrier_a_commit_waits_for_the_named() {
    let place = Place::new();
    let (a, b, _) = pair(&place).await;
    let writer = place.client("a").await;
    writer.batch_execute("create table t (n int)").await.unwrap();
    let clock = Instant::now();
    a.set_synchronous(&all_of(1, &["b"]), LONG).await.unwrap();
    println!("barrier from nobody to one: {} ms", clock.elapsed().as_millis());
    let status = a.status(LONG).await.unwrap();
    assert!(status.standbys.get(&id("b")).is_some_and(|b| b.synchronous && b.streaming));
    assert_eq!(value(&writer, "show synchronous_standby_names").await, "FIRST 1 (\"b\")");
    writer.batch_execute("insert into t values (1)").await.unwrap();
    assert!(b.status(LONG).await.unwrap().lsn >= a.status(LONG).await.unwrap().lsn);

    kill(&b).await;
    let waiting = tokio::spawn(async move { writer.batch_execute("insert into t values (2)").await });
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(!waiting.is_finished(), "nobody acknowledges");
    let nobody = SynchronousOrder { term: Term(1), standbys: SynchronousStandbys::Nobody, barrier: false };
    a.set_synchronous(&nobody, LONG).await.unwrap();
    waiting.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_barrier_is_not_reached_without_the_named() {
    let place = Place::new();
    let (a, _b, _) = pair(&place).await;
    let error = a.set_synchronous(&all_of(1, &["b", "c"]), Duration::from_secs(1)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotReady);
    assert_eq!(
        a.status(LONG).await.unwrap().synchronous,
        Some(SynchronousStandbys::all_of(ids(&["b", "c"]))),
        "it stays set"
    );
    assert_eq!(a.set_synchronous(&all_of(0, &["b"]), LONG).await.unwrap_err().kind(), ErrorKind::Fenced);
}

/// However long that takes: no limit of the database's own (17 and later have one for transactions) cuts it short.
#[tokio::test]
async fn a_barrier_waits_for_a_checkpointer_that_stands_still() {
    let place = Place::new();
    let (a, _b, _) = pair(&place).await;
    let client = place.client("a").await;
    if a.major_version() >= 17 {
        client.batch_execute("alter system set transaction_timeout = '300ms'").await.unwrap();
        client.batch_execute("select pg_reload_conf()").await.unwrap();
        let is_so = || async { value(&place.client("a").await, "show transaction_timeout").await == "300ms" };
        eventually("it is in force", is_so).await;
    }
    let checkpointer = "select pid from pg_stat_activity where backend_type = 'checkpointer'";
    let pid: i32 = value(&client, checkpointer).await.parse().unwrap();
    signal(pid, Signal::STOP);
    let order = all_of(1, &["b"]);
    let mut barrier = pin!(a.set_synchronous(&order, LONG));
    let answered = tokio::time::timeout(Duration::from_secs(1), barrier.as_mut()).await;
    signal(pid, Signal::CONT);
    assert!(answered.is_err(), "{answered:?}");
    barrier.await.unwrap();
}

#[tokio::test]
async fn a_barrier_waits_for_a_busy_wal_sender() {
    let place = Place::new();
    let (a, b, begun) = pair(&place).await;
    let c = place.member("c");
    c.follow(&place.order(begun.system_id, "a", 1, 1), LONG).await.unwrap();
    streaming(&a, "c").await;
    a.set_synchronous(&quorum(1, &["b", "c"]), LONG).await.unwrap();
    let clock = Instant::now();
    a.set_synchronous(&quorum(2, &["b", "c"]), LONG).await.unwrap();
    println!("barrier from ANY 1 to ANY 2: {} ms", clock.elapsed().as_millis());
    let clock = Instant::now();
    a.set_synchronous(&all_of(1, &["b", "c"]), LONG).await.unwrap();
    println!("barrier from ANY 2 to all: {} ms", clock.elapsed().as_millis());
    a.set_synchronous(&all_of(1, &["c"]), LONG).await.unwrap();

    // The sender to b sleeps: whether it has taken the new value cannot be known.
    let client = place.client("a").await;
    let pid: i32 =
        value(&client, "select pid from pg_stat_replication where application_name = 'b'").await.parse().unwrap();
    signal(pid, Signal::STOP);
    let error = a.set_synchronous(&all_of(1, &["b", "c"]), Duration::from_secs(1)).await.unwrap_err();
    assert!(error.to_string().contains("WAL sender"), "{error}");
    signal(pid, Signal::CONT);
    a.set_synchronous(&all_of(1, &["b", "c"]), LONG).await.unwrap();
    drop(b);
}

#[tokio::test]
async fn a_repeated_barrier_disturbs_nobody() {
    let place = Place::new();
    let (a, _b, _) = pair(&place).await;
    let client = place.client("a").await;
    let sender = async || value(&client, "select pid from pg_stat_replication where application_name = 'b'").await;
    a.set_synchronous(&all_of(1, &["b"]), LONG).await.unwrap();
    let before = sender().await;
    for _ in 0..3 {
        let clock = Instant::now();
        a.set_synchronous(&all_of(1, &["b"]), LONG).await.unwrap();
        println!("barrier repeated: {} ms", clock.elapsed().as_millis());
    }
    assert_eq!(sender().await, before);
    // Another agent knows of no proof: it makes the sender start anew.
    drop(a);
    place.member("a").set_synchronous(&all_of(1, &["b"]), LONG).await.unwrap();
    assert_ne!(sender().await, before);
}

fn quorum(k: u32, names: &[&str]) -> SynchronousOrder {
    let standbys = SynchronousStandbys::AnyOf { k, names: ids(names) };
    SynchronousOrder { term: Term(1), standbys, barrier: true }
}

#[tokio::test]
async fn any_k_waits_for_k_of_the_named_whoever_they_are() {
    let place = Place::new();
    let (a, b, begun) = pair(&place).await;
    let order = place.order(begun.system_id, "a", 1, 1);
    let (c, d) = (place.member("c"), place.member("d"));
    for (member, name) in [(&c, "c"), (&d, "d")] {
        member.follow(&order, LONG).await.unwrap();
        streaming(&a, name).await;
    }
    let writer = place.client("a").await;
    writer.batch_execute("create table t (n int)").await.unwrap();
    a.set_synchronous(&quorum(1, &["b", "c", "d"]), LONG).await.unwrap();
    assert_eq!(value(&writer, "show synchronous_standby_names").await, "ANY 1 (\"b\", \"c\", \"d\")");
    kill(&d).await;
    let clock = Instant::now();
    a.set_synchronous(&quorum(2, &["b", "c", "d"]), LONG).await.unwrap();
    println!("barrier from ANY 1 to ANY 2 of 3, one of them dead: {} ms", clock.elapsed().as_millis());
    let status = a.status(LONG).await.unwrap();
    assert_eq!(status.synchronous, Some(quorum(2, &["b", "c", "d"]).standbys));
    assert!(["b", "c"].iter().all(|name| status.standbys.get(&id(name)).is_some_and(|standby| standby.synchronous)));

    writer.batch_execute("insert into t values (1)").await.unwrap();
    let end = a.status(LONG).await.unwrap().lsn;
    assert!(b.status(LONG).await.unwrap().lsn >= end && c.status(LONG).await.unwrap().lsn >= end, "both have it");
    kill(&b).await;
    let waiting = tokio::spawn(async move { writer.batch_execute("insert into t values (2)").await });
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(!waiting.is_finished(), "one of two does not suffice");
    d.follow(&order, LONG).await.unwrap();
    waiting.await.unwrap().unwrap();

    let clock = Instant::now();
    let error = a.set_synchronous(&all_of(1, &["b", "c", "d"]), Duration::from_secs(1)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotReady, "all of them are needed, and b is away");
    assert!(clock.elapsed() < Duration::from_secs(10));
    b.follow(&order, LONG).await.unwrap();
    a.set_synchronous(&all_of(1, &["b", "c", "d"]), LONG).await.unwrap();
}

#[tokio::test]
async fn a_sender_that_never_saw_an_unfinished_change_is_not_taken_for_one_that_took_the_next() {
    let place = Place::new();
    let (a, _b, begun) = pair(&place).await;
    let c = place.member("c");
    c.follow(&place.order(begun.system_id, "a", 1, 1), LONG).await.unwrap();
    streaming(&a, "c").await;
    a.set_synchronous(&quorum(1, &["b", "c"]), LONG).await.unwrap();
    let client = place.client("a").await;
    let sender = "select pid from pg_stat_replication where application_name = 'c'";
    let pid: i32 = value(&client, sender).await.parse().unwrap();
    signal(pid, Signal::STOP);
    assert!(a.set_synchronous(&all_of(1, &["b", "c"]), Duration::from_secs(1)).await.is_err());
    // It still acknowledges by ANY 1, in which it has the priority that ANY 2 gives it, and FIRST 2 would not.
    let error = a.set_synchronous(&quorum(2, &["b", "c"]), Duration::from_secs(1)).await.unwrap_err();
    assert!(error.to_string().contains("WAL sender"), "{error}");
    signal(pid, Signal::CONT);
    a.set_synchronous(&quorum(2, &["b", "c"]), LONG).await.unwrap();
    assert_ne!(value(&client, sender).await, pid.to_string(), "it proved it by starting anew");
}

#[tokio::test]
async fn a_quorum_that_cannot_be_is_refused() {
    let place = Place::new();
    let a = place.member("a");
    crate::support::bootstrap(&a).await;
    for k in [0, 3] {
        let error = a.set_synchronous(&quorum(k, &["b", "c"]), LONG).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Malformed, "{error}");
    }
    assert_eq!(a.status(LONG).await.unwrap().synchronous, Some(SynchronousStandbys::Nobody));
}

#[tokio::test]
async fn a_member_counts_only_while_nobody_else_bears_its_name() {
    let place = Place::new();
    let (a, _b, _) = pair(&place).await;
    let counts = async || a.status(LONG).await.unwrap().standbys.get(&id("b")).is_some_and(|b| b.streaming);
    assert!(counts().await);
    // PostgreSQL takes both for the same synchronous standby: names are compared without regard to case.
    let dir = place.path().join("impostor");
    std::fs::create_dir(&dir).unwrap();
    let mut impostor = std::process::Command::new(crate::support::bin_dir().join("pg_receivewal"))
        .args(["--no-loop", "--directory"])
        .arg(&dir)
        .arg("--dbname")
        .arg(format!("host=127.0.0.1 port={} user=odoo_ha application_name=B", place.port("a")))
        .spawn()
        .unwrap();
    crate::support::eventually("two bear one name", || async { !counts().await }).await;
    assert!(a.set_synchronous(&all_of(1, &["b"]), Duration::from_secs(1)).await.is_err());
    impostor.kill().unwrap();
    impostor.wait().unwrap();
    crate::support::eventually("one bears it", &counts).await;
    a.set_synchronous(&all_of(1, &["b"]), LONG).await.unwrap();
}
