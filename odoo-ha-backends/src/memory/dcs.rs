//! A coordination store in memory.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use odoo_ha_core::error::{Error, ErrorKind};
use odoo_ha_core::member::ClusterId;
use odoo_ha_core::roles::{Dcs, DcsCapabilities, DcsWatch, WatchEvent};
use odoo_ha_core::store::{Change, Commit, Committed, Entry, Guard, Key, Revision, Snapshot, Version};
use tokio::sync::watch;

use super::switch::lock;

/// How a commit fails when a test asks for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CommitFault {
    /// It happens, and its answer is lost: `Unknown`.
    LostAnswer,
    /// It never happens, and nobody can tell: `Unknown`.
    LostRequest,
    /// It is answered `Unknown` now and happens after this time, if its guards hold then.
    Late(Duration),
}

/// A client of a store in this process.
///
/// A clone is the same client; [`another_client`](Self::another_client) shares the content but not the faults, as a client on
/// another node does. Versions and revisions are counted for the whole store, as in etcd.
#[derive(Clone, Debug)]
pub struct MemoryDcs {
    store: Arc<Store>,
    faults: Arc<Mutex<Faults>>,
    cluster: ClusterId,
}

#[derive(Debug)]
struct Store {
    content: Mutex<Content>,
    /// The revision of the content, and how often it was lost.
    changed: watch::Sender<(u64, u64)>,
}

#[derive(Debug, Default)]
struct Content {
    revision: u64,
    losses: u64,
    clusters: BTreeMap<ClusterId, BTreeMap<Key, Entry>>,
}

#[derive(Debug, Default)]
struct Faults {
    commits: VecDeque<CommitFault>,
    cut_off: bool,
    delay: Duration,
}

impl MemoryDcs {
    /// A client of a new, empty store.
    pub fn new(cluster: ClusterId) -> Self {
        let store = Store { content: Mutex::default(), changed: watch::Sender::new((0, 0)) };
        Self { store: Arc::new(store), faults: Arc::default(), cluster }
    }

    /// Another client of the same store and cluster, with faults of its own.
    #[must_use]
    pub fn another_client(&self) -> Self {
        self.for_cluster(self.cluster.clone())
    }

    /// A client of another cluster in the same store, with faults of its own.
    #[must_use]
    pub fn for_cluster(&self, cluster: ClusterId) -> Self {
        Self { store: Arc::clone(&self.store), faults: Arc::default(), cluster }
    }

    /// Makes the next commit that has no fault in front of it fail so. Called several times, several commits fail, in this order.
    pub fn fail_next_commit(&self, fault: CommitFault) {
        lock(&self.faults).commits.push_back(fault);
    }

    /// Cuts this client off from the store, or connects it again: reads, commits and watches are `Unavailable` after their whole
    /// timeout, and running watches show nothing until it is connected again.
    pub fn set_cut_off(&self, cut_off: bool) {
        lock(&self.faults).cut_off = cut_off;
        // Watches of this client look again.
        self.store.changed.send_modify(|_| ());
    }

    /// Every answer to this client takes this long from now on. A commit with a shorter timeout is `Unknown` and has
    /// happened.
    pub fn set_delay(&self, delay: Duration) {
        lock(&self.faults).delay = delay;
    }

    /// The store forgets all clusters, as one that was wiped. Running watches of every client end with a gap. Versions do not
    /// begin anew.
    pub fn lose_everything(&self) {
        let mut content = lock(&self.store.content);
        content.clusters.clear();
        content.losses += 1;
        content.revision += 1;
        self.store.changed.send_replace((content.revision, content.losses));
    }

    fn cut_off(&self) -> bool {
        lock(&self.faults).cut_off
    }

    /// Waits as long as an answer takes, then says whether there is one in time.
    async fn reach(&self, timeout: Duration, what: &str) -> Result<(), Error> {
        let (cut_off, delay) = {
            let faults = lock(&self.faults);
            (faults.cut_off, faults.delay)
        };
        if cut_off || delay > timeout {
            tokio::time::sleep(timeout).await;
            return Err(Error::new(ErrorKind::Unavailable, format!("{what} got no answer in {timeout:?}")));
        }
        pause(delay).await;
        Ok(())
    }
}

/// Sleeps, or does not yield at all when there is nothing to wait for.
async fn pause(time: Duration) {
    if !time.is_zero() {
        tokio::time::sleep(time).await;
    }
}

