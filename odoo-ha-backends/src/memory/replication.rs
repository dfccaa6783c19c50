//! The local database of one node of a simulated world.

use std::collections::BTreeSet;
use std::time::Duration;

use async_trait::async_trait;
use odoo_ha_core::database::{
    BootstrapOrder, Bootstrapped, DatabaseState, DatabaseStatus, FollowOrder, Followed, FollowedBy, Frozen,
    PromoteOrder, Promoted, StartPrimaryOrder, Started, StopMode, Stopped, SynchronousOrder, SynchronousStandbys,
};
use odoo_ha_core::error::{Error, ErrorKind};
use odoo_ha_core::lsn::{Lsn, Timeline};
use odoo_ha_core::member::{DataId, MemberId, SystemId};
use odoo_ha_core::roles::{ReplicationCapabilities, ReplicationManager};
use odoo_ha_core::term::Term;

use super::database::Data;
use super::wal::{Record, Wal};
use super::world::{Inner, MemoryWorld};

/// One member's database in a [`MemoryWorld`]. A clone is the same instance; the database outlives them all.
#[derive(Clone, Debug)]
pub struct MemoryReplication {
    world: MemoryWorld,
    member: MemberId,
}

impl MemoryReplication {
    pub(super) const fn new(world: MemoryWorld, member: MemberId) -> Self {
        Self { world, member }
    }

    /// The member whose database it is.
    pub const fn member(&self) -> &MemberId {
        &self.member
    }

    /// Waits out the timeout when the database hangs.
    async fn unless_hung(&self, timeout: Duration) -> Result<(), Error> {
        if self.world.lock().is_hung(&self.member) {
            tokio::time::sleep(timeout).await;
            return Err(Error::new(ErrorKind::Unknown, format!("the database of {} did not answer", self.member)));
        }
        Ok(())
    }

    fn not_ready(&self, why: &str) -> Error {
        Error::new(ErrorKind::NotReady, format!("the database of {} {why}", self.member))
    }

    fn not_older(&self, order: Term, data: &Data) -> Result<(), Error> {
        if order < data.term {
            let seen = data.term;
            return Err(Error::new(
                ErrorKind::Fenced,
                format!("the data of {} have seen term {seen}, not {order}", self.member),
            ));
        }
        Ok(())
    }

    fn same_cluster(&self, order: SystemId, data: &Data) -> Result<(), Error> {
        if data.system_id != order {
            return Err(Error::new(
                ErrorKind::Misconfigured,
                format!("the data of {} are another cluster's", self.member),
            ));
        }
        Ok(())
    }

    fn begin(&self, inner: &mut Inner, order: &BootstrapOrder) -> Result<Bootstrapped, Error> {
        let refused =
            |what: &str| Error::new(ErrorKind::Misconfigured, format!("the data directory of {} {what}", self.member));
        match (&inner.database(&self.member).data, order.adopt) {
            (Some(_), false) => return Err(refused("is not empty").hint("adopt what is there, or give an empty one")),
            (None, true) => return Err(refused("is empty: there is nothing to adopt")),
            (Some(data), true) => self.not_older(order.term, data)?,
            (None, false) => {
                let number = inner.number();
                inner.database(&self.member).data = Some(Data::new(number, order.term));
            }
        }
        let database = inner.database(&self.member);
        database.run();
        let Some(data) = &mut database.data else { return Err(refused("is empty")) };
        data.term = order.term;
        data.standby = false;
        data.upstream = None;
        data.synchronous = SynchronousStandbys::Nobody;
        Ok(Bootstrapped {
            system_id: data.system_id,
            data_id: data.data_id.clone(),
            timeline: data.wal.timeline(),
            lsn: data.wal.end(),
        })
    }

    fn run_as_primary(&self, inner: &mut Inner, order: &StartPrimaryOrder) -> Result<Started, Error> {
        let database = inner.database(&self.member);
        let running = database.running;
        let Some(data) = &mut database.data else { return Err(self.not_ready("has no data")) };
        if order.term != data.term {
            let seen = data.term;
            return Err(Error::new(
                ErrorKind::Fenced,
                format!("the data of {} are of term {seen}, not {}", self.member, order.term),
            ));
        }
        if data.standby {
            return Err(self.not_ready("is a standby's"));
        }
        if !running {
            data.synchronous = order.synchronous.clone();
            data.slots = order.members.clone();
            data.recovered = data.wal.end();
        }
        let started = Started { lsn: data.recovered, timeline: data.wal.timeline() };
        database.run();
        Ok(started)
    }

    fn end(&self, inner: &mut Inner, clean: bool) -> Stopped {
        if clean && inner.database(&self.member).is_primary() {
            // The shutdown checkpoint; who streams receives it before the process ends.
            inner.append(&self.member, false);
            inner.settle();
        }
        let database = inner.database(&self.member);
        if database.running {
            database.kill();
            if let Some(data) = &mut database.data {
                data.clean = clean;
            }
        }
        database.data.as_ref().map_or(Stopped { clean: true, lsn: Lsn(0), timeline: Timeline(0) }, |data| Stopped {
            clean: data.clean,
            lsn: data.wal.end(),
            timeline: data.wal.timeline(),
        })
    }

