//! The databases of one cluster's members, in one file that their processes share: as quick as memory, and they outlive a killed agent.
//!
//! Nobody writes rows to them. All else is as a database does it: roles, timelines, whose copy may follow whom.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use odoo_ha_core::database::{
    BootstrapOrder, Bootstrapped, DatabaseState, DatabaseStatus, FollowOrder, Followed, FollowedBy, Frozen,
    PromoteOrder, Promoted, StandbyStatus, StartPrimaryOrder, Started, StopMode, Stopped, SynchronousOrder,
    SynchronousStandbys,
};
use odoo_ha_core::error::{Error, ErrorKind};
use odoo_ha_core::lsn::{Lsn, Timeline};
use odoo_ha_core::member::{DataId, MemberId, SystemId};
use odoo_ha_core::roles::{ReplicationCapabilities, ReplicationManager};
use odoo_ha_core::term::Term;
use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};

/// Between two looks whether the database has ended.
const LOOK: Duration = Duration::from_millis(100);

/// One member's database.
#[derive(Clone, Debug)]
pub(super) struct SharedDatabase {
    directory: PathBuf,
    member: MemberId,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Data {
    system_id: SystemId,
    data_id: DataId,
    term: Term,
    /// Its timelines, each with the place where it ends so far.
    log: Vec<(Timeline, u64)>,
    running: bool,
    clean: bool,
    standby: bool,
    upstream: Option<MemberId>,
    synchronous: SynchronousStandbys,
    switch_lsn: Lsn,
}

type World = BTreeMap<MemberId, Data>;

impl SharedDatabase {
    pub(super) fn new(directory: &Path, member: MemberId) -> Self {
        Self { directory: directory.to_owned(), member }
    }

    /// Ends its process, as the death of its machine does.
    pub(super) fn kill(&self) -> Result<(), Error> {
        self.change(|world| {
            world.get_mut(&self.member).into_iter().for_each(|data| data.running = false);
            Ok(())
        })
    }

    /// Changes the world in one step that no other process sees half-done, and lets everything stream.
    fn change<T>(&self, change: impl FnOnce(&mut World) -> Result<T, Error>) -> Result<T, Error> {
        // Released with the file, a killed process's too.
        let lock: File = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(self.directory.join("databases.lock"))
            .map_err(disk)?;
        flock(&lock, FlockOperation::LockExclusive).map_err(|error| disk(error.into()))?;
        let mut world = self.look()?;
        let output = change(&mut world)?;
        settle(&mut world);
        let beside = self.directory.join("databases.new");
        std::fs::write(&beside, serde_json::to_vec(&world).map_err(broken)?).map_err(disk)?;
        std::fs::rename(&beside, self.file()).map_err(disk)?;
        Ok(output)
    }

    /// All databases as they are now.
    fn look(&self) -> Result<World, Error> {
        match std::fs::read(self.file()) {
            Ok(text) => serde_json::from_slice(&text).map_err(broken),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(World::new()),
            Err(error) => Err(disk(error)),
        }
    }

    fn file(&self) -> PathBuf {
        self.directory.join("databases.json")
    }

    /// Changes this member's data.
    fn change_own<T>(&self, change: impl FnOnce(&mut Data) -> Result<T, Error>) -> Result<T, Error> {
        self.change(|world| change(world.get_mut(&self.member).ok_or_else(|| self.not_ready("has no data"))?))
    }

    fn not_ready(&self, what: &str) -> Error {
        Error::new(ErrorKind::NotReady, format!("the database of {} {what}", self.member))
    }

    fn not_older(&self, term: Term, data: &Data) -> Result<(), Error> {
        if term >= data.term {
            return Ok(());
        }
        Err(Error::new(ErrorKind::Fenced, format!("the data of {} are of term {}", self.member, data.term)))
    }
}

fn disk(error: std::io::Error) -> Error {
    Error::new(ErrorKind::Disk, "the databases of the benchmark").caused_by(error)
}

fn broken(error: serde_json::Error) -> Error {
    Error::new(ErrorKind::Malformed, "the databases of the benchmark").caused_by(error)
}

impl Data {
    fn timeline(&self) -> Timeline {
        self.log.last().map_or(Timeline(0), |(timeline, _)| *timeline)
    }

