//! A world small enough to be read at once: a store in memory, a database that is only its status, and gates that block threads.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use odoo_ha_core::database::*;
use odoo_ha_core::error::{Error, ErrorKind};
use odoo_ha_core::event::Event;
use odoo_ha_core::lsn::{Lsn, Timeline};
use odoo_ha_core::member::{DataId, MemberId, SystemId};
use odoo_ha_core::roles::*;
use odoo_ha_core::store::{Change, Commit, Committed, Entry, Guard, Key, Revision, Snapshot, Version};
use odoo_ha_core::term::Term;
use tokio::sync::watch;

/// Blocks the thread of whoever comes to it, from [`close`](Self::close) to [`open`](Self::open) or the end of the test.
#[derive(Clone, Debug, Default)]
pub(crate) struct Gate(Arc<(Mutex<GateState>, Condvar)>);

#[derive(Debug, Default)]
struct GateState {
    closed: bool,
    waiting: usize,
}

impl Gate {
    pub(crate) fn close(&self) {
        self.0.0.lock().unwrap().closed = true;
    }

    pub(crate) fn open(&self) {
        self.0.0.lock().unwrap().closed = false;
        self.0.1.notify_all();
    }

    /// How many threads it blocks now.
    pub(crate) fn waiting(&self) -> usize {
        self.0.0.lock().unwrap().waiting
    }

    pub(crate) fn pass(&self) {
        let mut state = self.0.0.lock().unwrap();
        state.waiting += 1;
        let mut state = self.0.1.wait_while(state, |state| state.closed).unwrap();
        state.waiting -= 1;
    }
}

/// The coordination store.
#[derive(Debug)]
pub(crate) struct Store {
    state: Mutex<StoreState>,
    newest: watch::Sender<u64>,
    renewals: AtomicU64,
}

#[derive(Debug, Default)]
struct StoreState {
    entries: BTreeMap<Key, Entry>,
    changes: Vec<(u64, Change)>,
}

impl Store {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { state: Mutex::default(), newest: watch::Sender::new(0), renewals: AtomicU64::new(0) })
    }

    /// How often the leader record was written.
    pub(crate) fn renewals(&self) -> u64 {
        self.renewals.load(Ordering::SeqCst)
    }
}

/// A client of the store.
#[derive(Debug)]
pub(crate) struct Client(pub(crate) Arc<Store>);

#[async_trait]
impl Dcs for Client {
    fn capabilities(&self) -> DcsCapabilities {
        DcsCapabilities::new(false, false)
    }

    async fn read(&self, _timeout: Duration) -> Result<Snapshot, Error> {
        let state = self.0.state.lock().unwrap();
        Ok(Snapshot { revision: Revision(*self.0.newest.borrow()), entries: state.entries.clone() })
    }

    async fn commit(&self, commit: &Commit, _timeout: Duration) -> Result<Committed, Error> {
        let mut state = self.0.state.lock().unwrap();
        let holds = commit.guards.iter().all(|guard| match guard {
            Guard::Absent(key) => !state.entries.contains_key(key),
            Guard::Version(key, version) => state.entries.get(key).is_some_and(|entry| entry.version == *version),
        });
        if !holds {
            return Err(Error::new(ErrorKind::Conflict, "a guard did not hold"));
        }
        let revision = *self.0.newest.borrow() + 1;
        let mut versions = BTreeMap::new();
        for (key, value) in &commit.writes {
            let entry = Entry { version: Version(revision), value: value.clone() };
            state.entries.insert(key.clone(), entry.clone());
            state.changes.push((revision, Change { key: key.clone(), entry: Some(entry) }));
            versions.insert(key.clone(), Version(revision));
            if *key == Key::leader() {
                self.0.renewals.fetch_add(1, Ordering::SeqCst);
            }
        }
        self.0.newest.send_replace(revision);
        Ok(Committed { versions })
    }

    async fn watch(&self, from: Revision, _timeout: Duration) -> Result<Box<dyn DcsWatch>, Error> {
        Ok(Box::new(Watch { store: self.0.clone(), newest: self.0.newest.subscribe(), told: from.0 }))
    }
}

#[derive(Debug)]
struct Watch {
    store: Arc<Store>,
    newest: watch::Receiver<u64>,
    told: u64,
}