    fn stream(&self, inner: &mut Inner, order: &FollowOrder) -> Result<Followed, Error> {
        if let Some(data) = &inner.database(&self.member).data {
            self.not_older(order.term, data)?;
            self.same_cluster(order.system_id, data)?;
        }
        if inner.database(&self.member).is_primary() {
            return Err(self.not_ready("is a running primary's").hint("stop it first"));
        }
        if order.reclone && !order.may_discard {
            return Err(Error::new(ErrorKind::Misconfigured, "a reclone was ordered without leave to discard data"));
        }
        let unreachable = || Error::new(ErrorKind::Unavailable, format!("{} does not answer", order.upstream.member));
        let source = inner.reachable(&self.member, &order.upstream.member).ok_or_else(unreachable)?.clone();
        self.same_cluster(order.system_id, &source)?;
        let number = inner.number();
        let database = inner.database(&self.member);
        let fits = database.data.as_ref().map(|data| data.wal.is_prefix_of(&source.wal));
        let by = match fits {
            None => FollowedBy::Clone,
            Some(_) if order.reclone => FollowedBy::Clone,
            Some(true) => FollowedBy::Nothing,
            Some(false) if order.may_discard => FollowedBy::Rewind,
            Some(false) => {
                return Err(Error::new(
                    ErrorKind::Diverged,
                    format!("the data of {} hold what the leader lacks", self.member),
                ));
            }
        };
        match by {
            FollowedBy::Nothing => {}
            FollowedBy::Rewind => database.data.iter_mut().for_each(|data| data.wal.rewind_to(&source.wal)),
            FollowedBy::Clone => {
                database.kill();
                database.data = Some(Data { data_id: DataId(format!("copy-{number}")), ..source });
            }
        }
        let Some(data) = &mut database.data else { return Err(self.not_ready("has no data")) };
        data.term = order.term;
        data.standby = true;
        data.upstream = Some(order.upstream.member.clone());
        data.slots = order.members.clone();
        let followed = Followed { by, data_id: data.data_id.clone() };
        database.run();
        Ok(followed)
    }

    fn receive_nothing(&self, inner: &mut Inner) -> Result<Frozen, Error> {
        let database = inner.database(&self.member);
        if database.is_primary() {
            return Err(self.not_ready("is a running primary's").hint("stop it first"));
        }
        let Some(data) = &mut database.data else { return Err(self.not_ready("has no data")) };
        data.standby = true;
        data.upstream = None;
        let frozen = Frozen { data_id: data.data_id.clone(), lsn: data.wal.end(), timeline: data.wal.timeline() };
        database.run();
        Ok(frozen)
    }

    fn leave_recovery(&self, inner: &mut Inner, order: &PromoteOrder) -> Result<Promoted, Error> {
        let number = inner.number();
        let database = inner.database(&self.member);
        let running = database.running;
        let Some(data) = &mut database.data else { return Err(self.not_ready("has no data")) };
        self.not_older(order.term, data)?;
        self.same_cluster(order.system_id, data)?;
        let is_so = running && !data.standby && data.term == order.term && data.wal.timeline() == order.timeline;
        if !is_so {
            if !running || !data.standby || data.upstream.is_some() {
                return Err(self.not_ready("is not frozen"));
            }
            if data.wal.end() < order.at_least {
                return Err(self.not_ready(&format!("ends at {}, before {}", data.wal.end(), order.at_least)));
            }
            if order.timeline <= data.wal.timeline() {
                return Err(Error::new(ErrorKind::Misconfigured, format!("timeline {} is not new", order.timeline)));
            }
            data.synchronous = order.synchronous.clone();
            data.slots = order.members.clone();
            data.term = order.term;
            data.switch_lsn = data.wal.end();
            data.wal.push(Record { number, timeline: order.timeline, row: false });
            data.recovered = data.wal.end();
            data.standby = false;
        }
        Ok(Promoted { timeline: order.timeline, switch_lsn: data.switch_lsn, lsn: data.recovered })
    }

    fn demand(&self, inner: &mut Inner, order: &SynchronousOrder) -> Result<Lsn, Error> {
        let database = inner.database(&self.member);
        let is_primary = database.is_primary();
        let Some(data) = &mut database.data else { return Err(self.not_ready("has no data")) };
        self.not_older(order.term, data)?;
        if !is_primary {
            return Err(self.not_ready("is no running primary's"));
        }
        data.synchronous = order.standbys.clone();
        Ok(data.wal.end())
    }
}

impl Data {
    /// A new database.
    fn new(number: u64, term: Term) -> Self {
        let mut wal = Wal::default();
        wal.push(Record { number, timeline: Timeline(1), row: false });
        let recovered = wal.end();
        Self {
            // Far from every other number of the world, so that none is taken for another.
            system_id: SystemId(0x7000_0000_0000_0000 | number),
            data_id: DataId(format!("made-{number}")),
            term,
            wal,
            clean: false,
            standby: false,
            upstream: None,
            synchronous: SynchronousStandbys::Nobody,
            slots: BTreeSet::new(),
            switch_lsn: Lsn(0),
            recovered,
        }
    }
}

