//! Users, rights, tokens.

use std::time::Duration;

use etcd_client::{Client, ConnectOptions, Permission, PermissionType, RoleGrantPermissionResponse};
use odoo_ha_backends::Secret;
use odoo_ha_backends::etcd::EtcdConfig;
use odoo_ha_core::error::{Error, ErrorKind};
use odoo_ha_core::roles::{Dcs, WatchEvent};
use odoo_ha_core::store::{Guard, Key, Revision};
use odoo_ha_tests::stores::eventually;

use crate::support::{Etcd, NEW, OLD, Plan, TIME, cluster, event, put, until_shown, value, write};

const ROOT: (&str, &str) = ("root", "root-word");
const SHOP: &str = "shop";
const WORD: &str = "hush-shop-word";

/// Grants what the documentation of the backend says, and nothing more; then turns authentication on. Root's client.
async fn with_users(etcd: &Etcd) -> Client {
    let mut admin = etcd.admin().await;
    admin.role_add("root").await.unwrap();
    admin.user_add(ROOT.0, ROOT.1, None).await.unwrap();
    admin.user_grant_role(ROOT.0, "root").await.unwrap();
    admin.role_add("odoo-ha-shop").await.unwrap();
    let _: RoleGrantPermissionResponse = admin
        .role_grant_permission("odoo-ha-shop", Permission::read_write("/odoo-ha/shop/").with_prefix())
        .await
        .unwrap();
    admin.user_add(SHOP, WORD, None).await.unwrap();
    admin.user_grant_role(SHOP, "odoo-ha-shop").await.unwrap();
    admin.auth_enable().await.unwrap();
    as_user(etcd, ROOT.0, ROOT.1).await
}

async fn as_user(etcd: &Etcd, user: &str, word: &str) -> Client {
    let options = ConnectOptions::new().with_user(user, word).with_auto_token_refresh(true);
    Client::connect([etcd.members[0].url()], Some(options)).await.unwrap()
}

/// The errors of a read, a commit and a watch, none of which shows a password.
async fn refused(config: EtcdConfig) -> [Error; 3] {
    let store = config.build().unwrap();
    let errors = [
        store.read(TIME).await.unwrap_err(),
        store.commit(&write(vec![], "refused"), TIME).await.unwrap_err(),
        store.watch(Revision(0), TIME).await.unwrap_err(),
    ];
    for error in &errors {
        for text in [error.chain(), format!("{error:?}"), format!("{store:?}")] {
            assert!(!text.contains("hush"), "{text}");
        }
    }
    errors
}