#[async_trait]
impl DcsWatch for Watch {
    async fn next(&mut self) -> Result<WatchEvent, Error> {
        loop {
            {
                let state = self.store.state.lock().unwrap();
                let newest = *self.newest.borrow_and_update();
                let begin = state.changes.partition_point(|(revision, _)| *revision <= self.told);
                let changes: Vec<Change> = state.changes[begin..].iter().map(|(_, change)| change.clone()).collect();
                self.told = self.told.max(newest);
                if !changes.is_empty() {
                    return Ok(WatchEvent::Changed { revision: Revision(self.told), changes });
                }
            }
            self.newest.changed().await.map_err(|_| Error::new(ErrorKind::Unavailable, "the store is gone"))?;
        }
    }
}

/// A database that is only its status, and outlives agents. Each method passes a gate of its name.
#[derive(Debug)]
pub(crate) struct Database {
    name: &'static str,
    status: Mutex<DatabaseStatus>,
    /// Counts the ends of its process.
    ends: watch::Sender<u64>,
    pub(crate) status_gate: Gate,
    pub(crate) slots_gate: Gate,
    pub(crate) stop_gate: Gate,
    pub(crate) panics: Mutex<bool>,
}

impl Database {
    pub(crate) fn absent(name: &'static str) -> Arc<Self> {
        Arc::new(Self {
            name,
            status: Mutex::new(DatabaseStatus::absent()),
            ends: watch::Sender::new(0),
            status_gate: Gate::default(),
            slots_gate: Gate::default(),
            stop_gate: Gate::default(),
            panics: Mutex::new(false),
        })
    }

    pub(crate) fn state(&self) -> DatabaseState {
        self.status.lock().unwrap().state
    }

    /// Its process dies.
    pub(crate) fn die(&self) {
        self.change(|status| status.state = DatabaseState::Crashed);
        self.ends.send_modify(|ends| *ends += 1);
    }

    fn change<T>(&self, change: impl FnOnce(&mut DatabaseStatus) -> T) -> T {
        change(&mut self.status.lock().unwrap())
    }

    fn data(&self) -> Option<DataId> {
        Some(DataId(format!("data_of_{}", self.name)))
    }
}

#[async_trait]
impl ReplicationManager for Database {
    fn capabilities(&self) -> ReplicationCapabilities {
        ReplicationCapabilities::new(true, true, true)
    }

    async fn status(&self, _timeout: Duration) -> Result<DatabaseStatus, Error> {
        self.status_gate.pass();
        assert!(!*self.panics.lock().unwrap(), "the test wants a panic");
        Ok(self.status.lock().unwrap().clone())
    }

    async fn exited(&self) {
        let mut ends = self.ends.subscribe();
        if self.state().runs() {
            let _ = ends.changed().await;
        }
    }

    async fn bootstrap(&self, order: &BootstrapOrder, _timeout: Duration) -> Result<Bootstrapped, Error> {
        let (system_id, timeline, lsn) = (SystemId(42), Timeline(1), Lsn(0x100_0000));
        self.change(|status| {
            status.state = DatabaseState::Primary;
            status.system_id = Some(system_id);
            status.data_id = self.data();
            status.term = order.term;
            (status.timeline, status.lsn, status.replayed) = (timeline, lsn, lsn);
            status.synchronous = Some(SynchronousStandbys::Nobody);
        });
        Ok(Bootstrapped { system_id, data_id: DataId(format!("data_of_{}", self.name)), timeline, lsn })
    }

    async fn start_primary(&self, order: &StartPrimaryOrder, _timeout: Duration) -> Result<Started, Error> {
        self.change(|status| {
            if status.term != order.term {
                return Err(Error::new(ErrorKind::Fenced, "the data are of another term"));
            }
            status.state = DatabaseState::Primary;
            status.synchronous = Some(order.synchronous.clone());
            Ok(Started { lsn: status.lsn, timeline: status.timeline })
        })
    }

    async fn checkpoint(&self, _timeout: Duration) -> Result<(), Error> {
        Ok(())
    }

    async fn stop(&self, _mode: StopMode, _timeout: Duration) -> Result<Stopped, Error> {
        self.stop_gate.pass();
        let stopped = self.change(|status| {
            if status.state.has_data() {
                status.state = DatabaseState::StoppedCleanly;
            }
            Stopped { clean: true, lsn: status.lsn, timeline: status.timeline }
        });
        self.ends.send_modify(|ends| *ends += 1);
        Ok(stopped)
    }

    async fn follow(&self, order: &FollowOrder, _timeout: Duration) -> Result<Followed, Error> {
        self.change(|status| {
            status.state = DatabaseState::Standby;
            status.system_id = Some(order.system_id);
            status.data_id = self.data();
            status.term = order.term;
            status.timeline = order.timeline;
            (status.lsn, status.replayed) = (Lsn(0x100_0000), Lsn(0x100_0000));
            status.streaming = true;
            status.upstream = Some(order.upstream.member.clone());
            status.synchronous = Some(SynchronousStandbys::Nobody);
        });
        Ok(Followed { by: FollowedBy::Clone, data_id: DataId(format!("data_of_{}", self.name)) })
    }

