//! The suite for coordination stores.

mod clients;
mod commits;
mod races;
mod watches;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;

use super::bench::{PATIENCE, ShouldWork, Suite, run_id};
use super::report::{Finding, Report};
use super::timer::Timer;
use crate::error::Error;
use crate::member::ClusterId;
use crate::roles::{Dcs, DcsWatch};
use crate::store::{Commit, Entry, Guard, Key, Revision, Snapshot, Version};

/// Makes clients of one store.
///
/// A closure will do: `|cluster: &ClusterId| Ok(Arc::new(…) as Arc<dyn Dcs>)`.
#[async_trait]
pub trait DcsBench: Send + Sync {
    /// A new client of this cluster, in the one store that is tested. Clients of the same cluster see the same keys; they
    /// should share as little as two processes do. The suite uses cluster names that nobody used before.
    ///
    /// # Errors
    ///
    /// Whatever stands in the way; the check that asked fails then.
    async fn client(&self, cluster: &ClusterId) -> Result<Arc<dyn Dcs>, Error>;
}

#[async_trait]
impl<F> DcsBench for F
where
    F: Fn(&ClusterId) -> Result<Arc<dyn Dcs>, Error> + Send + Sync,
{
    async fn client(&self, cluster: &ClusterId) -> Result<Arc<dyn Dcs>, Error> {
        self(cluster)
    }
}

/// Holds a coordination store against the contract of [`Dcs`].
///
/// It writes some hundred keys to clusters named `conformance_…` and leaves them there. Cancelling leaves them too.
pub async fn dcs(bench: &dyn DcsBench, timer: &dyn Timer) -> Report {
    let mut suite = Suite::new("Dcs", timer);
    let lab = Lab { bench, timer, run: run_id(), clusters: AtomicU32::new(0) };
    commits::run(&mut suite, &lab).await;
    races::run(&mut suite, &lab).await;
    watches::run(&mut suite, &lab).await;
    clients::run(&mut suite, &lab).await;
    suite.finish()
}

/// What the checks work with.
struct Lab<'a> {
    bench: &'a dyn DcsBench,
    timer: &'a dyn Timer,
    run: String,
    clusters: AtomicU32,
}

impl Lab<'_> {
    /// The name of a cluster that does not exist yet.
    fn cluster(&self) -> Result<ClusterId, Finding> {
        let number = self.clusters.fetch_add(1, Ordering::Relaxed);
        ClusterId::new(format!("conformance_{}_{number}", self.run)).should_work("naming a cluster")
    }

    async fn client(&self, cluster: &ClusterId) -> Result<Client, Finding> {
        Ok(Client(self.bench.client(cluster).await.should_work("making a client")?))
    }

    /// One client of a new cluster.
    async fn alone(&self) -> Result<Client, Finding> {
        self.client(&self.cluster()?).await
    }

    /// Two clients of one new cluster.
    async fn pair(&self) -> Result<(Client, Client), Finding> {
        let cluster = self.cluster()?;
        Ok((self.client(&cluster).await?, self.client(&cluster).await?))
    }
}

/// A client with the calls that the checks make again and again.
#[derive(Clone)]
struct Client(Arc<dyn Dcs>);

impl Client {
    async fn read(&self) -> Result<Snapshot, Finding> {
        self.0.read(PATIENCE).await.should_work("a read")
    }

    async fn entry(&self, key: &Key) -> Result<Option<Entry>, Finding> {
        Ok(self.read().await?.entries.remove(key))
    }

    async fn try_commit(&self, guards: &[Guard], writes: &[(&Key, &[u8])]) -> Result<BTreeMap<Key, Version>, Error> {
        let commit = commit(guards, writes);
        self.0.commit(&commit, PATIENCE).await.map(|committed| committed.versions)
    }

    async fn commit(&self, guards: &[Guard], writes: &[(&Key, &[u8])]) -> Result<BTreeMap<Key, Version>, Finding> {
        self.try_commit(guards, writes).await.should_work("a commit whose guards hold")
    }

    /// Writes one key without a guard and gives its version.
    async fn put(&self, key: &Key, value: &[u8]) -> Result<Version, Finding> {
        let versions = self.commit(&[], &[(key, value)]).await?;
        versions.get(key).copied().ok_or_else(|| {
            Finding::new("The new version of each written key.", format!("a version of {key}"), format!("{versions:?}"))
        })
    }

    async fn watch(&self, from: Revision) -> Result<Box<dyn DcsWatch>, Finding> {
        self.0.watch(from, PATIENCE).await.should_work("beginning a watch")
    }
}

fn commit(guards: &[Guard], writes: &[(&Key, &[u8])]) -> Commit {
    Commit {
        guards: guards.to_vec(),
        writes: writes.iter().map(|(key, value)| ((*key).clone(), value.to_vec())).collect(),
    }
}

fn key(text: &str) -> Result<Key, Finding> {
    Key::parse(text).should_work("parsing a key of the suite")
}
