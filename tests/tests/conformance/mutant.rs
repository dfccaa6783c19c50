//! A store that breaks its contract in one way.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use odoo_ha_core::error::{Error, ErrorKind};
use odoo_ha_core::roles::{Dcs, DcsCapabilities, DcsWatch, WatchEvent};
use odoo_ha_core::store::{Commit, Committed, Entry, Guard, Key, Revision, Snapshot, Version};

/// What is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// A write of equal bytes changes nothing, as in Consul.
    EqualBytesKeepTheVersion,
    /// The version is made from the bytes.
    VersionsAreHashes,
    /// Each key of a commit is written on its own.
    KeysOneByOne,
    /// What could not be guarded is written all the same.
    ConflictWrites,
    /// Absence is never looked at.
    AbsenceUnguarded,
    /// Versions are never looked at.
    VersionsUnguarded,
    /// Only the first guard counts.
    OneGuardIsEnough,
    /// Guards are looked at some time before writing.
    LooksBeforeItLeaps,
    /// A client reads its own copy, which others do not change at once.
    StaleReads,
    /// Keys are read in two steps.
    TornReads,
    /// Values are cut.
    CutsValues,
    /// Only so many keys are listed.
    ListsFewKeys,
    /// Bytes that are no text are replaced.
    OnlyText,
    /// A watch begins with what comes next.
    WatchBeginsNow,
    /// A watch begins with the first change of all.
    WatchBeginsAtTheFirst,
    /// A watch loses every third event.
    WatchSkips,
    /// A watch shows the changes of an event backwards.
    WatchReverses,
    /// A watch shows each event twice.
    WatchRepeats,
    /// A wait that is dropped loses the event that it had received.
    WatchForgets,
    /// No answer in time is taken for no effect.
    TimeoutsAreUnavailable,
    /// The timeout is not looked at.
    NoTimeouts,
    /// A dropped call leaves the client locked.
    DroppedCallsLock,
}

/// A client of a good store, broken in one way.
#[derive(Debug)]
pub(crate) struct Mutant {
    pub(crate) inner: Arc<dyn Dcs>,
    pub(crate) fault: Fault,
    pub(crate) busy: Arc<AtomicBool>,
    pub(crate) reads: AtomicU64,
    pub(crate) last: Mutex<Option<Snapshot>>,
}

impl Mutant {
    pub(crate) fn new(inner: Arc<dyn Dcs>, fault: Fault) -> Self {
        Self { inner, fault, busy: Arc::default(), reads: AtomicU64::new(0), last: Mutex::default() }
    }

    async fn entered(&self, timeout: Duration) -> Result<(), Error> {
        if self.fault == Fault::DroppedCallsLock {
            if self.busy.swap(true, Ordering::SeqCst) {
                tokio::time::sleep(timeout.min(Duration::from_millis(50))).await;
                return Err(Error::new(ErrorKind::Unavailable, "the client is busy with an earlier call"));
            }
            tokio::task::yield_now().await;
        }
        Ok(())
    }

    fn left(&self) {
        self.busy.store(false, Ordering::SeqCst);
    }

    fn twisted(&self, mut snapshot: Snapshot) -> Snapshot {
        match self.fault {
            Fault::VersionsAreHashes => {
                for entry in snapshot.entries.values_mut() {
                    entry.version = hash(&entry.value);
                }
            }
            Fault::CutsValues => snapshot.entries.values_mut().for_each(|entry| entry.value.truncate(64 * 1024)),
            Fault::ListsFewKeys => snapshot.entries = snapshot.entries.into_iter().take(100).collect(),
            Fault::OnlyText => {
                for entry in snapshot.entries.values_mut() {
                    entry.value = String::from_utf8_lossy(&entry.value).into_owned().into_bytes();
                }
            }
            _ => {}
        }
        snapshot
    }

