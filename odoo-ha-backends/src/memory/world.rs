//! A world of simulated databases.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use odoo_ha_core::database::{Endpoint, StandbyStatus, SynchronousStandbys};
use odoo_ha_core::error::{Error, ErrorKind};
use odoo_ha_core::lsn::Lsn;
use odoo_ha_core::member::MemberId;
use tokio::sync::watch;

use super::database::{Data, Database};
use super::replication::MemoryReplication;
use super::switch::lock;
use super::wal::Record;

/// Databases that stream from each other, with clients that write to them. A clone is the same world.
///
/// A database is a log of rows. A commit is acknowledged as PostgreSQL's are: when every standby that
/// `synchronous_standby_names` demands has it. Streaming takes no time. What survives what is real: a killed database keeps its
/// data, a promotion begins a timeline, and copies whose logs differ have diverged.
#[derive(Clone, Debug)]
pub struct MemoryWorld {
    inner: Arc<Mutex<Inner>>,
    changed: Arc<watch::Sender<u64>>,
}

#[derive(Debug, Default)]
pub(super) struct Inner {
    databases: BTreeMap<MemberId, Database>,
    cut: BTreeSet<(MemberId, MemberId)>,
    numbers: u64,
    acknowledged: Vec<u64>,
}

impl Default for MemoryWorld {
    fn default() -> Self {
        Self::new()
    }
}

impl MemoryWorld {
    /// A world without databases.
    #[must_use]
    pub fn new() -> Self {
        Self { inner: Arc::default(), changed: Arc::new(watch::Sender::new(0)) }
    }

    /// An instance over this member's data directory. Several may be opened, as agents come and go.
    #[must_use]
    pub fn open(&self, member: &MemberId) -> MemoryReplication {
        lock(&self.inner).databases.entry(member.clone()).or_default();
        MemoryReplication::new(self.clone(), member.clone())
    }

    /// An address to hand around; nothing listens there.
    pub fn endpoint(&self, member: &MemberId) -> Endpoint {
        Endpoint { host: member.as_str().to_owned(), port: 5432 }
    }

    /// Commits a row to this member's database as a client does, waits for the acknowledgement, and gives the row's number.
    ///
    /// # Errors
    ///
    /// `Unavailable` when the database is no primary that answers; `Unknown` when the acknowledgement did not come in time or the
    /// database went away while waiting. Cancelling is `Unknown`.
    pub async fn write(&self, member: &MemberId, timeout: Duration) -> Result<u64, Error> {
        let (number, lsn, start) = {
            let mut inner = self.lock();
            let database = inner.databases.get(member).filter(|database| database.is_primary() && !database.hung);
            let Some(start) = database.map(|database| database.starts) else {
                return Err(Error::new(ErrorKind::Unavailable, format!("the database of {member} takes no writes")));
            };
            let number = inner.append(member, true);
            inner.settle();
            (number, inner.end(member), start)
        };
        self.tell();
        let gone =
            || Error::new(ErrorKind::Unknown, format!("the database of {member} went away before it acknowledged"));
        let acknowledged = self.wait(timeout, |inner| {
            let alive =
                inner.databases.get(member).is_some_and(|database| database.is_primary() && database.starts == start);
            if !alive {
                return Some(Err(gone()));
            }
            (!inner.is_hung(member) && inner.acknowledges(member, lsn)).then_some(Ok(()))
        });
        acknowledged
            .await
            .ok_or_else(|| Error::new(ErrorKind::Unknown, format!("no acknowledgement in {timeout:?}")))??;
        lock(&self.inner).acknowledged.push(number);
        Ok(number)
    }

    /// The rows in this member's data, in the order of its log.
    pub fn rows(&self, member: &MemberId) -> Vec<u64> {
        let inner = lock(&self.inner);
        inner
            .databases
            .get(member)
            .and_then(|database| database.data.as_ref())
            .map_or_else(Vec::new, |data| data.wal.rows())
    }

    /// All rows whose commit was acknowledged to a client: what no failover may lose in a synchronous mode.
    pub fn acknowledged(&self) -> Vec<u64> {
        lock(&self.inner).acknowledged.clone()
    }

    /// Kills this member's database (SIGKILL).
    pub fn kill(&self, member: &MemberId) {
        self.change(|inner| inner.database(member).kill());
    }

    /// Makes this member's database hang (SIGSTOP), or go on. While it hangs it neither answers, sends nor receives.
    pub fn set_hung(&self, member: &MemberId, hung: bool) {
        self.change(|inner| {
            let database = inner.database(member);
            database.hung = hung && database.running;
        });
    }

    /// Cuts the line between two databases, or mends it.
    pub fn set_cut(&self, one: &MemberId, other: &MemberId, cut: bool) {
        self.change(|inner| {
            for pair in [(one.clone(), other.clone()), (other.clone(), one.clone())] {
                if cut {
                    inner.cut.insert(pair);
                } else {
                    inner.cut.remove(&pair);
                }
            }
        });
    }

