//! The cluster's policy, changed by programs that have a store and no node.

use std::collections::BTreeMap;
use std::time::Duration;

use odoo_ha_backends::memory::MemoryDcs;
use odoo_ha_core::driver::{change_policy, read_policy};
use odoo_ha_core::error::{Error, ErrorKind};
use odoo_ha_core::member::ClusterId;
use odoo_ha_core::policy::{Policy, SyncMode};
use odoo_ha_core::roles::Dcs;
use odoo_ha_core::store::{Commit, Key};

const TIME: Duration = Duration::from_secs(10);

fn strict(present: Option<Policy>) -> Result<Policy, Error> {
    let mut policy = present.unwrap_or_default();
    policy.sync_mode = SyncMode::Strict;
    Ok(policy)
}

#[tokio::test]
async fn it_is_read_changed_and_replaced_where_it_is_nonsense() {
    let cluster = ClusterId::new("shop").unwrap();
    let store = MemoryDcs::new(cluster.clone());
    assert_eq!(read_policy(&store, &cluster, TIME).await.unwrap(), None);
    let written = change_policy(&store, &cluster, "me", strict, TIME).await.unwrap();
    assert_eq!(read_policy(&store, &cluster, TIME).await.unwrap(), Some(written.clone()));
    // The next one is handed what is there, and changes only what it wants to.
    let restarts = |present: Option<Policy>| {
        let mut policy = present.unwrap();
        policy.restarts = 9;
        Ok(policy)
    };
    let written_again = change_policy(&store, &cluster, "me", restarts, TIME).await.unwrap();
    assert_eq!((written_again.policy.sync_mode, written_again.policy.restarts), (SyncMode::Strict, 9));
    assert_ne!(written.header.nonce, written_again.header.nonce);

    let nonsense = Commit { guards: Vec::new(), writes: BTreeMap::from([(Key::policy(), b"{}".to_vec())]) };
    store.commit(&nonsense, TIME).await.unwrap();
    let error = read_policy(&store, &cluster, TIME).await.unwrap_err();
    assert!(error.kind() == ErrorKind::Malformed && error.to_string().contains("policy"), "{error}");
    change_policy(&store, &cluster, "me", strict, TIME).await.unwrap();
    assert_eq!(read_policy(&store, &cluster, TIME).await.unwrap().unwrap().policy.sync_mode, SyncMode::Strict);
}

#[tokio::test]
async fn of_two_at_once_one_is_told_and_what_cannot_be_is_not_written() {
    let cluster = ClusterId::new("shop").unwrap();
    let store = MemoryDcs::new(cluster.clone());
    let other = store.another_client();
    let overtaken = |present: Option<Policy>| {
        // Somebody else is faster.
        let (other, cluster) = (other.clone(), cluster.clone());
        let faster = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(change_policy(&other, &cluster, "the other", strict, TIME)).unwrap();
        });
        faster.join().unwrap();
        Ok(present.unwrap_or_default())
    };
    let error = change_policy(&store, &cluster, "me", overtaken, TIME).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
    assert_eq!(read_policy(&store, &cluster, TIME).await.unwrap().unwrap().by, "the other");

    let too_many = |present: Option<Policy>| {
        let mut policy = present.unwrap_or_default();
        policy.restarts = 1001;
        Ok(policy)
    };
    let refused = [
        change_policy(&store, &cluster, "me", too_many, TIME).await,
        change_policy(&store, &cluster, "me\n", strict, TIME).await,
        change_policy(&store, &cluster, &"x".repeat(129), strict, TIME).await,
    ];
    for result in refused {
        assert_eq!(result.unwrap_err().kind(), ErrorKind::Misconfigured);
    }
    assert_eq!(read_policy(&store, &cluster, TIME).await.unwrap().unwrap().by, "the other");
}
