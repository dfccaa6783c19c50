//! Watches through leader changes, restored and emptied stores, and deletions.

use std::time::{Duration, Instant};

use odoo_ha_core::error::ErrorKind;
use odoo_ha_core::roles::{Dcs, WatchEvent};
use odoo_ha_core::store::{Change, Commit, Key};
use odoo_ha_tests::stores::{Mood, Proxy, eventually};

use crate::server::{Consul, ask};
use crate::{TIME, client, next, put, shown, write};

async fn delete(consul: &Consul, key: &str) {
    let path = format!("/v1/kv/odoo-ha/shop/{key}");
    let answer = ask(&consul.agents[0], "DELETE", &path, "", String::new()).await.unwrap();
    assert_eq!(answer.status, 200, "{answer:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_survives_a_change_of_the_leader() {
    let consul = Consul::three().await;
    let victim = consul.elected(0).await;
    // It waits at the very server that goes.
    let mut endpoints = consul.endpoints();
    endpoints.rotate_left(victim);
    let watcher = client(&endpoints);
    let writer = client(&endpoints);
    put(&writer, b"0").await;
    let mut watch = watcher.watch(watcher.read(TIME).await.unwrap().revision, TIME).await.unwrap();
    put(&writer, b"1").await;
    shown(watch.as_mut(), b"1").await;
    consul.agents[victim].process.kill();
    let writing = eventually("a commit works again", TIME, async || {
        writer.commit(&write(vec![], b"2"), Duration::from_secs(2)).await.ok()
    });
    tokio::join!(writing, shown(watch.as_mut(), b"2"));
    consul.agents[victim].process.restart();
    put(&writer, b"3").await;
    shown(watch.as_mut(), b"3").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_leaves_a_frozen_endpoint() {
    let consul = Consul::three().await;
    let leads = consul.elected(0).await;
    // Not the leader: nothing but this watch notices.
    let frozen = consul.another(leads);
    let mut endpoints = consul.endpoints();
    endpoints.rotate_left(frozen);
    let watcher = client(&endpoints);
    let writer = client(&[consul.agents[leads].endpoint()]);
    put(&writer, b"0").await;
    let mut watch = watcher.watch(watcher.read(TIME).await.unwrap().revision, TIME).await.unwrap();
    put(&writer, b"1").await;
    shown(watch.as_mut(), b"1").await;
    consul.agents[frozen].process.freeze();
    put(&writer, b"2").await;
    let began = Instant::now();
    shown(watch.as_mut(), b"2").await;
    println!("shown {:?} after the endpoint was frozen", began.elapsed());
    // The wait of 2 s, what Consul adds to it, and a try.
    assert!(began.elapsed() < Duration::from_secs(6), "{:?}", began.elapsed());
    consul.agents[frozen].process.thaw();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restored_store_is_a_gap() {
    let consul = Consul::single().await;
    let store = client(&consul.endpoints());
    let backup = consul.path().join("backup.snap");
    put(&store, b"old").await;
    consul.run(&["snapshot", "save", backup.to_str().unwrap()]);
    let old = store.read(TIME).await.unwrap();
    for round in 0..5_u8 {
        put(&store, &[round]).await;
    }
    let from = store.read(TIME).await.unwrap().revision;
    let mut watch = store.watch(from, TIME).await.unwrap();
    consul.run(&["snapshot", "restore", backup.to_str().unwrap()]);
    assert_eq!(next(watch.as_mut()).await.unwrap(), WatchEvent::Gap);
    let over = next(watch.as_mut()).await.unwrap_err();
    assert_eq!(over.kind(), ErrorKind::Unavailable);

    let now = store.read(TIME).await.unwrap();
    assert_eq!(now.entries, old.entries);
    assert!(now.revision < from, "{:?} {from:?}", now.revision);
    // Begun too late to see it happen, with a revision that is no more.
    let mut late = store.watch(from, TIME).await.unwrap();
    assert_eq!(next(late.as_mut()).await.unwrap(), WatchEvent::Gap);
    // What is written now has versions that nobody has had.
    let mut again = store.watch(now.revision, TIME).await.unwrap();
    assert!(put(&store, b"new").await.0 > from.0 >> 16);
    shown(again.as_mut(), b"new").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wiped_store_is_a_gap() {
    let consul = Consul::single().await;
    let store = client(&consul.endpoints());
    for round in 0..40_u8 {
        put(&store, &[round]).await;
    }
    let mut watch = store.watch(store.read(TIME).await.unwrap().revision, TIME).await.unwrap();
    consul.agents[0].process.kill();
    std::fs::remove_dir_all(consul.path().join("server1")).unwrap();
    consul.agents[0].process.restart();
    // It is noticed while it waits, whether the new one is up soon or late.
    match next(watch.as_mut()).await {
        Ok(event) => assert_eq!(event, WatchEvent::Gap),
        Err(error) => assert_eq!(error.kind(), ErrorKind::Unavailable, "{}", error.chain()),
    }
    consul.ready().await;
    assert!(store.read(TIME).await.unwrap().entries.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_by_others_is_told() {
    let consul = Consul::single().await;
    let store = client(&consul.endpoints());
    let keys = [Key::leader(), Key::sync(), Key::request()];
    let all = Commit { guards: vec![], writes: keys.map(|key| (key, b"x".to_vec())).into() };
    store.commit(&all, TIME).await.unwrap();
    let from = store.read(TIME).await.unwrap().revision;
    let mut watch = store.watch(from, TIME).await.unwrap();
    delete(&consul, "sync").await;
    let event = next(watch.as_mut()).await.unwrap();
    let WatchEvent::Changed { changes, revision } = event else { panic!("{event:?}") };
    assert_eq!(changes, [Change { key: Key::sync(), entry: None }]);
    assert!(revision > from);

    // Before the watch began, and hidden behind a later write.
    put(&store, b"later").await;
    let mut late = store.watch(from, TIME).await.unwrap();
    assert_eq!(next(late.as_mut()).await.unwrap(), WatchEvent::Gap);
    // From where the first one was, nothing is missing.
    let mut on = store.watch(revision, TIME).await.unwrap();
    shown(on.as_mut(), b"later").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn neighbours_do_not_wake_a_cluster_without_keys() {
    let consul = Consul::single().await;
    let (store, busy) = (client(&consul.endpoints()), client(&consul.endpoints()));
    let empty = odoo_ha_backends::consul::ConsulConfig::new(
        consul.endpoints(),
        odoo_ha_core::member::ClusterId::new("empty").unwrap(),
    );
    let empty = empty.build().unwrap();
    let mut watch = empty.watch(empty.read(TIME).await.unwrap().revision, TIME).await.unwrap();
    for round in 0..100_u8 {
        put(&busy, &[round]).await;
    }
    let quiet = tokio::time::timeout(Duration::from_millis(300), watch.next()).await;
    assert!(quiet.is_err(), "{quiet:?}");
    put(&empty, b"first").await;
    shown(watch.as_mut(), b"first").await;
    drop(store);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_of_a_store_that_is_gone_ends() {
    let consul = Consul::single().await;
    let proxy = Proxy::start(([127, 0, 0, 1], 0).into(), consul.agents[0].http);
    let store = client(&[format!("http://{}", proxy.address())]);
    put(&store, b"x").await;
    let mut watch = store.watch(store.read(TIME).await.unwrap().revision, TIME).await.unwrap();
    proxy.set(Mood::Stall);
    let began = Instant::now();
    let error = next(watch.as_mut()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{}", error.chain());
    println!("ended after {:?}: {}", began.elapsed(), error.chain());
    // Ten seconds and the wait that was under way.
    assert!(began.elapsed() < Duration::from_secs(16), "{:?}", began.elapsed());
}
