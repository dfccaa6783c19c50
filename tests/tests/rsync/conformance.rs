//! The suite of the role.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use odoo_ha_backends::rsync::RsyncFilestore;
use odoo_ha_core::conformance::{self, BoxFuture, FilestoreBench, FilestoreNode};
use odoo_ha_core::database::Endpoint;
use odoo_ha_core::error::Error;
use odoo_ha_core::member::MemberId;
use odoo_ha_core::roles::FilestoreSync;
use odoo_ha_tests::stores::free_port;

use super::support::Host;

struct Nodes;

struct Node {
    host: Host,
    files: Arc<RsyncFilestore>,
}

impl Node {
    async fn new(name: &'static str, address: [u8; 4], port: u16) -> Result<Self, Error> {
        let host = Host::new(name, address, port).serving("", &[]).await;
        Ok(Self { files: Arc::new(host.config().build()?), host })
    }
}

#[async_trait]
impl FilestoreBench for Nodes {
    async fn nodes(&self) -> Result<[Arc<dyn FilestoreNode>; 2], Error> {
        let port = free_port(IpAddr::from([127, 0, 0, 2]));
        let a = Node::new("a", [127, 0, 0, 2], port).await?;
        let b = Node::new("b", [127, 0, 0, 3], port).await?;
        Ok([Arc::new(a), Arc::new(b)])
    }
}

#[async_trait]
impl FilestoreNode for Node {
    fn filestore(&self) -> Arc<dyn FilestoreSync> {
        Arc::clone(&self.files) as Arc<dyn FilestoreSync>
    }

    fn member(&self) -> (MemberId, Endpoint) {
        self.host.member()
    }

    fn keeps_files(&self) -> bool {
        true
    }

    fn fences_by_term(&self) -> bool {
        true
    }

    async fn add(&self, content: &str) -> String {
        // A file whose name says nothing of its content: the suite knows no hashes.
        let name = format!("filestore/shop/{}", content.replace(' ', "_"));
        self.host.write(&name, content);
        name
    }

    async fn read(&self, name: &str) -> Option<String> {
        self.host.read(name)
    }

    async fn remove(&self, name: &str) {
        self.host.remove(name);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rsync_conforms() {
    let timer = |time: Duration| -> BoxFuture<'static, ()> { Box::pin(tokio::time::sleep(time)) };
    let report = conformance::filestore(&Nodes, &timer).await;
    println!("{report}");
    report.assert_passed();
    assert_eq!(report.skips().count(), 0, "{report}");
}
