//! ACLs: what a token needs, what is said without, and tokens that are rotated.

use std::path::PathBuf;
use std::sync::Arc;

use crate::server::{Answer, Consul, ask};
use crate::{TIME, failure, leader, next, put, shop, shown, timer, write};
use odoo_ha_backends::Secret;
use odoo_ha_backends::consul::{ConsulConfig, ConsulDcs};
use odoo_ha_core::conformance;
use odoo_ha_core::error::ErrorKind;
use odoo_ha_core::member::ClusterId;
use odoo_ha_core::roles::Dcs;
use odoo_ha_core::store::{Guard, Key, Revision, Version};
use odoo_ha_tests::stores::eventually;
use serde_json::{Value, json};

/// The management token of the tests' servers.
const MANAGEMENT: &str = "5b6c0d2e-0000-4000-8000-000000000001";

/// The one rule that the documentation of the backend names.
const MINIMAL: &str = r#"key_prefix "odoo-ha/shop/" { policy = "write" }"#;

struct Guarded {
    consul: Consul,
}

impl Guarded {
    async fn start(list_policy: bool) -> Self {
        let acl = json!({"acl": {
            "enabled": true,
            "default_policy": "deny",
            "enable_key_list_policy": list_policy,
            "tokens": {"master": MANAGEMENT},
        }});
        let guarded = Self { consul: Consul::single_with(acl).await };
        eventually("ACLs are up", TIME, async || {
            let answer = ask(&guarded.consul.agents[0], "GET", "/v1/acl/policies", MANAGEMENT, String::new()).await?;
            (answer.status == 200).then_some(())
        })
        .await;
        guarded
    }

    async fn manage(&self, path: &str, body: Value) -> Answer {
        let method = if body.is_null() { "DELETE" } else { "PUT" };
        let answer = ask(&self.consul.agents[0], method, path, MANAGEMENT, body.to_string()).await.unwrap();
        assert_eq!(answer.status, 200, "{answer:?}");
        answer
    }

    /// A new token with these rules: its accessor and its secret.
    async fn token(&self, name: &str, rules: &str) -> (String, String) {
        self.manage("/v1/acl/policy", json!({"Name": name, "Rules": rules})).await;
        let token = self.manage("/v1/acl/token", json!({"Policies": [{"Name": name}]})).await.json;
        (token["AccessorID"].as_str().unwrap().to_owned(), token["SecretID"].as_str().unwrap().to_owned())
    }

    fn file(&self, token: &str) -> PathBuf {
        let path = self.consul.path().join("token");
        std::fs::write(&path, format!("  {token}\n")).unwrap();
        path
    }

