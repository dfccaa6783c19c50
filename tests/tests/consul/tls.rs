//! TLS: own authorities, client certificates, and all that can be wrong with them.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use odoo_ha_backends::consul::{ConsulConfig, ConsulDcs};
use odoo_ha_core::error::ErrorKind;
use odoo_ha_core::roles::Dcs;
use odoo_ha_core::store::{Guard, Key};
use odoo_ha_tests::stores::{Authority, free_port};
use serde_json::json;

use crate::server::Consul;
use crate::{TIME, failure, leader, put, shop, write};

const HOST: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

/// A server that asks for client certificates, and who signs them.
struct Encrypted {
    consul: Consul,
    port: u16,
    authority: Authority,
    ca: PathBuf,
    files: tempfile::TempDir,
}

impl Encrypted {
    /// With a server certificate that is for these addresses, or has expired.
    async fn start(addresses: &[IpAddr], expired: bool) -> Self {
        let files = tempfile::tempdir().unwrap();
        let authority = Authority::new("odoo-ha tests");
        let ca = authority.write(files.path(), "ca");
        let issued =
            if expired { authority.issue_expired("server", addresses) } else { authority.issue("server", addresses) };
        let (certificate, key) = issued.write(files.path(), "server");
        let port = free_port(HOST);
        let consul = Consul::single_with(json!({
            "ports": {"https": port},
            "ca_file": ca,
            "cert_file": certificate,
            "key_file": key,
            "verify_incoming_https": true,
        }))
        .await;
        Self { consul, port, authority, ca, files }
    }

    fn config(&self) -> ConsulConfig {
        ConsulConfig::new([format!("https://{HOST}:{}", self.port)], shop()).ca_file(&self.ca)
    }

    fn path(&self) -> &Path {
        self.files.path()
    }

    fn identity(&self, name: &str) -> (PathBuf, PathBuf) {
        self.authority.issue("client", &[]).write(self.path(), name)
    }
}

async fn works(store: &ConsulDcs) {
    let version = put(store, b"1").await;
    store.commit(&write(vec![Guard::Version(Key::leader(), version)], b"2"), TIME).await.unwrap();
    let mut watch = store.watch(store.read(TIME).await.unwrap().revision, TIME).await.unwrap();
    put(store, b"3").await;
    crate::shown(watch.as_mut(), b"3").await;
}

/// All calls end as this, and say this.
async fn fails(store: &ConsulDcs, kind: ErrorKind, words: &[&str]) {
    let commit = |guard| write(vec![guard], b"never");
    let told = [
        failure(store.read(TIME).await),
        failure(store.commit(&write(vec![], b"never"), TIME).await),
        failure(store.commit(&commit(Guard::Absent(Key::leader())), TIME).await),
        failure(store.watch(odoo_ha_core::store::Revision(0), TIME).await),
    ];
    for (seen, text) in told {
        assert_eq!(seen, kind, "{text}");
        for word in words {
            assert!(text.contains(word), "{word:?} is missing: {text}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_certificate_of_the_own_authority_is_let_in() {
    let there = Encrypted::start(&[HOST], false).await;
    let (certificate, key) = there.identity("client");
    let store = there.config().identity(certificate, key).build().unwrap();
    works(&store).await;
    // The same server without TLS sees what was written.
    assert_eq!(leader(&crate::client(&there.consul.endpoints())).await.unwrap().value, b"3");
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_without_a_fitting_certificate_are_denied() {
    let there = Encrypted::start(&[HOST], false).await;
    let words = &["certificate", "look at"];
    fails(&there.config().build().unwrap(), ErrorKind::Denied, words).await;
    let (certificate, key) = Authority::new("somebody else").issue("client", &[]).write(there.path(), "foreign");
    fails(&there.config().identity(certificate, key).build().unwrap(), ErrorKind::Denied, words).await;
    let (certificate, key) = there.authority.issue_expired("client", &[]).write(there.path(), "expired");
    let renewed = there.config().identity(&certificate, &key).build().unwrap();
    fails(&renewed, ErrorKind::Denied, words).await;
    assert_eq!(leader(&crate::client(&there.consul.endpoints())).await, None, "nothing was written");
    // One endpoint that refuses does not keep anybody from another that does not.
    let mut both = there.config();
    both.endpoints.push(there.consul.agents[0].endpoint());
    both.build().unwrap().commit(&write(vec![Guard::Absent(Key::leader())], b"x"), TIME).await.unwrap();
    // A renewed certificate in the same files works without a restart.
    there.identity("expired");
    works(&renewed).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_that_are_not_trusted_are_not_talked_to() {
    let others = [IpAddr::from([10, 9, 8, 7])];
    let (there, expired, elsewhere) = tokio::join!(
        Encrypted::start(&[HOST], false),
        Encrypted::start(&[HOST], true),
        Encrypted::start(&others, false),
    );
    let (certificate, key) = there.identity("client");
    let foreign = Authority::new("odoo-ha tests").write(there.path(), "foreign");
    let store = there.config().identity(&certificate, &key).ca_file(foreign).build().unwrap();
    fails(&store, ErrorKind::Unavailable, &["is not trusted", "CA file"]).await;
    // Without encryption at a port that has it: the server says so itself.
    let plain = ConsulConfig::new([format!("http://{HOST}:{}", there.port)], shop()).build().unwrap();
    fails(&plain, ErrorKind::Denied, &["HTTPS"]).await;
    // With encryption at a port that has none.
    let config = ConsulConfig::new([format!("https://{}", there.consul.agents[0].http)], shop()).ca_file(&there.ca);
    fails(&config.build().unwrap(), ErrorKind::Unavailable, &[]).await;

    let (certificate, key) = expired.identity("client");
    let store = expired.config().identity(&certificate, &key).build().unwrap();
    fails(&store, ErrorKind::Unavailable, &["is not trusted", "expired"]).await;

    let (certificate, key) = elsewhere.identity("client");
    let store = elsewhere.config().identity(&certificate, &key).build().unwrap();
    fails(&store, ErrorKind::Unavailable, &["is not trusted"]).await;
}

#[test]
fn files_that_are_none_are_misconfigured_and_show_nothing() {
    let files = tempfile::tempdir().unwrap();
    let config = || ConsulConfig::new(["https://127.0.0.1:1"], shop());
    let authority = Authority::new("odoo-ha tests");
    let ca = authority.write(files.path(), "ca");
    let (certificate, key) = authority.issue("client", &[]).write(files.path(), "client");
    let broken = files.path().join("broken.pem");
    std::fs::write(&broken, "-----BEGIN PRIVATE KEY-----\nc2VjcmV0c2VjcmV0\n-----END PRIVATE KEY-----\n").unwrap();
    let cases = [
        config(),
        config().ca_file(&broken),
        config().ca_file(files.path()),
        config().ca_file(&ca).identity(&certificate, &broken),
        config().ca_file(&ca).identity(&broken, &key),
        config().ca_file(&ca).identity(&certificate, files.path().join("missing")),
    ];
    for case in cases {
        let told = format!("{case:?}");
        let (kind, text) = failure(case.build());
        assert_eq!(kind, ErrorKind::Misconfigured, "{told}: {text}");
        assert!(text.contains("store") && !text.contains("c2VjcmV0"), "{text}");
    }
    config().ca_file(&ca).identity(&certificate, &key).build().unwrap();
}