async fn denied(config: EtcdConfig, says: &str) {
    for error in refused(config).await {
        assert_eq!(error.kind(), ErrorKind::Denied, "{}", error.chain());
        assert!(error.chain().contains(says), "{says:?} is not in {}", error.chain());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_for_the_prefix_is_enough_and_less_is_denied() {
    for version in [OLD, NEW] {
        let etcd = Plan::new(version, 1).serving().await;
        let mut root = with_users(&etcd).await;
        let shop = || etcd.config().user(SHOP, Secret::new(WORD));
        let store = shop().build().unwrap();
        put(&store, "allowed").await;
        let from = store.read(TIME).await.unwrap().revision;
        let mut watch = store.watch(from, TIME).await.unwrap();
        put(&store, "shown").await;
        until_shown(&mut watch, "shown").await;
        // Another cluster's keys, other words, no user.
        let other = EtcdConfig::new(cluster("other"), etcd.urls());
        denied(other.clone().user(SHOP, Secret::new(WORD)), "readwrite below the cluster's prefix").await;
        denied(etcd.config().user(SHOP, Secret::new("hush-wrong")), "invalid user ID or password").await;
        denied(etcd.config().user("nobody", Secret::new(WORD)), "invalid user ID or password").await;
        denied(etcd.config(), "user name is empty").await;
        // One that may only read.
        root.role_add("reader").await.unwrap();
        let permission = Permission::new(PermissionType::Read, "/odoo-ha/shop/").with_prefix();
        root.role_grant_permission("reader", permission).await.unwrap();
        root.user_add("reader", WORD, None).await.unwrap();
        root.user_grant_role("reader", "reader").await.unwrap();
        let reader = etcd.config().user("reader", Secret::new(WORD)).build().unwrap();
        assert_eq!(value(&reader).await.unwrap(), b"shown");
        let error = reader.commit(&write(vec![], "denied"), TIME).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Denied, "{}", error.chain());
        assert_eq!(value(&store).await.unwrap(), b"shown");
        // Rights that were taken away.
        root.user_revoke_role(SHOP, "odoo-ha-shop").await.unwrap();
        assert_eq!(store.read(TIME).await.unwrap_err().kind(), ErrorKind::Denied);
        root.user_grant_role(SHOP, "odoo-ha-shop").await.unwrap();
        put(&store, "granted again").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_expired_or_was_forgotten_is_renewed() {
    for version in [OLD, NEW] {
        let etcd = Plan::new(version, 1).arguments(&["--auth-token-ttl=1"]).serving().await;
        let _root = with_users(&etcd).await;
        let directory = tempfile::tempdir().unwrap();
        let word = directory.path().join("word");
        std::fs::write(&word, format!("{WORD}\n")).unwrap();
        let open = || etcd.config().user(SHOP, Secret::from_file(&word)).build().unwrap();
        let (store, reader, watcher) = (open(), open(), open());
        let guard = Guard::Version(Key::leader(), put(&store, "first").await);
        let from = reader.read(TIME).await.unwrap().revision;
        let mut early = watcher.watch(from, TIME).await.unwrap();
        // A token that is as young as theirs, of a client that renews nothing, tells when theirs have expired too. Asking keeps a token
        // alive, so it is asked seldom.
        let options = ConnectOptions::new().with_user(SHOP, WORD);
        let mut witness = Client::connect([etcd.members[0].url()], Some(options)).await.unwrap();
        let begun = std::time::Instant::now();
        while witness.get("/odoo-ha/shop/leader", None).await.is_ok() {
            assert!(begun.elapsed() < TIME, "tokens do not expire");
            tokio::time::sleep(Duration::from_millis(2_200)).await;
        }
        store.commit(&write(vec![guard], "expired"), TIME).await.unwrap();
        assert_eq!(value(&reader).await.unwrap(), b"expired");
        drop(watcher.watch(from, TIME).await.unwrap());
        // A watch lives longer than its token.
        put(&store, "shown").await;
        until_shown(&mut early, "shown").await;
        // etcd forgets all tokens when it starts.
        etcd.members[0].process.restart();
        eventually("it serves again", TIME, async || store.read(Duration::from_secs(1)).await.ok()).await;
        put(&store, "after a restart").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_that_was_changed_counts_from_the_next_login() {
    let etcd = Plan::new(NEW, 1).serving().await;
    let mut root = with_users(&etcd).await;
    let directory = tempfile::tempdir().unwrap();
    let word = directory.path().join("word");
    std::fs::write(&word, WORD).unwrap();
    let store = etcd.config().user(SHOP, Secret::from_file(&word)).build().unwrap();
    put(&store, "old word").await;
    root.user_change_password(SHOP, "hush-new-word").await.unwrap();
    std::fs::write(&word, "hush-new-word\n").unwrap();
    put(&store, "new word").await;
    // A file that is gone is the operator's to mend, and says so.
    let missing = etcd.config().user(SHOP, Secret::from_file(directory.path().join("gone"))).build().unwrap();
    let error = missing.read(TIME).await.unwrap_err();
    assert!(error.chain().contains("cannot be read"), "{}", error.chain());
}

#[tokio::test(flavor = "multi_thread")]
async fn authentication_may_be_turned_on_and_off_under_a_client() {
    let etcd = Plan::new(NEW, 1).serving().await;
    // It has a word before anybody asks for it.
    let store = etcd.config().user(SHOP, Secret::new(WORD)).build().unwrap();
    put(&store, "off").await;
    let mut root = with_users(&etcd).await;
    put(&store, "on").await;
    let from = store.read(TIME).await.unwrap().revision;
    let mut watch = store.watch(from, TIME).await.unwrap();
    root.auth_disable().await.unwrap();
    put(&store, "off again").await;
    assert!(matches!(event(&mut watch).await, Ok(WatchEvent::Changed { .. })));
}

#[test]
fn words_are_not_shown() {
    let config = EtcdConfig::new(cluster("shop"), ["http://127.0.0.1:1"]).user("shop", Secret::new(WORD));
    assert!(!format!("{config:?}").contains("hush"), "{config:?}");
    assert!(!format!("{:?}", config.build().unwrap()).contains("hush"));
}
