//! What becomes of a watch when its member, its connection or its history goes.

use std::time::Duration;

use odoo_ha_backends::etcd::EtcdConfig;
use odoo_ha_core::error::ErrorKind;
use odoo_ha_core::roles::{Dcs, WatchEvent};
use odoo_ha_core::store::{Key, Revision};
use odoo_ha_tests::stores::{Mood, Proxy};

use crate::support::{NEW, OLD, Plan, TIME, cluster, event, put, until_shown};

#[tokio::test(flavor = "multi_thread")]
async fn a_compacted_beginning_is_a_gap_and_a_running_watch_goes_on() {
    for version in [OLD, NEW] {
        let etcd = Plan::new(version, 1).serving().await;
        let store = etcd.open();
        put(&store, "0").await;
        let from = store.read(TIME).await.unwrap().revision;
        let mut running = store.watch(from, TIME).await.unwrap();
        for round in 1..=20 {
            put(&store, &round.to_string()).await;
        }
        until_shown(&mut running, "20").await;
        let now = store.read(TIME).await.unwrap().revision;
        etcd.admin().await.compact(i64::try_from(now.0).unwrap(), None).await.unwrap();
        put(&store, "21").await;
        assert_eq!(until_shown(&mut running, "21").await, [b"21"]);
        let mut late = store.watch(from, TIME).await.unwrap();
        assert_eq!(event(&mut late).await.unwrap(), WatchEvent::Gap);
        assert_eq!(event(&mut late).await.unwrap_err().kind(), ErrorKind::Unavailable);
        // Where the compaction ends nothing is missing.
        let mut just = store.watch(now, TIME).await.unwrap();
        assert_eq!(until_shown(&mut just, "21").await, [b"21"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn compaction_while_a_watch_is_cut_is_a_gap() {
    for version in [OLD, NEW] {
        let etcd = Plan::new(version, 1).serving().await;
        let direct = etcd.open();
        put(&direct, "seen").await;
        let proxy = Proxy::start("127.0.0.1:0".parse().unwrap(), etcd.members[0].client);
        let url = format!("http://{}", proxy.address());
        let store = EtcdConfig::new(cluster("shop"), [url]).build().unwrap();
        let from = store.read(TIME).await.unwrap().revision;
        let mut watch = store.watch(from, TIME).await.unwrap();
        let mut admin = etcd.admin().await;
        proxy.set(Mood::Cut);
        put(&direct, "missed").await;
        put(&direct, "last").await;
        let now = direct.read(TIME).await.unwrap().revision;
        admin.compact(i64::try_from(now.0).unwrap(), None).await.unwrap();
        proxy.set(Mood::Open);
        assert_eq!(event(&mut watch).await.unwrap(), WatchEvent::Gap);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_has_not_come_so_far_is_a_gap() {
    let etcd = Plan::new(NEW, 1).serving().await;
    let store = etcd.open();
    put(&store, "1").await;
    for ahead in [store.read(TIME).await.unwrap().revision.0 + 1, u64::MAX] {
        let mut watch = store.watch(Revision(ahead), TIME).await.unwrap();
        assert_eq!(event(&mut watch).await.unwrap(), WatchEvent::Gap);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_goes_on_at_another_member_and_misses_nothing() {
    let etcd = Plan::new(NEW, 3).serving().await;
    let writer = etcd.open();
    put(&writer, "begin").await;
    let from = writer.read(TIME).await.unwrap().revision;
    // The first in the list is the member that the watch begins at: it dies, and the next one freezes.
    let config = etcd.config().silence(Duration::from_millis(300));
    let mut watch = config.build().unwrap().watch(from, TIME).await.unwrap();
    let mut written = Vec::new();
    let mut seen = Vec::new();
    for round in 0..6_u8 {
        match round {
            1 => etcd.members[0].process.kill(),
            3 => {
                etcd.members[0].process.restart();
                etcd.serves().await;
                etcd.members[1].process.freeze();
            }
            5 => etcd.members[1].process.thaw(),
            _ => {}
        }
        let text = round.to_string();
        put(&writer, &text).await;
        written.push(text.clone().into_bytes());
        seen.extend(until_shown(&mut watch, &text).await);
    }
    // A commit whose outcome was unknown was made once more, by the test.
    seen.dedup();
    assert_eq!(seen, written);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_is_dead_without_a_word_is_noticed() {
    for version in [OLD, NEW] {
        let etcd = Plan::new(version, 1).serving().await;
        let proxy = Proxy::start("127.0.0.1:0".parse().unwrap(), etcd.members[0].client);
        let url = format!("http://{}", proxy.address());
        let config = EtcdConfig::new(cluster("shop"), [url]).silence(Duration::from_millis(300));
        let store = config.clone().build().unwrap();
        put(&store, "begin").await;
        let from = store.read(TIME).await.unwrap().revision;
        let mut watch = store.watch(from, TIME).await.unwrap();
        // Silence alone is no death: signs of life come for several times as long.
        let quiet = tokio::time::timeout(Duration::from_millis(1_500), watch.next()).await;
        assert!(quiet.is_err(), "{quiet:?}");
        proxy.set(Mood::Stall);
        let begun = std::time::Instant::now();
        let end = event(&mut watch).await;
        println!("{version}: the dead connection was noticed after {:?}", begun.elapsed());
        assert_eq!(end.unwrap_err().kind(), ErrorKind::Unavailable);
        // With another way to the store it goes on.
        proxy.set(Mood::Open);
        let both = [format!("http://{}", proxy.address()), etcd.members[0].url()];
        let mut config = config;
        config.endpoints = both.into();
        let store = config.build().unwrap();
        let mut watch = store.watch(from, TIME).await.unwrap();
        proxy.set(Mood::Stall);
        put(&etcd.open(), "through the other").await;
        until_shown(&mut watch, "through the other").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_is_shown() {
    let etcd = Plan::new(OLD, 1).serving().await;
    let store = etcd.open();
    put(&store, "here").await;
    let from = store.read(TIME).await.unwrap().revision;
    let mut watch = store.watch(from, TIME).await.unwrap();
    etcd.admin().await.delete("/odoo-ha/shop/leader", None).await.unwrap();
    let WatchEvent::Changed { revision, changes } = event(&mut watch).await.unwrap() else { panic!("a gap") };
    assert_eq!((&changes[0].key, &changes[0].entry), (&Key::leader(), &None));
    assert!(revision > from);
    assert!(!store.read(TIME).await.unwrap().entries.contains_key(&Key::leader()));
}
