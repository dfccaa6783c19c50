//! Slots: log is kept for members that are away, within bounds, and what is gone is noticed.

use std::net::SocketAddr;

use odoo_ha_backends::postgres::PostgresConfig;
use odoo_ha_core::database::{Endpoint, FollowedBy};
use odoo_ha_core::error::ErrorKind;
use odoo_ha_core::roles::ReplicationManager;
use odoo_ha_tests::stores::{Mood, Proxy};
use tokio_postgres::Client;

use crate::support::{LONG, Place, bootstrap, eventually, followed_by, id, ids, kill, pair, rows, streaming, value};

/// Writes so many segments of 16 MiB, and lets PostgreSQL remove what it need not keep.
async fn write_segments(client: &Client, count: u32) {
    for _ in 0..count {
        let write = "select pg_logical_emit_message(false, 'x', repeat('x', 8000000)); select pg_switch_wal()";
        client.batch_execute(write).await.unwrap();
        client.batch_execute("checkpoint").await.unwrap();
    }
}

fn small(config: PostgresConfig) -> PostgresConfig {
    config.wal_keep_mb(0).parameter("min_wal_size", "32MB").parameter("max_wal_size", "32MB")
}

#[tokio::test]
async fn log_is_kept_for_a_member_that_is_away() {
    let place = Place::new();
    let (a, b) = (small(place.config("a")).build().unwrap(), place.member("b"));
    let begun = bootstrap(&a).await;
    b.follow(&place.order(begun.system_id, "a", 1, 1), LONG).await.unwrap();
    streaming(&a, "b").await;
    kill(&b).await;
    let client = place.client("a").await;
    write_segments(&client, 6).await;
    assert_eq!(
        value(&client, "select wal_status from pg_replication_slots where slot_name = 'odoo_ha_b'").await,
        "extended"
    );
    assert_eq!(followed_by(b.follow(&place.order(begun.system_id, "a", 1, 1), LONG).await), FollowedBy::Nothing);
    streaming(&a, "b").await;
}

#[tokio::test]
async fn a_member_whose_log_is_gone_is_noticed_and_cloned() {
    let place = Place::new();
    let a = small(place.config("a")).parameter("max_slot_wal_keep_size", "32MB").build().unwrap();
    let b = place.member("b");
    let begun = bootstrap(&a).await;
    let mut order = place.order(begun.system_id, "a", 1, 1);
    b.follow(&order, LONG).await.unwrap();
    streaming(&a, "b").await;
    kill(&b).await;
    let client = place.client("a").await;
    let slot = "select wal_status from pg_replication_slots where slot_name = 'odoo_ha_b'";
    write_segments(&client, 6).await;
    eventually("the slot is lost", || async { value(&client, slot).await == "lost" }).await;
    a.keep_slots(&ids(&["a", "b"]), LONG).await.unwrap();
    assert_eq!(value(&client, slot).await, "reserved", "made anew, so that what comes from now on is kept");
    write_segments(&client, 6).await;
    eventually("the slot is lost again", || async { value(&client, slot).await == "lost" }).await;

    // Started, it has no way to know yet; asked again, since nothing comes, it does.
    assert_eq!(followed_by(b.follow(&order, LONG).await), FollowedBy::Nothing);
    let error = b.follow(&order, LONG).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Diverged);
    assert!(error.to_string().contains("no longer there on a"), "{error}");
    assert_ne!(value(&client, slot).await, "lost", "its own slot is made anew by the member itself, too");
    let before = b.status(LONG).await.unwrap().data_id;
    order.may_discard = true;
    let followed = b.follow(&order, LONG).await.unwrap();
    assert_eq!(followed.by, FollowedBy::Clone);
    assert_ne!(Some(followed.data_id), before);
    streaming(&a, "b").await;
    assert_eq!(followed_by(b.follow(&order, LONG).await), FollowedBy::Nothing, "one that streams is left alone");
}

#[tokio::test]
async fn slots_of_members_that_left_go_away_and_others_stay() {
    let place = Place::new();
    let (a, b, _) = pair(&place).await;
    let client = place.client("a").await;
    let names = async || rows(&client, "select slot_name from pg_replication_slots order by 1").await;
    client.batch_execute("select pg_create_physical_replication_slot('backup')").await.unwrap();
    a.keep_slots(&ids(&["a", "b", "c"]), LONG).await.unwrap();
    assert_eq!(names().await, ["backup", "odoo_ha_b", "odoo_ha_c"]);
    a.keep_slots(&ids(&["a"]), LONG).await.unwrap();
    assert_eq!(names().await, ["backup", "odoo_ha_b"], "who still streams is not cut off");
    kill(&b).await;
    eventually("the slot is free", || async {
        names().await.len() == 2 && a.status(LONG).await.unwrap().standbys.is_empty()
    })
    .await;
    a.keep_slots(&ids(&["a"]), LONG).await.unwrap();
    assert_eq!(names().await, ["backup"]);
}