    async fn freeze(&self, _timeout: Duration) -> Result<Frozen, Error> {
        self.change(|status| {
            status.state = DatabaseState::Standby;
            (status.streaming, status.upstream) = (false, None);
            Ok(Frozen { data_id: self.data().unwrap(), lsn: status.lsn, timeline: status.timeline })
        })
    }

    async fn promote(&self, order: &PromoteOrder, _timeout: Duration) -> Result<Promoted, Error> {
        self.change(|status| {
            status.state = DatabaseState::Primary;
            (status.term, status.timeline) = (order.term, order.timeline);
            status.synchronous = Some(order.synchronous.clone());
            Ok(Promoted { timeline: status.timeline, switch_lsn: status.lsn, lsn: status.lsn })
        })
    }

    async fn set_synchronous(&self, order: &SynchronousOrder, _timeout: Duration) -> Result<(), Error> {
        self.change(|status| status.synchronous = Some(order.standbys.clone()));
        Ok(())
    }

    async fn keep_slots(&self, _members: &BTreeSet<MemberId>, _timeout: Duration) -> Result<(), Error> {
        self.slots_gate.pass();
        Ok(())
    }
}

/// An address; looking at it passes a gate.
#[derive(Debug, Default)]
pub(crate) struct Address {
    pub(crate) here: Mutex<bool>,
    pub(crate) look_gate: Gate,
}

#[async_trait]
impl FloatingIp for Address {
    fn capabilities(&self) -> FloatingIpCapabilities {
        FloatingIpCapabilities::none().fences_by_term(true).moves_authoritatively(true)
    }

    async fn attach(&self, _term: Term, _timeout: Duration) -> Result<(), Error> {
        *self.here.lock().unwrap() = true;
        Ok(())
    }

    async fn detach(&self, _timeout: Duration) -> Result<(), Error> {
        *self.here.lock().unwrap() = false;
        Ok(())
    }

    async fn look(&self, _timeout: Duration) -> Result<AddressState, Error> {
        self.look_gate.pass();
        Ok(if *self.here.lock().unwrap() { AddressState::Here } else { AddressState::NotHere })
    }
}

/// Services, files, a notifier and a probe that do nothing but pass a gate.
#[derive(Debug, Default)]
pub(crate) struct Helper {
    pub(crate) gate: Gate,
    pub(crate) healthy: Mutex<bool>,
    pub(crate) told: Mutex<Vec<String>>,
}

#[async_trait]
impl ServiceManager for Helper {
    async fn start(&self, _term: Term, _timeout: Duration) -> Result<(), Error> {
        self.gate.pass();
        Ok(())
    }

    async fn stop(&self, _timeout: Duration) -> Result<(), Error> {
        Ok(())
    }

    async fn restart(&self, _term: Term, _timeout: Duration) -> Result<(), Error> {
        self.gate.pass();
        Ok(())
    }

    async fn status(&self, _timeout: Duration) -> Result<ServiceState, Error> {
        Ok(ServiceState::Running)
    }
}

#[async_trait]
impl FilestoreSync for Helper {
    async fn lead(&self, _term: Term, _timeout: Duration) -> Result<(), Error> {
        self.gate.pass();
        Ok(())
    }

    async fn follow(
        &self,
        _term: Term,
        _leader: &MemberId,
        _endpoint: Option<&Endpoint>,
        _timeout: Duration,
    ) -> Result<(), Error> {
        self.gate.pass();
        Ok(())
    }

    async fn rest(&self, _timeout: Duration) -> Result<(), Error> {
        self.gate.pass();
        Ok(())
    }

    async fn status(&self, _timeout: Duration) -> Result<FilestoreStatus, Error> {
        Ok(FilestoreStatus::default())
    }
}

#[async_trait]
impl Notifier for Helper {
    async fn notify(&self, event: &Event, _timeout: Duration) -> Result<(), Error> {
        self.gate.pass();
        self.told.lock().unwrap().push(event.id.clone());
        Ok(())
    }
}

#[async_trait]
impl HealthProbe for Helper {
    fn name(&self) -> &str {
        "page"
    }

    async fn check(&self, _timeout: Duration) -> Result<Verdict, Error> {
        self.gate.pass();
        Ok(if *self.healthy.lock().unwrap() { Verdict::Healthy } else { Verdict::Unhealthy("it is ill".into()) })
    }
}