    async fn rewritten(&self, commit: &Commit, timeout: Duration) -> Result<Committed, Error> {
        let mut changed = commit.clone();
        match self.fault {
            Fault::AbsenceUnguarded => changed.guards.retain(|guard| !matches!(guard, Guard::Absent(_))),
            Fault::VersionsUnguarded => changed.guards.retain(|guard| !matches!(guard, Guard::Version(..))),
            Fault::OneGuardIsEnough => changed.guards.truncate(1),
            Fault::EqualBytesKeepTheVersion => {
                let now = self.inner.read(timeout).await?.entries;
                let same = |key: &Key, value: &Vec<u8>| now.get(key).filter(|entry| entry.value == *value).cloned();
                let kept: BTreeMap<Key, Entry> =
                    commit.writes.iter().filter_map(|(key, value)| Some((key.clone(), same(key, value)?))).collect();
                changed.writes.retain(|key, _| !kept.contains_key(key));
                let mut done = self.inner.commit(&changed, timeout).await?;
                done.versions.extend(kept.into_iter().map(|(key, entry)| (key, entry.version)));
                return Ok(done);
            }
            Fault::VersionsAreHashes => {
                let now = self.inner.read(timeout).await?.entries;
                changed.guards.clear();
                for guard in &commit.guards {
                    changed.guards.push(match guard {
                        Guard::Version(key, version) => match now.get(key) {
                            Some(entry) if hash(&entry.value) == *version => Guard::Version(key.clone(), entry.version),
                            _ => Guard::Version(key.clone(), Version(u64::MAX)),
                        },
                        Guard::Absent(key) => Guard::Absent(key.clone()),
                    });
                }
                let mut done = self.inner.commit(&changed, timeout).await?;
                for (key, version) in &mut done.versions {
                    *version = commit.writes.get(key).map_or(*version, |value| hash(value));
                }
                return Ok(done);
            }
            Fault::LooksBeforeItLeaps => {
                let now = self.inner.read(timeout).await?.entries;
                let holds = |guard: &Guard| match guard {
                    Guard::Absent(key) => !now.contains_key(key),
                    Guard::Version(key, version) => now.get(key).is_some_and(|entry| entry.version == *version),
                };
                if !commit.guards.iter().all(holds) {
                    return Err(Error::new(ErrorKind::Conflict, "a guard does not hold"));
                }
                tokio::task::yield_now().await;
                changed.guards.clear();
            }
            Fault::KeysOneByOne => {
                let mut all = Committed { versions: BTreeMap::new() };
                for (key, value) in &commit.writes {
                    let one = Commit {
                        guards: changed.guards.split_off(0),
                        writes: BTreeMap::from([(key.clone(), value.clone())]),
                    };
                    all.versions.extend(self.inner.commit(&one, timeout).await?.versions);
                    tokio::task::yield_now().await;
                }
                return Ok(all);
            }
            _ => {}
        }
        let result = self.inner.commit(&changed, timeout).await;
        if self.fault == Fault::ConflictWrites && result.is_err() {
            changed.guards.clear();
            self.inner.commit(&changed, timeout).await?;
        }
        result
    }
}

fn hash(value: &[u8]) -> Version {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    Version(hasher.finish() >> 1)
}

#[async_trait]
impl Dcs for Mutant {
    fn capabilities(&self) -> DcsCapabilities {
        self.inner.capabilities()
    }

    async fn read(&self, timeout: Duration) -> Result<Snapshot, Error> {
        self.entered(timeout).await?;
        let snapshot = self.inner.read(timeout).await;
        self.left();
        let snapshot = self.twisted(snapshot?);
        match self.fault {
            Fault::StaleReads => {
                let mut last = self.last.lock().unwrap();
                let old = last.replace(snapshot.clone());
                let is_turn = self.reads.fetch_add(1, Ordering::SeqCst) % 4 == 3;
                Ok(if is_turn { old.unwrap_or(snapshot) } else { snapshot })
            }
            Fault::TornReads => {
                tokio::task::yield_now().await;
                let later = self.inner.read(timeout).await?;
                let mut torn = snapshot;
                for (number, (key, entry)) in later.entries.into_iter().enumerate() {
                    if number % 2 == 1 {
                        torn.entries.insert(key, entry);
                    }
                }
                Ok(torn)
            }
            _ => Ok(snapshot),
        }
    }

    async fn commit(&self, commit: &Commit, timeout: Duration) -> Result<Committed, Error> {
        match self.fault {
            Fault::TimeoutsAreUnavailable if timeout < Duration::from_millis(2) => {
                // The answer is not awaited, and the commit happens.
                let _ = self.inner.commit(commit, Duration::from_secs(5)).await;
                Err(Error::new(ErrorKind::Unavailable, "no answer in time"))
            }
            Fault::NoTimeouts if timeout.is_zero() => std::future::pending().await,
            _ => {
                self.entered(timeout).await?;
                let result = self.rewritten(commit, timeout).await;
                self.left();
                result
            }
        }
    }

    async fn watch(&self, from: Revision, timeout: Duration) -> Result<Box<dyn DcsWatch>, Error> {
        let from = match self.fault {
            Fault::WatchBeginsNow => self.inner.read(timeout).await?.revision,
            Fault::WatchBeginsAtTheFirst => Revision(0),
            _ => from,
        };
        let inner = self.inner.watch(from, timeout).await?;
        Ok(Box::new(MutantWatch { inner, fault: self.fault, events: 0, again: None }))
    }
}

#[derive(Debug)]
struct MutantWatch {
    inner: Box<dyn DcsWatch>,
    fault: Fault,
    events: u64,
    again: Option<WatchEvent>,
}

#[async_trait]
impl DcsWatch for MutantWatch {
    async fn next(&mut self) -> Result<WatchEvent, Error> {
        if let Some(again) = self.again.take() {
            return Ok(again);
        }
        loop {
            let mut event = self.inner.next().await?;
            self.events += 1;
            match (self.fault, &mut event) {
                (Fault::WatchSkips, _) if self.events.is_multiple_of(3) => continue,
                (Fault::WatchForgets, _) => tokio::task::yield_now().await,
                (Fault::WatchRepeats, event) => self.again = Some(event.clone()),
                (Fault::WatchReverses, WatchEvent::Changed { changes, .. }) => changes.reverse(),
                _ => {}
            }
            return Ok(event);
        }
    }
}