    fn end(&self) -> Lsn {
        Lsn(self.log.last().map_or(0, |(_, end)| *end))
    }

    fn is_prefix_of(&self, other: &Self) -> bool {
        let last = self.log.len().saturating_sub(1);
        self.system_id == other.system_id
            && self.log.iter().enumerate().all(|(place, (timeline, end))| {
                other.log.get(place).is_some_and(|(its, its_end)| {
                    its == timeline && if place == last { end <= its_end } else { end == its_end }
                })
            })
    }
}

/// The data that this standby streams from now.
fn source<'a>(world: &'a World, standby: &MemberId) -> Option<(&'a MemberId, &'a Data)> {
    let data = world.get(standby).filter(|data| data.running && data.standby)?;
    let (member, source) = world.get_key_value(data.upstream.as_ref()?)?;
    (source.running && data.is_prefix_of(source)).then_some((member, source))
}

/// Lets every standby receive what its upstream has.
fn settle(world: &mut World) {
    for _ in 0..world.len() {
        let members: Vec<_> = world.keys().cloned().collect();
        for member in members {
            let Some(log) = source(world, &member).map(|(_, source)| source.log.clone()) else { continue };
            world.get_mut(&member).into_iter().for_each(|data| data.log.clone_from(&log));
        }
    }
}

#[async_trait]
impl ReplicationManager for SharedDatabase {
    fn capabilities(&self) -> ReplicationCapabilities {
        ReplicationCapabilities::new(true, true, true)
    }

    async fn status(&self, _timeout: Duration) -> Result<DatabaseStatus, Error> {
        let world = self.look()?;
        let Some(data) = world.get(&self.member) else { return Ok(DatabaseStatus::absent()) };
        let mut status = DatabaseStatus::absent();
        status.state = match (data.running, data.standby, data.clean) {
            (true, true, _) => DatabaseState::Standby,
            (true, false, _) => DatabaseState::Primary,
            (false, _, true) => DatabaseState::StoppedCleanly,
            (false, _, false) => DatabaseState::Crashed,
        };
        status.system_id = Some(data.system_id);
        status.data_id = Some(data.data_id.clone());
        status.term = data.term;
        status.timeline = data.timeline();
        (status.lsn, status.replayed) = (data.end(), data.end());
        status.streaming = source(&world, &self.member).is_some();
        status.upstream = data.upstream.clone().filter(|_| data.standby);
        if data.running {
            status.synchronous = Some(data.synchronous.clone());
            let streams = |member: &&MemberId| source(&world, member).is_some_and(|(from, _)| *from == self.member);
            status.standbys = world.keys().filter(streams).map(|member| (member.clone(), seen(data, member))).collect();
        }
        Ok(status)
    }

    async fn exited(&self) {
        let runs = || self.look().map(|world| world.get(&self.member).is_some_and(|data| data.running));
        while runs().unwrap_or(true) {
            tokio::time::sleep(LOOK).await;
        }
    }

    async fn bootstrap(&self, order: &BootstrapOrder, _timeout: Duration) -> Result<Bootstrapped, Error> {
        self.change(|world| {
            let data = world.entry(self.member.clone()).or_insert_with(|| Data {
                system_id: SystemId(0x7000_0000_0000_0001),
                data_id: DataId(format!("made-by-{}", self.member)),
                term: order.term,
                log: vec![(Timeline(1), 1)],
                running: true,
                clean: false,
                standby: false,
                upstream: None,
                synchronous: SynchronousStandbys::Nobody,
                switch_lsn: Lsn(0),
            });
            (data.running, data.clean, data.term) = (true, false, order.term);
            Ok(Bootstrapped {
                system_id: data.system_id,
                data_id: data.data_id.clone(),
                timeline: data.timeline(),
                lsn: data.end(),
            })
        })
    }

    async fn start_primary(&self, order: &StartPrimaryOrder, _timeout: Duration) -> Result<Started, Error> {
        self.change_own(|data| {
            if order.term != data.term {
                return Err(Error::new(ErrorKind::Fenced, format!("the data are of term {}", data.term)));
            }
            if data.standby {
                return Err(self.not_ready("is a standby's"));
            }
            if !data.running {
                data.synchronous = order.synchronous.clone();
            }
            (data.running, data.clean) = (true, false);
            Ok(Started { lsn: data.end(), timeline: data.timeline() })
        })
    }

