//! What a real Consul answers, as kinds of errors: one row for each.

use std::net::SocketAddr;
use std::time::Duration;

use odoo_ha_backends::consul::ConsulConfig;
use odoo_ha_core::error::ErrorKind;
use odoo_ha_core::roles::Dcs;
use odoo_ha_core::store::{Guard, Key, Revision, Version};
use odoo_ha_tests::stores::eventually;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::server::Consul;
use crate::{TIME, client, failure, put, shop, write};

/// Rights and certificates have tests of their own, in `rights` and `tls`.
#[tokio::test(flavor = "multi_thread")]
async fn each_has_its_kind() {
    let consul = Consul::single().await;
    let config = || ConsulConfig::new(consul.endpoints(), shop());
    let store = client(&consul.endpoints());
    let version = put(&store, b"there").await;
    let guard = |guard| write(vec![guard], b"x");
    let wrong = guard(Guard::Version(Key::leader(), Version(version.0 + 1)));
    let elsewhere = config().datacenter("nowhere").build().unwrap();
    let enterprise = config().namespace("team").build().unwrap();
    let no_leader = leaderless().await;
    let lost = client(&no_leader.endpoints());
    let quick = Duration::from_secs(3);
    let rows = [
        (
            "409, a key that exists",
            failure(store.commit(&guard(Guard::Absent(Key::leader())), TIME).await),
            ErrorKind::Conflict,
            "leader",
        ),
        ("409, another version", failure(store.commit(&wrong, TIME).await), ErrorKind::Conflict, "leader"),
        (
            "409, a version of no key",
            failure(store.commit(&guard(Guard::Version(Key::sync(), version)), TIME).await),
            ErrorKind::Conflict,
            "sync",
        ),
        ("500, no such data center, read", failure(elsewhere.read(TIME).await), ErrorKind::Unavailable, "data"),
        (
            "500, no such data center, commit",
            failure(elsewhere.commit(&write(vec![], b"x"), TIME).await),
            ErrorKind::Unavailable,
            "data",
        ),
        (
            "500, unknown to the table, guarded commit",
            failure(elsewhere.commit(&wrong, TIME).await),
            ErrorKind::Unknown,
            "data",
        ),
        ("400, no namespaces here, read", failure(enterprise.read(TIME).await), ErrorKind::Denied, "Enterprise"),
        (
            "400, no namespaces here, commit",
            failure(enterprise.commit(&write(vec![], b"x"), TIME).await),
            ErrorKind::Denied,
            "Enterprise",
        ),
        ("500, no leader, read", failure(lost.read(quick).await), ErrorKind::Unavailable, "No cluster leader"),
        (
            "500, no leader, commit",
            failure(lost.commit(&write(vec![], b"x"), quick).await),
            ErrorKind::Unavailable,
            "No cluster leader",
        ),
        (
            "500, no leader, guarded commit",
            failure(lost.commit(&guard(Guard::Absent(Key::leader())), quick).await),
            ErrorKind::Unavailable,
            "No cluster leader",
        ),
        (
            "500, no leader, watch",
            failure(lost.watch(Revision(1), quick).await),
            ErrorKind::Unavailable,
            "No cluster leader",
        ),
    ];
    for (what, (kind, text), expected, word) in rows {
        println!("{what}: {kind}: {text}");
        assert_eq!(kind, expected, "{what}: {text}");
        assert!(text.to_lowercase().contains(&word.to_lowercase()), "{what}: {text}");
    }
}

/// One server of two that should be there.
async fn leaderless() -> Consul {
    let more = json!({"bootstrap_expect": 2, "performance": {"rpc_hold_timeout": "100ms"}});
    Consul::alone_of_two(more).await
}

/// A connection that was let in, and stays.
async fn held(address: SocketAddr) -> Option<TcpStream> {
    let mut stream = TcpStream::connect(address).await.ok()?;
    stream.write_all(b"GET /v1/status/leader HTTP/1.1\r\nHost: there\r\n\r\n").await.ok()?;
    let mut answer = [0; 15];
    stream.read_exact(&mut answer).await.ok()?;
    (&answer == b"HTTP/1.1 200 OK").then_some(stream)
}

#[tokio::test(flavor = "multi_thread")]
async fn too_many_connections_are_unavailable() {
    let consul = Consul::single_with(json!({"limits": {"http_max_conns_per_client": 2}})).await;
    let mut holding = Vec::new();
    while holding.len() < 2 {
        holding.extend(held(consul.agents[0].http).await);
    }
    let store = client(&consul.endpoints());
    let guarded = write(vec![Guard::Absent(Key::leader())], b"x");
    for (kind, text) in [failure(store.read(TIME).await), failure(store.commit(&guarded, TIME).await)] {
        println!("{kind}: {text}");
        // Consul answers 429 before it reads anything, and closes: whether the answer is seen before the end is chance.
        assert!(matches!(kind, ErrorKind::Unavailable | ErrorKind::Unknown), "{text}");
    }
    drop(holding);
    eventually("there is room again", TIME, async || store.read(TIME).await.ok()).await;
    assert!(store.read(TIME).await.unwrap().entries.is_empty());
}
