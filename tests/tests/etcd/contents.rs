//! What else may be in the store.

use std::collections::BTreeMap;
use std::time::Duration;

use etcd_client::{Txn, TxnOp};
use odoo_ha_core::error::ErrorKind;
use odoo_ha_core::roles::{Dcs, WatchEvent};
use odoo_ha_core::store::{Commit, Key};

use crate::support::{NEW, OLD, Plan, TIME, event, put, until_shown, value, write};

#[tokio::test(flavor = "multi_thread")]
async fn large_values_and_garbage_stand_in_nobodys_way() {
    for version in [OLD, NEW] {
        let etcd = Plan::new(version, 1).serving().await;
        let store = etcd.open();
        put(&store, "ours").await;
        let from = store.read(TIME).await.unwrap().revision;
        let mut watch = store.watch(from, TIME).await.unwrap();
        let mut admin = etcd.admin().await;
        let megabyte = vec![0xa5; 1024 * 1024];
        // Keys that are none of this library's: passed over, however many and large.
        for number in 0..12 {
            admin.put(format!("/odoo-ha/shop/not ours {number}"), megabyte.clone(), None).await.unwrap();
        }
        admin.put(b"/odoo-ha/shop/\xff\xfe".to_vec(), "bytes", None).await.unwrap();
        admin.put("/odoo-ha/shop/", "no name", None).await.unwrap();
        admin.put("/odoo-ha/shop//", "no name either", None).await.unwrap();
        admin.put("/odoo-ha/shop0/leader", "another", None).await.unwrap();
        let seen = store.read(TIME).await.unwrap();
        assert_eq!(seen.entries.keys().collect::<Vec<_>>(), [&Key::leader()]);
        // Values are handed on as they are: which record is broken is said by who reads it.
        admin.put("/odoo-ha/shop/sync", megabyte.clone(), None).await.unwrap();
        admin.put("/odoo-ha/shop/history", b"\x00\xffgarbage".to_vec(), None).await.unwrap();
        let seen = store.read(TIME).await.unwrap();
        assert_eq!(seen.entries[&Key::sync()].value, megabyte);
        assert_eq!(seen.entries[&Key::history()].value, b"\x00\xffgarbage");
        // The watch has shown these two and nothing of the others.
        let mut shown = Vec::new();
        while shown.len() < 2 {
            let WatchEvent::Changed { changes, .. } = event(&mut watch).await.unwrap() else { panic!("a gap") };
            shown.extend(changes.into_iter().map(|change| change.key));
        }
        assert_eq!(shown, [Key::sync(), Key::history()]);
        put(&store, "still ours").await;
        until_shown(&mut watch, "still ours").await;
        // More than etcd takes is refused, and that is certain.
        let before = value(&store).await;
        let error = store.commit(&write(vec![], vec![7; 3 * 1024 * 1024]), TIME).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{}", error.chain());
        assert!(error.chain().contains("--max-request-bytes"), "{}", error.chain());
        assert_eq!(value(&store).await, before);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_keys_elsewhere_cost_nothing() {
    let etcd = Plan::new(NEW, 1).serving().await;
    let store = etcd.open();
    put(&store, "ours").await;
    let mut admin = etcd.admin().await;
    for hundred in 0..100 {
        let puts = (0..100).map(|number| TxnOp::put(format!("/other/{hundred}/{number}"), "x".repeat(100), None));
        admin.txn(Txn::new().and_then(puts.collect::<Vec<_>>())).await.unwrap();
    }
    let begun = std::time::Instant::now();
    for _ in 0..20 {
        assert_eq!(store.read(TIME).await.unwrap().entries.len(), 1);
    }
    println!("a read beside 10,000 other keys took {:?}", begun.elapsed() / 20);
    let from = store.read(TIME).await.unwrap().revision;
    let mut watch = store.watch(from, TIME).await.unwrap();
    put(&store, "shown").await;
    until_shown(&mut watch, "shown").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_pages_of_a_read_are_of_one_moment() {
    const ROUNDS: u32 = 25;
    let etcd = Plan::new(OLD, 1).serving().await;
    let (writer, reader) = (etcd.open(), etcd.open());
    // Three pages, rewritten at once.
    let keys: Vec<_> = (0..120).map(|number| Key::parse(&format!("members/m{number:03}")).unwrap()).collect();
    let commit = |round: u32| {
        let writes: BTreeMap<_, _> = keys.iter().map(|key| (key.clone(), round.to_be_bytes().to_vec())).collect();
        Commit { guards: vec![], writes }
    };
    writer.commit(&commit(0), TIME).await.unwrap();
    let writing = tokio::spawn({
        let commits: Vec<_> = (1..=ROUNDS).map(commit).collect();
        async move {
            for commit in &commits {
                writer.commit(commit, TIME).await.unwrap();
            }
        }
    });
    loop {
        let seen = reader.read(TIME).await.unwrap();
        assert_eq!(seen.entries.len(), 120);
        let first = seen.entries[&keys[0]].value.clone();
        assert!(seen.entries.values().all(|entry| entry.value == first), "{:?}", seen.entries);
        if first == ROUNDS.to_be_bytes() {
            break;
        }
    }
    writing.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn compaction_between_two_reads_matters_to_none() {
    let etcd = Plan::new(NEW, 1).serving().await;
    let store = etcd.open();
    let mut admin = etcd.admin().await;
    for round in 0..10 {
        put(&store, &round.to_string()).await;
        let now = store.read(Duration::from_secs(5)).await.unwrap().revision;
        admin.compact(i64::try_from(now.0).unwrap(), None).await.unwrap();
    }
    assert_eq!(value(&store).await.unwrap(), b"9");
}
