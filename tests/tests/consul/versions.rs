//! Versions, where Consul's own are not what the role promises.

use odoo_ha_core::error::ErrorKind;
use odoo_ha_core::roles::Dcs;
use odoo_ha_core::store::{Guard, Key};
use serde_json::Value;

use crate::server::{Consul, ask, get};
use crate::{TIME, client, failure, leader, put, shown, write};

const PATH: &str = "/v1/kv/odoo-ha/shop/leader";

async fn index(consul: &Consul) -> u64 {
    get(&consul.agents[0], PATH).await.unwrap().json[0]["ModifyIndex"].as_u64().unwrap()
}

async fn raw(consul: &Consul, method: &str, value: &str) {
    let answer = ask(&consul.agents[0], method, PATH, "", value.to_owned()).await.unwrap();
    assert_eq!((answer.status, answer.json), (200, Value::Bool(true)));
}

/// An idle leader that rewrote its record as it is would be taken for dead. The library's rewrites always change bytes; this store
/// makes sure all the same, by a number in the key's flags.
#[tokio::test(flavor = "multi_thread")]
async fn equal_bytes_get_a_new_version_though_consul_keeps_its_own() {
    let consul = Consul::single().await;
    raw(&consul, "PUT", "same").await;
    let first = index(&consul).await;
    raw(&consul, "PUT", "same").await;
    assert_eq!(index(&consul).await, first, "Consul has changed: the flags are needed no more");

    let store = client(&consul.endpoints());
    let mut watch = store.watch(store.read(TIME).await.unwrap().revision, TIME).await.unwrap();
    let mut newest = first;
    for _ in 0..5 {
        let guard = Guard::Version(Key::leader(), leader(&store).await.unwrap().version);
        let version = store.commit(&write(vec![guard], b"same"), TIME).await.unwrap().versions[&Key::leader()];
        assert!(version.0 > newest && version.0 == index(&consul).await);
        newest = version.0;
        shown(watch.as_mut(), b"same").await;
    }
    // Two clients that write the same do not share a stamp either.
    assert!(put(&client(&consul.endpoints()), b"same").await.0 > newest);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_was_deleted_and_made_again_is_another() {
    let consul = Consul::single().await;
    let store = client(&consul.endpoints());
    let version = put(&store, b"same").await;
    raw(&consul, "DELETE", "").await;
    raw(&consul, "PUT", "same").await;
    assert_ne!(leader(&store).await.unwrap().version, version);
    let late = store.commit(&write(vec![Guard::Version(Key::leader(), version)], b"late"), TIME).await;
    assert_eq!(failure(late).0, ErrorKind::Conflict);
}
