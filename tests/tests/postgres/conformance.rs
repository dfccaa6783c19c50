//! The suite of the role, against real databases.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use odoo_ha_core::conformance::{self, BoxFuture, Node, ReplicationBench, ReplicationWorld};
use odoo_ha_core::database::Upstream;
use odoo_ha_core::error::{Error, ErrorKind};
use odoo_ha_core::roles::{ReplicationCapabilities, ReplicationManager};
use rustix::process::Signal;

use crate::support::{Place, eventually, signal};

fn name(node: Node) -> &'static str {
    match node {
        Node::A => "node_a",
        Node::B => "node_b",
    }
}

/// What the bench could not do.
fn failed(what: &str, source: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::new(ErrorKind::Unknown, what).caused_by(source)
}

/// Two data directories of one place.
struct World(Arc<Place>);

impl std::fmt::Debug for World {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("World").field(&self.0.path()).finish()
    }
}

#[async_trait]
impl ReplicationWorld for World {
    fn upstream(&self, node: Node) -> Upstream {
        self.0.upstream(name(node))
    }

    async fn open(&self, node: Node) -> Result<Arc<dyn ReplicationManager>, Error> {
        Ok(Arc::new(self.0.config(name(node)).build()?))
    }

    async fn write(&self, node: Node, timeout: Duration) -> Result<(), Error> {
        let writing = async {
            let client = self.0.connect(name(node)).await?;
            client.batch_execute("create table if not exists written (n int); insert into written values (1)").await
        };
        match tokio::time::timeout(timeout, writing).await {
            Ok(done) => done.map_err(|source| failed("the commit failed", source)),
            Err(late) => Err(failed("the commit was not acknowledged in time", late)),
        }
    }

    async fn kill(&self, node: Node) -> Result<(), Error> {
        let data_dir = self.0.data_dir(name(node));
        let pid_file = std::fs::read_to_string(data_dir.join("postmaster.pid"));
        let first_line = pid_file.map_err(|source| failed("no database runs", source))?;
        let pid = first_line.lines().next().unwrap_or_default().parse();
        signal(pid.map_err(|source| failed("the pid file names no process", source))?, Signal::KILL);
        eventually("all processes of the database are gone", || async { self.0.processes_in(&data_dir).is_empty() })
            .await;
        Ok(())
    }
}

/// Holds the place of the newest world; what ran in the one before is ended with it.
struct Worlds(Mutex<Arc<Place>>);

#[async_trait]
impl ReplicationBench for Worlds {
    fn capabilities(&self) -> ReplicationCapabilities {
        Place::new().member("node_a").capabilities()
    }

    async fn world(&self) -> Result<Arc<dyn ReplicationWorld>, Error> {
        let place = Arc::new(Place::new());
        *self.0.lock().unwrap() = Arc::clone(&place);
        Ok(Arc::new(World(place)))
    }
}

fn timer(time: Duration) -> BoxFuture<'static, ()> {
    Box::pin(tokio::time::sleep(time))
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_replication_conforms() {
    let report = conformance::replication(&Worlds(Mutex::new(Arc::new(Place::new()))), &timer).await;
    println!("{report}");
    report.assert_passed();
    assert_eq!(report.skips().count(), 0);
}
