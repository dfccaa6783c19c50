//! How much fits: values, operations, and what others keep beside.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use odoo_ha_core::error::ErrorKind;
use odoo_ha_core::roles::Dcs;
use odoo_ha_core::store::{Commit, Guard, Key};
use serde_json::json;

use crate::server::{Consul, ask};
use crate::{TIME, client, failure, leader, put, shown, write};

fn votes(count: usize) -> BTreeMap<Key, Vec<u8>> {
    (0..count).map(|number| (Key::parse(&format!("votes/m{number:03}")).unwrap(), b"v".to_vec())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_fit_is_refused_clearly_and_not_written() {
    let consul = Consul::single().await;
    let store = client(&consul.endpoints());
    put(&store, b"small").await;
    let kilobytes = |count: usize| vec![b'x'; count * 1000];
    let several = |count: usize, size: usize| Commit {
        guards: vec![],
        writes: votes(count).into_keys().map(|key| (key, kilobytes(size))).collect(),
    };
    let many = Commit { guards: votes(33).into_keys().map(Guard::Absent).collect(), writes: votes(33) };
    let cases = [
        ("1 MB", write(vec![], &kilobytes(1000)), "1000000 bytes"),
        ("a little more than a record", write(vec![], &kilobytes(263)), "263000 bytes"),
        ("several that are too much together", several(3, 200), "Consul takes at once"),
        ("66 operations", many, "66 guards and writes"),
    ];
    for (what, commit, words) in cases {
        let (kind, text) = failure(store.commit(&commit, TIME).await);
        assert_eq!(kind, ErrorKind::Unavailable, "{what}: {text}");
        assert!(text.contains(words) && text.contains("nothing was written"), "{what}: {text}");
    }
    assert_eq!(store.read(TIME).await.unwrap().entries.len(), 1);

    // What just fits, does.
    let full = Commit { guards: votes(32).into_keys().map(Guard::Absent).collect(), writes: votes(32) };
    store.commit(&full, TIME).await.unwrap();
    store.commit(&write(vec![], &kilobytes(262)), TIME).await.unwrap();
    assert_eq!(leader(&store).await.unwrap().value, kilobytes(262));
}

/// A server may be told to take less than this library allows itself.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_takes_less_says_so() {
    let consul = Consul::single_with(json!({"limits": {"txn_max_req_len": 1000, "kv_max_value_size": 1000}})).await;
    let store = client(&consul.endpoints());
    let (kind, text) = failure(store.commit(&write(vec![Guard::Absent(Key::leader())], &[b'x'; 2000]), TIME).await);
    assert_eq!(kind, ErrorKind::Unavailable, "{text}");
    assert!(text.contains("too large"), "{text}");
    assert!(store.read(TIME).await.unwrap().entries.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_keys_elsewhere_do_not_matter() {
    let consul = Consul::single().await;
    for batch in 0..157 {
        let keys = (0..64).map(|number| format!("other/{batch}/{number}")).chain([format!("odoo-ha/shop2/{batch}")]);
        let operations: Vec<_> =
            keys.take(64).map(|key| json!({"KV": {"Verb": "set", "Key": key, "Value": "bm9pc2U="}})).collect();
        let answer = ask(&consul.agents[0], "PUT", "/v1/txn", "", json!(operations).to_string()).await.unwrap();
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    let store = client(&consul.endpoints());
    let mut watch = store.watch(store.read(TIME).await.unwrap().revision, TIME).await.unwrap();
    put(&store, b"mine").await;
    shown(watch.as_mut(), b"mine").await;
    let began = Instant::now();
    for _ in 0..50 {
        assert_eq!(store.read(TIME).await.unwrap().entries.len(), 1);
    }
    println!("a read beside 10,048 other keys takes {:?}", began.elapsed() / 50);
    assert!(tokio::time::timeout(Duration::from_millis(200), watch.next()).await.is_err());
}