    async fn checkpoint(&self, _timeout: Duration) -> Result<(), Error> {
        Ok(())
    }

    async fn stop(&self, mode: StopMode, _timeout: Duration) -> Result<Stopped, Error> {
        self.change(|world| {
            let Some(data) = world.get_mut(&self.member) else {
                return Ok(Stopped { clean: true, lsn: Lsn(0), timeline: Timeline(0) });
            };
            if data.running {
                (data.running, data.clean) = (false, mode != StopMode::AtOnce { fast_for_ms: 0 });
            }
            Ok(Stopped { clean: data.clean, lsn: data.end(), timeline: data.timeline() })
        })
    }

    async fn follow(&self, order: &FollowOrder, _timeout: Duration) -> Result<Followed, Error> {
        self.change(|world| {
            let upstream = world.get(&order.upstream.member).filter(|data| data.running).cloned();
            let upstream =
                upstream.ok_or_else(|| Error::new(ErrorKind::Unavailable, "the upstream does not answer"))?;
            let own = world.get(&self.member);
            if let Some(data) = own {
                self.not_older(order.term, data)?;
                if data.running && !data.standby {
                    return Err(self.not_ready("is a running primary's"));
                }
            }
            let fits = own.filter(|data| !order.reclone && data.is_prefix_of(&upstream)).cloned();
            let (by, mut data) = match (fits, own) {
                (Some(data), _) => (FollowedBy::Nothing, data),
                (None, Some(_)) if !order.may_discard => {
                    return Err(Error::new(ErrorKind::Diverged, "the data hold what the leader lacks"));
                }
                (None, _) => {
                    let data_id = DataId(format!("copy-of-{}-{}", self.member, order.term));
                    (FollowedBy::Clone, Data { data_id, ..upstream })
                }
            };
            (data.term, data.running, data.clean, data.standby) = (order.term, true, false, true);
            data.upstream = Some(order.upstream.member.clone());
            let followed = Followed { by, data_id: data.data_id.clone() };
            world.insert(self.member.clone(), data);
            Ok(followed)
        })
    }

    async fn freeze(&self, _timeout: Duration) -> Result<Frozen, Error> {
        self.change_own(|data| {
            if data.running && !data.standby {
                return Err(self.not_ready("is a running primary's"));
            }
            (data.running, data.clean, data.standby, data.upstream) = (true, false, true, None);
            Ok(Frozen { data_id: data.data_id.clone(), lsn: data.end(), timeline: data.timeline() })
        })
    }

    async fn promote(&self, order: &PromoteOrder, _timeout: Duration) -> Result<Promoted, Error> {
        self.change_own(|data| {
            self.not_older(order.term, data)?;
            let is_so = data.running && !data.standby && (data.term, data.timeline()) == (order.term, order.timeline);
            if !is_so {
                if !data.running || !data.standby || data.upstream.is_some() || data.end() < order.at_least {
                    return Err(self.not_ready("is not frozen, or ends too early"));
                }
                data.synchronous = order.synchronous.clone();
                data.switch_lsn = data.end();
                data.log.push((order.timeline, data.end().0 + 1));
                (data.term, data.standby) = (order.term, false);
            }
            Ok(Promoted { timeline: order.timeline, switch_lsn: data.switch_lsn, lsn: data.end() })
        })
    }

    async fn set_synchronous(&self, order: &SynchronousOrder, _timeout: Duration) -> Result<(), Error> {
        // No commit is ever written, so a barrier is reached by whoever streams.
        self.change_own(|data| {
            self.not_older(order.term, data)?;
            data.synchronous = order.standbys.clone();
            Ok(())
        })
    }

    async fn keep_slots(&self, _members: &BTreeSet<MemberId>, _timeout: Duration) -> Result<(), Error> {
        Ok(())
    }
}

/// This standby as its upstream sees it.
fn seen(upstream: &Data, standby: &MemberId) -> StandbyStatus {
    let end = upstream.end();
    StandbyStatus { streaming: true, flushed: end, replayed: end, synchronous: upstream.synchronous.names(standby) }
}