    /// Removes this member's process and data, as a lost disk does.
    pub fn erase(&self, member: &MemberId) {
        self.change(|inner| {
            let database = inner.database(member);
            database.kill();
            database.data = None;
        });
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Inner> {
        lock(&self.inner)
    }

    /// Changes the world in one step, lets everything stream, and wakes who waits.
    pub(super) fn change<T>(&self, change: impl FnOnce(&mut Inner) -> T) -> T {
        let output = {
            let mut inner = self.lock();
            let output = change(&mut inner);
            inner.settle();
            output
        };
        self.tell();
        output
    }

    fn tell(&self) {
        self.changed.send_modify(|count| *count += 1);
    }

    /// Waits for something in the world; `None` when the time is over.
    pub(super) async fn wait<T>(&self, timeout: Duration, look: impl Fn(&Inner) -> Option<T>) -> Option<T> {
        let mut changed = self.changed.subscribe();
        let waiting = async {
            loop {
                if let Some(found) = look(&self.lock()) {
                    return Some(found);
                }
                changed.changed().await.ok()?;
            }
        };
        tokio::time::timeout(timeout, waiting).await.ok().flatten()
    }
}

impl Inner {
    pub(super) fn database(&mut self, member: &MemberId) -> &mut Database {
        self.databases.entry(member.clone()).or_default()
    }

    pub(super) fn get(&self, member: &MemberId) -> Option<&Database> {
        self.databases.get(member)
    }

    pub(super) fn number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }

    pub(super) fn is_hung(&self, member: &MemberId) -> bool {
        self.get(member).is_some_and(|database| database.hung)
    }

    pub(super) fn end(&self, member: &MemberId) -> Lsn {
        self.get(member).and_then(|database| database.data.as_ref()).map_or(Lsn(0), |data| data.wal.end())
    }

    /// Appends a record to this member's log, on the timeline it is on.
    pub(super) fn append(&mut self, member: &MemberId, row: bool) -> u64 {
        let number = self.number();
        if let Some(data) = &mut self.database(member).data {
            let timeline = data.wal.timeline();
            data.wal.push(Record { number, timeline, row });
        }
        number
    }

    /// The data of a database that another may stream from.
    pub(super) fn reachable(&self, from: &MemberId, upstream: &MemberId) -> Option<&Data> {
        if self.cut.contains(&(from.clone(), upstream.clone())) {
            return None;
        }
        self.get(upstream)?.answering()
    }

    /// The data of the upstream that this standby streams from now.
    pub(super) fn streams_from(&self, standby: &MemberId) -> Option<(&MemberId, &Data)> {
        let data = self.get(standby)?.answering().filter(|data| data.standby)?;
        let upstream = data.upstream.as_ref()?;
        let source = self.reachable(standby, upstream)?;
        (source.system_id == data.system_id && data.wal.is_prefix_of(&source.wal)).then_some((upstream, source))
    }

    /// Lets every standby receive what its upstream has, through any number of others.
    pub(super) fn settle(&mut self) {
        loop {
            let step = self.databases.keys().find_map(|standby| {
                let (_, source) = self.streams_from(standby)?;
                (self.end(standby) < source.wal.end()).then(|| (standby.clone(), source.wal.clone()))
            });
            let Some((standby, wal)) = step else { return };
            if let Some(data) = &mut self.database(&standby).data {
                data.wal = wal;
            }
        }
    }

    pub(super) fn standbys(&self, upstream: &MemberId) -> BTreeMap<MemberId, StandbyStatus> {
        let synchronous = self.get(upstream).and_then(|database| database.data.as_ref()).map(|data| &data.synchronous);
        self.databases
            .keys()
            .filter(|standby| self.streams_from(standby).is_some_and(|(source, _)| source == upstream))
            .map(|standby| {
                let end = self.end(standby);
                let counts = synchronous.is_some_and(|names| names.names(standby));
                (standby.clone(), StandbyStatus { streaming: true, flushed: end, replayed: end, synchronous: counts })
            })
            .collect()
    }

    /// Whether a commit at this place is acknowledged by this primary now.
    fn acknowledges(&self, primary: &MemberId, lsn: Lsn) -> bool {
        let Some(data) = self.get(primary).and_then(|database| database.data.as_ref()) else { return false };
        let have = self
            .standbys(primary)
            .iter()
            .filter(|(member, standby)| data.synchronous.names(member) && standby.flushed >= lsn)
            .count();
        have >= data.synchronous.required()
    }

    /// Whether every standby that is named has all of this primary's log up to this place.
    pub(super) fn barrier(&self, primary: &MemberId, names: &SynchronousStandbys, lsn: Lsn) -> bool {
        let standbys = self.standbys(primary);
        match names {
            SynchronousStandbys::Nobody => true,
            SynchronousStandbys::AllOf(names) | SynchronousStandbys::AnyOf { names, .. } => {
                names.iter().all(|name| standbys.get(name).is_some_and(|standby| standby.flushed >= lsn))
            }
        }
    }
}
