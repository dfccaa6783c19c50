//! Certificates: right, wrong, expired, missing.

use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};

use etcd_client::{Certificate, Client, ConnectOptions, Identity, Permission, TlsOptions, UserAddOptions};
use odoo_ha_backends::etcd::{EtcdConfig, EtcdTls};
use odoo_ha_core::error::{Error, ErrorKind};
use odoo_ha_core::roles::Dcs;
use odoo_ha_core::store::Revision;
use odoo_ha_tests::stores::{Authority, eventually};

use crate::support::{Etcd, NEW, OLD, Plan, TIME, cluster, put, until_shown, write};

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

struct Papers {
    directory: tempfile::TempDir,
    ours: Authority,
    foreign: Authority,
}

impl Papers {
    fn new() -> Self {
        Self {
            directory: tempfile::tempdir().unwrap(),
            ours: Authority::new("ours"),
            foreign: Authority::new("foreign"),
        }
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    /// An etcd with this certificate that asks its clients for one of ours.
    fn etcd(&self, version: &'static str, (certificate, key): &(PathBuf, PathBuf)) -> Etcd {
        let authority = self.ours.write(self.path(), "ours");
        let arguments = [
            format!("--cert-file={}", certificate.display()),
            format!("--key-file={}", key.display()),
            format!("--trusted-ca-file={}", authority.display()),
            "--client-cert-auth".to_owned(),
        ];
        Plan::new(version, 1).arguments(&arguments.each_ref().map(String::as_str)).tls().start()
    }

    fn trusting_us(&self) -> EtcdTls {
        EtcdTls::new(self.ours.write(self.path(), "ours"))
    }
}

fn config(etcd: &Etcd, tls: EtcdTls) -> EtcdConfig {
    EtcdConfig::new(cluster("shop"), etcd.urls()).tls(tls)
}

/// The errors of a read, a commit and a watch: nothing was written, and the call did not wait for its deadline where that is in vain.
async fn refused(config: EtcdConfig, kind: ErrorKind, says: &[&str]) {
    let store = config.build().unwrap();
    // Where a reason is known nobody waits so long.
    let time = if says == [""] { std::time::Duration::from_millis(500) } else { TIME };
    let begun = std::time::Instant::now();
    let errors: [Error; 3] = [
        store.read(time).await.unwrap_err(),
        store.commit(&write(vec![], "refused"), time).await.unwrap_err(),
        store.watch(Revision(0), time).await.unwrap_err(),
    ];
    assert!(begun.elapsed() < TIME, "{:?}", begun.elapsed());
    for error in errors {
        println!("{}: {}", error.kind(), error.chain());
        assert_eq!(error.kind(), kind, "{}", error.chain());
        assert!(says.iter().any(|says| error.chain().contains(says)), "{says:?} is not in {}", error.chain());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_are_checked_on_both_sides() {
    for version in [OLD, NEW] {
        let papers = Papers::new();
        let server = papers.ours.issue("server", &[HERE]).write(papers.path(), "server");
        let etcd = papers.etcd(version, &server);
        let client = papers.ours.issue("client", &[]).write(papers.path(), "client");
        let good = papers.trusting_us().identity(&client.0, &client.1);
        let store = config(&etcd, good.clone()).build().unwrap();
        let ready = async || store.read(std::time::Duration::from_secs(1)).await.ok();
        let from = eventually(&etcd.members[0].process.log(), TIME, ready).await.revision;
        let mut watch = store.watch(from, TIME).await.unwrap();
        put(&store, "over TLS").await;
        until_shown(&mut watch, "over TLS").await;

        // We do not trust the server: it is as if it were not there.
        let foreign = EtcdTls::new(papers.foreign.write(papers.path(), "foreign")).identity(&client.0, &client.1);
        let untrusted = "etcd's certificate is not to be trusted";
        refused(config(&etcd, foreign), ErrorKind::Unavailable, &[untrusted]).await;
        refused(config(&etcd, good.clone().server_name("another")), ErrorKind::Unavailable, &[untrusted]).await;
        // The server does not trust us: none, one of others, an expired one.
        let no_trust = ["does not accept the client's certificate"];
        refused(config(&etcd, papers.trusting_us()), ErrorKind::Denied, &no_trust).await;
        for (name, issued) in
            [("stranger", papers.foreign.issue("client", &[])), ("late", papers.ours.issue_expired("client", &[]))]
        {
            let (certificate, key) = issued.write(papers.path(), name);
            let tls = papers.trusting_us().identity(certificate, key);
            refused(config(&etcd, tls), ErrorKind::Denied, &no_trust).await;
        }
        // No TLS where it is asked for.
        let plain = etcd.urls().iter().map(|url| url.replace("https", "http")).collect::<Vec<_>>();
        refused(EtcdConfig::new(cluster("shop"), plain), ErrorKind::Unavailable, &[""]).await;
        put(&store, "still").await;
        // Files that are replaced count from the next connection on: the client goes on when etcd is started again.
        let next = papers.ours.issue("client", &[]).write(papers.path(), "client");
        assert_eq!(next, client);
        etcd.members[0].process.restart();
        put(&store, "with the new certificate").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_server_is_not_trusted() {
    let papers = Papers::new();
    let server = papers.ours.issue_expired("server", &[HERE]).write(papers.path(), "server");
    let etcd = papers.etcd(NEW, &server);
    eventually("it listens", TIME, async || std::net::TcpStream::connect(etcd.members[0].client).ok()).await;
    let client = papers.ours.issue("client", &[]).write(papers.path(), "client");
    let tls = papers.trusting_us().identity(&client.0, &client.1);
    refused(config(&etcd, tls), ErrorKind::Unavailable, &["etcd's certificate is not to be trusted"]).await;
}

#[tokio::test]
async fn files_that_are_no_certificates_are_named() {
    let directory = tempfile::tempdir().unwrap();
    let notes = directory.path().join("notes.txt");
    std::fs::write(&notes, "no certificate").unwrap();
    for path in [notes, directory.path().join("gone.pem")] {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let store = EtcdConfig::new(cluster("shop"), ["https://127.0.0.1:1"]).tls(EtcdTls::new(path)).build().unwrap();
        let begun = std::time::Instant::now();
        let error = store.read(TIME).await.unwrap_err();
        assert!(error.chain().contains(&name), "{}", error.chain());
        assert!(begun.elapsed() < TIME / 2);
    }
    let mixed = EtcdConfig::new(cluster("shop"), ["https://127.0.0.1:1"]).build().unwrap_err();
    assert_eq!(mixed.kind(), ErrorKind::Misconfigured);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_name_in_a_certificate_is_the_user() {
    for version in [OLD, NEW] {
        let papers = Papers::new();
        let server = papers.ours.issue("server", &[HERE]).write(papers.path(), "server");
        let etcd = papers.etcd(version, &server);
        let named = |name: &str| papers.ours.issue(name, &[]).write(papers.path(), name);
        let store_of = |name: &str| {
            let (certificate, key) = named(name);
            config(&etcd, papers.trusting_us().identity(certificate, key)).build().unwrap()
        };
        let ready = async || store_of("root").read(std::time::Duration::from_secs(1)).await.ok();
        eventually(&etcd.members[0].process.log(), TIME, ready).await;

        let pem = |path: &Path| std::fs::read(path).unwrap();
        let (certificate, key) = named("root");
        let tls = TlsOptions::new()
            .ca_certificate(Certificate::from_pem(pem(&papers.ours.write(papers.path(), "ours"))))
            .identity(Identity::from_pem(pem(&certificate), pem(&key)));
        let mut admin = Client::connect(etcd.urls(), Some(ConnectOptions::new().with_tls(tls))).await.unwrap();
        admin.role_add("root").await.unwrap();
        admin.role_add("odoo-ha-shop").await.unwrap();
        let rights = Permission::read_write("/odoo-ha/shop/").with_prefix();
        admin.role_grant_permission("odoo-ha-shop", rights).await.unwrap();
        let no_password = || Some(UserAddOptions::new().with_no_pwd());
        for (user, role) in [("root", "root"), ("shop", "odoo-ha-shop")] {
            admin.user_add(user, "", no_password()).await.unwrap();
            admin.user_grant_role(user, role).await.unwrap();
        }
        admin.auth_enable().await.unwrap();

        let shop = store_of("shop");
        put(&shop, "as the certificate says").await;
        assert_eq!(shop.read(TIME).await.unwrap().entries.len(), 1);
        let (certificate, key) = named("stranger");
        let stranger = config(&etcd, papers.trusting_us().identity(certificate, key));
        refused(stranger, ErrorKind::Denied, &[""]).await;
    }
}