    fn client(&self, token: &str) -> ConsulDcs {
        let source = Secret::from_file(self.file(token));
        ConsulConfig::new(self.consul.endpoints(), shop()).token(source).build().unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_documented_rule_suffices() {
    tokio::join!(rule_suffices(false), rule_suffices(true));
}

async fn rule_suffices(list_policy: bool) {
    let guarded = Guarded::start(list_policy).await;
    let (_, token) = guarded.token("minimal", MINIMAL).await;
    let store = guarded.client(&token);
    assert!(store.read(TIME).await.unwrap().entries.is_empty());
    let mut watch = store.watch(store.read(TIME).await.unwrap().revision, TIME).await.unwrap();
    store.commit(&write(vec![Guard::Absent(Key::leader())], b"1"), TIME).await.unwrap();
    shown(watch.as_mut(), b"1").await;
    put(&store, b"2").await;
    assert_eq!(leader(&store).await.unwrap().value, b"2");
    let told = format!("{store:?} {watch:?}");
    assert!(!told.contains(&token), "{told}");

    // It reaches no further: another cluster is refused, not shown as empty.
    let file = guarded.file(&token);
    let other = ConsulConfig::new(guarded.consul.endpoints(), ClusterId::new("shop2").unwrap());
    let other = other.token(Secret::from_file(&file)).build().unwrap();
    assert_eq!(failure(other.read(TIME).await).0, ErrorKind::Denied);
    assert_eq!(failure(other.commit(&write(vec![], b"x"), TIME).await).0, ErrorKind::Denied);

    // The whole suite passes with the same rule for its clusters.
    let (_, token) = guarded.token("suite", &MINIMAL.replace("shop/", "conformance_")).await;
    let file = guarded.file(&token);
    let bench = |cluster: &ClusterId| {
        let config = ConsulConfig::new(guarded.consul.endpoints(), cluster.clone());
        Ok(Arc::new(config.token(Secret::from_file(&file)).build()?) as Arc<dyn Dcs>)
    };
    let report = conformance::dcs(&bench, &timer).await;
    println!("{report}");
    report.assert_passed();
}

/// The variable is that of a process of its own: this program, started again.
#[tokio::test(flavor = "multi_thread")]
async fn a_token_in_the_environment_is_taken() {
    const VARIABLE: &str = "ODOO_HA_TEST_CONSUL_TOKEN";
    const ENDPOINT: &str = "ODOO_HA_TEST_CONSUL_ENDPOINT";
    if let Ok(endpoint) = std::env::var(ENDPOINT) {
        let source = Secret::from_environment(VARIABLE);
        let store = ConsulConfig::new([endpoint], shop()).token(source).build().unwrap();
        put(&store, b"by a variable").await;
        return;
    }
    let guarded = Guarded::start(false).await;
    let (_, token) = guarded.token("minimal", MINIMAL).await;
    let child = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["rights::a_token_in_the_environment_is_taken", "--exact"])
        .env(ENDPOINT, guarded.consul.agents[0].endpoint())
        .env(VARIABLE, &token)
        .output()
        .unwrap();
    assert!(child.status.success(), "{}", String::from_utf8_lossy(&child.stdout));
    assert_eq!(leader(&guarded.client(&token)).await.unwrap().value, b"by a variable");
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_rights_are_denied_and_nothing_looks_empty() {
    let guarded = Guarded::start(false).await;
    let (_, fine) = guarded.token("minimal", MINIMAL).await;
    let (_, reader) = guarded.token("reader", &MINIMAL.replace("write", "read")).await;
    let (_, elsewhere) = guarded.token("elsewhere", &MINIMAL.replace("shop", "other")).await;
    let without = ConsulConfig::new(guarded.consul.endpoints(), shop()).build().unwrap();
    let unknown = guarded.client("3a0f9d7c-0000-4000-8000-00000000dead");

    // There is something, then; a listing of Consul shows none of it, and no error.
    for filled in [false, true] {
        if filled {
            put(&guarded.client(&fine), b"1").await;
        }
        for store in [&without, &unknown, &guarded.client(&elsewhere)] {
            let told = [
                failure(store.read(TIME).await),
                failure(store.commit(&write(vec![Guard::Absent(Key::leader())], b"x"), TIME).await),
                failure(store.commit(&write(vec![Guard::Version(Key::leader(), Version(1))], b"x"), TIME).await),
            ];
            for (kind, text) in told {
                assert_eq!(kind, ErrorKind::Denied, "filled {filled}: {text}");
                assert!(text.contains("key_prefix"), "a hint is missing: {text}");
            }
        }
    }
    // Who may only read, reads, and is refused when it writes.
    let reader = guarded.client(&reader);
    assert_eq!(leader(&reader).await.unwrap().value, b"1");
    assert_eq!(failure(reader.commit(&write(vec![], b"x"), TIME).await).0, ErrorKind::Denied);
    assert_eq!(leader(&guarded.client(&fine)).await.unwrap().value, b"1");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotated_token_works_without_a_restart() {
    let guarded = Guarded::start(false).await;
    let (first, token) = guarded.token("minimal", MINIMAL).await;
    let store = guarded.client(&token);
    put(&store, b"1").await;
    let (_, second) = guarded.token("minimal2", MINIMAL).await;
    // The order in which it is done: the file first, then the old one is taken away.
    guarded.file(&second);
    guarded.manage(&format!("/v1/acl/token/{first}"), Value::Null).await;
    eventually("the old token is refused", TIME, async || {
        let answer = ask(&guarded.consul.agents[0], "GET", "/v1/kv/odoo-ha/shop/leader", &token, String::new()).await?;
        (answer.status == 403).then_some(())
    })
    .await;
    put(&store, b"2").await;
    assert_eq!(leader(&store).await.unwrap().value, b"2");

    // A token that is taken away under a watch ends it; nothing is shown as deleted.
    let (third, last) = guarded.token("minimal3", MINIMAL).await;
    let other = guarded.client(&last);
    let mut watch = other.watch(other.read(TIME).await.unwrap().revision, TIME).await.unwrap();
    guarded.manage(&format!("/v1/acl/token/{third}"), Value::Null).await;
    let (kind, text) = failure(next(watch.as_mut()).await);
    assert_eq!(kind, ErrorKind::Denied, "{text}");
    assert!(![&token, &second, &last].iter().any(|secret| text.contains(secret.as_str())), "{text}");
    assert_eq!(failure(other.watch(Revision(1), TIME).await).0, ErrorKind::Denied);
}
