//! What others write among the cluster's keys.

use odoo_ha_core::error::ErrorKind;
use odoo_ha_core::roles::{Dcs, WatchEvent};
use odoo_ha_core::store::Key;

use crate::server::{Consul, ask};
use crate::{TIME, client, failure, leader, next, put};

async fn raw(consul: &Consul, method: &str, key: &str, value: &[u8]) {
    let path = format!("/v1/kv/odoo-ha/shop/{key}");
    let value = String::from_utf8(value.to_vec()).unwrap();
    let answer = ask(&consul.agents[0], method, &path, "", value).await.unwrap();
    assert_eq!(answer.status, 200, "{answer:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_in_the_keys_is_malformed_until_it_is_gone() {
    let consul = Consul::single().await;
    let store = client(&consul.endpoints());
    put(&store, b"1").await;
    let from = store.read(TIME).await.unwrap().revision;
    let huge = vec![b'x'; 300 * 1024];
    let garbage: [(&str, &[u8]); 5] =
        [("no%20key", b"x"), ("leader/", b"x"), ("votes/%20", b"x"), ("history", &huge), ("%C3%BC", b"x")];
    for (key, value) in garbage {
        raw(&consul, "PUT", key, value).await;
        let (kind, text) = failure(store.read(TIME).await);
        assert_eq!(kind, ErrorKind::Malformed, "{key}: {text}");
        assert!(text.contains("prefix"), "a hint is missing: {text}");
        assert_eq!(failure(store.watch(from, TIME).await).0, ErrorKind::Malformed);
        raw(&consul, "DELETE", key, b"").await;
        assert_eq!(leader(&store).await.unwrap().value, b"1");
    }
    // Under a watch it ends that, and is told.
    let mut watch = store.watch(store.read(TIME).await.unwrap().revision, TIME).await.unwrap();
    raw(&consul, "PUT", "no%20key", b"x").await;
    assert_eq!(failure(next(watch.as_mut()).await).0, ErrorKind::Malformed);
}

#[tokio::test(flavor = "multi_thread")]
async fn values_and_folders_of_others_are_handed_on_or_passed_over() {
    let consul = Consul::single().await;
    let store = client(&consul.endpoints());
    let version = put(&store, b"1").await;
    let mut watch = store.watch(store.read(TIME).await.unwrap().revision, TIME).await.unwrap();
    // Consul's own user interface makes such "folders".
    raw(&consul, "PUT", "", b"").await;
    raw(&consul, "PUT", "votes/", b"").await;
    // Whether a value is a record is not for the store to say.
    raw(&consul, "PUT", "leader", b"no record at all").await;
    let WatchEvent::Changed { changes, .. } = next(watch.as_mut()).await.unwrap() else { panic!("a gap") };
    assert_eq!(changes.len(), 1);
    let entry = changes[0].entry.clone().unwrap();
    assert_eq!((&changes[0].key, entry.value.as_slice()), (&Key::leader(), b"no record at all".as_slice()));
    assert_ne!(entry.version, version);
    assert_eq!(store.read(TIME).await.unwrap().entries.len(), 1);
}