impl Store {
    fn apply(&self, cluster: &ClusterId, commit: &Commit) -> Result<Committed, Error> {
        let mut content = lock(&self.content);
        let Content { revision, losses, clusters } = &mut *content;
        let keys = clusters.entry(cluster.clone()).or_default();
        for guard in &commit.guards {
            let holds = match guard {
                Guard::Absent(key) => !keys.contains_key(key),
                Guard::Version(key, version) => keys.get(key).is_some_and(|entry| entry.version == *version),
            };
            if !holds {
                let key = guard.key();
                return Err(Error::new(ErrorKind::Conflict, format!("{key} was changed by somebody else")));
            }
        }
        *revision += 1;
        let version = Version(*revision);
        for (key, value) in &commit.writes {
            keys.insert(key.clone(), Entry { version, value: value.clone() });
        }
        self.changed.send_replace((*revision, *losses));
        Ok(Committed { versions: commit.writes.keys().map(|key| (key.clone(), version)).collect() })
    }
}

fn unknown() -> Error {
    Error::new(ErrorKind::Unknown, "the commit was not answered")
        .hint("it is settled by its effect or by a later commit")
}

#[async_trait]
impl Dcs for MemoryDcs {
    fn capabilities(&self) -> DcsCapabilities {
        DcsCapabilities::new(false, false)
    }

    async fn read(&self, timeout: Duration) -> Result<Snapshot, Error> {
        self.reach(timeout, "the read").await?;
        let content = lock(&self.store.content);
        let entries = content.clusters.get(&self.cluster).cloned().unwrap_or_default();
        Ok(Snapshot { revision: Revision(content.revision), entries })
    }

    async fn commit(&self, commit: &Commit, timeout: Duration) -> Result<Committed, Error> {
        let (cut_off, delay, fault) = {
            let mut faults = lock(&self.faults);
            let fault = if faults.cut_off { None } else { faults.commits.pop_front() };
            (faults.cut_off, faults.delay, fault)
        };
        if cut_off {
            tokio::time::sleep(timeout).await;
            return Err(Error::new(ErrorKind::Unavailable, "the commit was not sent: no connection"));
        }
        match fault {
            None => {
                let result = self.store.apply(&self.cluster, commit);
                pause(delay.min(timeout)).await;
                if delay > timeout { Err(unknown()) } else { result }
            }
            Some(CommitFault::LostAnswer) => {
                // Whether a guard held is lost with the answer.
                let _ = self.store.apply(&self.cluster, commit);
                tokio::time::sleep(timeout).await;
                Err(unknown())
            }
            Some(CommitFault::LostRequest) => {
                tokio::time::sleep(timeout).await;
                Err(unknown())
            }
            Some(CommitFault::Late(after)) => {
                let (store, cluster, commit) = (Arc::clone(&self.store), self.cluster.clone(), commit.clone());
                tokio::spawn(async move {
                    tokio::time::sleep(after).await;
                    let _ = store.apply(&cluster, &commit);
                });
                tokio::time::sleep(timeout).await;
                Err(unknown())
            }
        }
    }

    async fn watch(&self, from: Revision, timeout: Duration) -> Result<Box<dyn DcsWatch>, Error> {
        self.reach(timeout, "the watch").await?;
        let mut changed = self.store.changed.subscribe();
        let losses = changed.borrow_and_update().1;
        Ok(Box::new(MemoryWatch { client: self.clone(), from: from.0, losses, changed }))
    }
}

#[derive(Debug)]
struct MemoryWatch {
    client: MemoryDcs,
    from: u64,
    losses: u64,
    changed: watch::Receiver<(u64, u64)>,
}

impl MemoryWatch {
    /// What there is to tell now. It changes the watch only where it gives an event, and nothing is awaited in between.
    fn poll_event(&mut self) -> Option<WatchEvent> {
        if self.client.cut_off() {
            return None;
        }
        let content = lock(&self.client.store.content);
        if content.losses != self.losses || content.revision < self.from {
            return Some(WatchEvent::Gap);
        }
        let mut changes: Vec<Change> = content
            .clusters
            .get(&self.client.cluster)
            .into_iter()
            .flatten()
            .filter(|(_, entry)| entry.version.0 > self.from)
            .map(|(key, entry)| Change { key: key.clone(), entry: Some(entry.clone()) })
            .collect();
        changes.sort_by_key(|change| change.entry.as_ref().map(|entry| entry.version));
        self.from = content.revision;
        if changes.is_empty() {
            return None;
        }
        Some(WatchEvent::Changed { revision: Revision(content.revision), changes })
    }
}

#[async_trait]
impl DcsWatch for MemoryWatch {
    async fn next(&mut self) -> Result<WatchEvent, Error> {
        loop {
            if let Some(event) = self.poll_event() {
                return Ok(event);
            }
            if self.changed.changed().await.is_err() {
                return Err(Error::new(ErrorKind::Unavailable, "the store is gone"));
            }
        }
    }
}