#[async_trait]
impl ReplicationManager for MemoryReplication {
    fn capabilities(&self) -> ReplicationCapabilities {
        ReplicationCapabilities::new(true, true, true)
    }

    async fn status(&self, timeout: Duration) -> Result<DatabaseStatus, Error> {
        // No answer is a state here, and no error.
        let _ = self.unless_hung(timeout).await;
        let inner = self.world.lock();
        let Some(database) = inner.get(&self.member) else { return Ok(DatabaseStatus::absent()) };
        let Some(data) = &database.data else { return Ok(DatabaseStatus::absent()) };
        let state = database.state();
        let answers = matches!(state, DatabaseState::Primary | DatabaseState::Standby);
        let mut status = DatabaseStatus::absent();
        status.state = state;
        status.system_id = Some(data.system_id);
        status.data_id = Some(data.data_id.clone());
        status.term = data.term;
        status.timeline = data.wal.timeline();
        status.lsn = data.wal.end();
        status.replayed = data.wal.end();
        status.streaming = inner.streams_from(&self.member).is_some();
        status.upstream = data.upstream.clone().filter(|_| data.standby);
        if answers {
            status.standbys = inner.standbys(&self.member);
            status.synchronous = Some(data.synchronous.clone());
        }
        Ok(status)
    }

    async fn exited(&self) {
        let start = match self.world.lock().get(&self.member) {
            Some(database) if database.running => database.starts,
            _ => return,
        };
        // A world that is gone has no processes either, so any end of the waiting is an end of the process.
        let ended = |inner: &Inner| {
            let runs = inner.get(&self.member).is_some_and(|database| database.running && database.starts == start);
            (!runs).then_some(())
        };
        while self.world.wait(Duration::from_secs(3600), ended).await.is_none() {}
    }

    async fn bootstrap(&self, order: &BootstrapOrder, timeout: Duration) -> Result<Bootstrapped, Error> {
        self.unless_hung(timeout).await?;
        self.world.change(|inner| self.begin(inner, order))
    }

    async fn start_primary(&self, order: &StartPrimaryOrder, timeout: Duration) -> Result<Started, Error> {
        self.unless_hung(timeout).await?;
        self.world.change(|inner| self.run_as_primary(inner, order))
    }

    async fn checkpoint(&self, timeout: Duration) -> Result<(), Error> {
        self.unless_hung(timeout).await?;
        match self.world.lock().get(&self.member) {
            Some(database) if database.running => Ok(()),
            _ => Err(self.not_ready("does not run")),
        }
    }

    async fn stop(&self, mode: StopMode, timeout: Duration) -> Result<Stopped, Error> {
        let clean = match mode {
            StopMode::Fast => {
                self.unless_hung(timeout).await?;
                true
            }
            StopMode::AtOnce { fast_for_ms: 0 } => false,
            StopMode::AtOnce { fast_for_ms } => {
                self.unless_hung(Duration::from_millis(fast_for_ms).min(timeout)).await.is_ok()
            }
        };
        Ok(self.world.change(|inner| self.end(inner, clean)))
    }

    async fn follow(&self, order: &FollowOrder, timeout: Duration) -> Result<Followed, Error> {
        self.unless_hung(timeout).await?;
        self.world.change(|inner| self.stream(inner, order))
    }

    async fn freeze(&self, timeout: Duration) -> Result<Frozen, Error> {
        if self.world.lock().is_hung(&self.member) {
            tokio::time::sleep(timeout).await;
            return Err(self.not_ready("did not answer"));
        }
        self.world.change(|inner| self.receive_nothing(inner))
    }

    async fn promote(&self, order: &PromoteOrder, timeout: Duration) -> Result<Promoted, Error> {
        self.unless_hung(timeout).await?;
        self.world.change(|inner| self.leave_recovery(inner, order))
    }

    async fn set_synchronous(&self, order: &SynchronousOrder, timeout: Duration) -> Result<(), Error> {
        self.unless_hung(timeout).await?;
        let lsn = self.world.change(|inner| self.demand(inner, order))?;
        if !order.barrier {
            return Ok(());
        }
        let reached = |inner: &Inner| inner.barrier(&self.member, &order.standbys, lsn).then_some(());
        let waited = self.world.wait(timeout, reached).await;
        waited.ok_or_else(|| self.not_ready("waits for a standby that is named and does not stream"))
    }

    async fn keep_slots(&self, members: &BTreeSet<MemberId>, timeout: Duration) -> Result<(), Error> {
        self.unless_hung(timeout).await?;
        self.world.change(|inner| {
            let database = inner.database(&self.member);
            match &mut database.data {
                Some(data) if database.running => {
                    data.slots.clone_from(members);
                    Ok(())
                }
                _ => Err(self.not_ready("does not run")),
            }
        })
    }
}