#[tokio::test]
async fn slots_on_a_standby_follow_its_replay() {
    let place = Place::new();
    let a = place.member("a");
    let b = small(place.config("b")).build().unwrap();
    let begun = bootstrap(&a).await;
    let mut order = place.order(begun.system_id, "a", 1, 1);
    order.members = ids(&["a", "c"]);
    b.follow(&order, LONG).await.unwrap();
    streaming(&a, "b").await;
    let kept = "select pg_wal_lsn_diff(pg_last_wal_replay_lsn(), restart_lsn)::bigint from pg_replication_slots \
                where slot_name = 'odoo_ha_c'";
    let on_b = place.client("b").await;
    write_segments(&place.client("a").await, 3).await;
    streaming(&a, "b").await;
    eventually("b has replayed it", || async { value(&on_b, kept).await.parse::<u64>().unwrap() > 40_000_000 }).await;
    b.keep_slots(&ids(&["a", "c"]), LONG).await.unwrap();
    assert!(value(&on_b, kept).await.parse::<u64>().unwrap() < 20_000_000);
}

#[tokio::test]
async fn a_sender_to_a_lost_connection_does_not_keep_its_member_away() {
    let place = Place::new();
    // Nobody else would notice in the time of this test.
    let a = place.config("a").parameter("wal_sender_timeout", "1h").build().unwrap();
    let b = place.member("b");
    let begun = bootstrap(&a).await;
    let proxy =
        Proxy::start(SocketAddr::from(([127, 0, 0, 1], 0)), SocketAddr::from(([127, 0, 0, 1], place.port("a"))));
    let mut through = place.order(begun.system_id, "a", 1, 1);
    through.upstream.endpoint = Endpoint { host: "127.0.0.1".into(), port: proxy.address().port() };
    b.follow(&through, LONG).await.unwrap();
    streaming(&a, "b").await;
    // As if its machine had lost power: the leader is told nothing.
    proxy.set(Mood::Stall);
    kill(&b).await;
    let client = place.client("a").await;
    let holder = "select active_pid from pg_replication_slots where slot_name = 'odoo_ha_b'";
    let old = value(&client, holder).await;
    assert!(!old.is_empty());
    let clock = std::time::Instant::now();
    b.follow(&place.order(begun.system_id, "a", 1, 1), LONG).await.unwrap();
    eventually("b streams", || async {
        a.status(LONG).await.unwrap().standbys.get(&id("b")).is_some_and(|standby| standby.streaming)
    })
    .await;
    println!("back on a slot that a dead connection held: {} ms", clock.elapsed().as_millis());
    assert_ne!(value(&client, holder).await, old);
}

#[tokio::test]
async fn a_standby_reattaches_to_an_upstream_that_was_restarted() {
    let place = Place::new();
    let (a, b, _) = pair(&place).await;
    let on_b = place.client("b").await;
    for (setting, expected) in [
        ("wal_retrieve_retry_interval", "100ms"),
        ("wal_receiver_timeout", "10s"),
        ("wal_receiver_status_interval", "1s"),
    ] {
        assert_eq!(value(&on_b, &format!("show {setting}")).await, expected, "{setting}");
    }
    let conninfo = value(&on_b, "select conninfo from pg_stat_wal_receiver").await;
    for part in [
        "connect_timeout=3",
        "keepalives_idle=5",
        "keepalives_interval=2",
        "keepalives_count=3",
        "tcp_user_timeout=5000",
    ] {
        assert!(conninfo.contains(part), "{part} is not in force: {conninfo}");
    }
    kill(&a).await;
    let order = odoo_ha_core::database::StartPrimaryOrder {
        term: odoo_ha_core::term::Term(1),
        synchronous: odoo_ha_core::database::SynchronousStandbys::Nobody,
        members: ids(&["a", "b"]),
    };
    a.start_primary(&order, LONG).await.unwrap();
    let clock = std::time::Instant::now();
    streaming(&a, "b").await;
    println!("streaming again after a restart of the upstream: {} ms", clock.elapsed().as_millis());
    assert_eq!(b.status(LONG).await.unwrap().upstream, Some(id("a")));
}
