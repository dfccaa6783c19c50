//! What is done when a machine asks for it.

use std::collections::BTreeMap;

use odoo_ha_core::database::{
    DatabaseAnswer, DatabaseOrder, DatabaseState, FollowOrder, Followed, FollowedBy, StandbyStatus, StopMode, Stopped,
    SynchronousOrder, SynchronousStandbys,
};
use odoo_ha_core::error::{ErrorKind, Failure};
use odoo_ha_core::machine::{Action, Answer, Order};
use odoo_ha_core::member::{DataId, MemberId};
use odoo_ha_core::records::{Record, SyncRecord, decode};
use odoo_ha_core::store::{Commit, Key};
use odoo_ha_core::time::Moment;

use super::bounds::Mistake;
use super::motion::{Motion, Outcome};
use super::state::Wrong;

impl Motion<'_> {
    pub(super) fn perform(&mut self, i: usize, action: &Action) -> Outcome {
        let now = Moment::from_origin(self.state.node(i).clock);
        if action.not_after.is_some_and(|at| at <= now) {
            return Err(Failure::new(ErrorKind::Fenced, "too late"));
        }
        match &action.order {
            Order::Read => {
                let snapshot = self.state.store.get().snapshot();
                let node = self.node(i);
                node.watching = true;
                // The watch would show again what was read: a machine passes that over.
                node.news.clear();
                Ok(Answer::Snapshot(snapshot))
            }
            Order::Commit(commit) => self.write(commit),
            Order::Remember(memo) => {
                self.node(i).memo = memo.clone();
                Ok(Answer::Done)
            }
            Order::Database(order) => self.database_order(i, order).map(Answer::Database),
            _ => Ok(Answer::Done),
        }
    }

    fn database_order(&mut self, i: usize, order: &DatabaseOrder) -> Result<DatabaseAnswer, Failure> {
        match order {
            DatabaseOrder::Observe => {
                let standbys = self.standbys_of(i);
                Ok(DatabaseAnswer::Observed(self.state.node(i).database.status(standbys)))
            }
            DatabaseOrder::Bootstrap(order) => {
                let node = self.node(i);
                let name = node.name.clone();
                Ok(DatabaseAnswer::Bootstrapped(node.database.bootstrap(&name, order)))
            }
            DatabaseOrder::StartPrimary(order) => {
                self.node(i).database.start_primary(order).map(DatabaseAnswer::Started)
            }
            DatabaseOrder::Checkpoint | DatabaseOrder::KeepSlots(_) => Ok(DatabaseAnswer::Done),
            DatabaseOrder::Stop(mode) => Ok(DatabaseAnswer::Stopped(self.stop_database(i, *mode))),
            DatabaseOrder::Freeze if self.bounds.mistake == Mistake::FreezeSkipped => {
                self.state.node(i).database.frozen().map(DatabaseAnswer::Frozen)
            }
            DatabaseOrder::Freeze => self.node(i).database.freeze().map(DatabaseAnswer::Frozen),
            DatabaseOrder::Follow(order) => self.follow(i, order).map(DatabaseAnswer::Followed),
            DatabaseOrder::Promote(order) => {
                let mut order = order.clone();
                if self.bounds.mistake == Mistake::PromotedWithoutNames {
                    order.synchronous = SynchronousStandbys::Nobody;
                }
                let given = self.state.store.get().holders.get(&order.term) == Some(&self.state.node(i).name);
                let promoted = self.node(i).database.promote(&order)?;
                if !given {
                    self.found(Wrong::PromotedWithoutTerm);
                }
                Ok(DatabaseAnswer::Promoted(promoted))
            }
            DatabaseOrder::SetSynchronous(order) => self.set_synchronous(i, order),
        }
    }

    fn set_synchronous(&mut self, i: usize, order: &SynchronousOrder) -> Result<DatabaseAnswer, Failure> {
        if order.term < self.state.node(i).database.term {
            return Err(Failure::new(ErrorKind::Fenced, "an older term"));
        }
        if order.barrier && self.bounds.mistake == Mistake::TightenedLate {
            return Ok(DatabaseAnswer::Done);
        }
        self.node(i).database.synchronous = order.standbys.clone();
        if let (true, SynchronousStandbys::AllOf(names) | SynchronousStandbys::AnyOf { names, .. }) =
            (order.barrier, &order.standbys)
        {
            // Each of them has flushed all that is in the log (protocol rule 20).
            for name in names {
                if let Some(k) = self.state.index(name) {
                    let _ = self.receive(k);
                }
            }
            let streaming = self.standbys_of(i);
            if names.iter().filter(|name| streaming.contains_key(*name)).count() < order.standbys.required() {
                return Err(Failure::new(ErrorKind::NotReady, "a standby does not answer"));
            }
        }
        Ok(DatabaseAnswer::Done)
    }

    fn stop_database(&mut self, i: usize, mode: StopMode) -> Stopped {
        let in_time = !matches!(mode, StopMode::AtOnce { fast_for_ms: 0 });
        let was = self.state.node(i).database.state;
        let clean = in_time && was == DatabaseState::Primary;
        if clean {
            // The shutdown checkpoint, which connected standbys receive before the primary exits.
            self.node(i).database.append(0);
            for k in self.streaming_from(i) {
                let _ = self.receive(k);
            }
        }
        let stopped = self.node(i).database.stop(clean || was == DatabaseState::Standby);
        self.cut_standbys_of(i);
        stopped
    }

    fn follow(&mut self, i: usize, order: &FollowOrder) -> Result<Followed, Failure> {
        let Some(from) = self.state.index(&order.upstream.member) else {
            return Err(Failure::new(ErrorKind::Unavailable, "the upstream does not answer"));
        };
        let source = self.state.node(from).database.clone();
        let reachable = source.state == DatabaseState::Primary;
        let node = self.node(i);
        let own = &mut node.database;
        if order.term < own.term {
            return Err(Failure::new(ErrorKind::Fenced, "an older term"));
        }
        let by = if own.state == DatabaseState::Absent || order.reclone {
            FollowedBy::Clone
        } else if !own.is_prefix_of(&source) && reachable {
            if !order.may_discard {
                return Err(Failure::new(ErrorKind::Diverged, "the data have diverged"));
            }
            FollowedBy::Rewind
        } else {
            FollowedBy::Nothing
        };
        if by != FollowedBy::Nothing && !reachable {
            return Err(Failure::new(ErrorKind::Unavailable, "the upstream does not answer"));
        }
        match by {
            FollowedBy::Nothing => {}
            FollowedBy::Rewind => {
                let common = own.log.iter().zip(&source.log).take_while(|(a, b)| a == b).count();
                own.log.truncate(common);
            }
            FollowedBy::Clone => {
                own.copies += 1;
                own.log = source.log.clone();
                own.data_id = Some(DataId(format!("{}-clone-{}", node.name, own.copies)));
            }
        }
        own.state = DatabaseState::Standby;
        own.term = order.term;
        own.upstream = Some(order.upstream.member.clone());
        own.synchronous = SynchronousStandbys::Nobody;
        own.streaming = reachable && own.is_prefix_of(&source);
        let data_id = own.data_id.clone().ok_or_else(|| Failure::new(ErrorKind::NotReady, "no data"))?;
        self.cut_standbys_of(i);
        Ok(Followed { by, data_id })
    }

    /// The standbys of a primary, as it sees them.
    fn standbys_of(&self, i: usize) -> BTreeMap<MemberId, StandbyStatus> {
        let named = &self.state.node(i).database.synchronous;
        let status = |k: usize| {
            let node = self.state.node(k);
            let lsn = node.database.lsn();
            let synchronous = named.names(&node.name);
            (node.name.clone(), StandbyStatus { streaming: true, flushed: lsn, replayed: lsn, synchronous })
        };
        self.streaming_from(i).into_iter().map(status).collect()
    }

    fn streaming_from(&self, i: usize) -> Vec<usize> {
        let name = &self.state.node(i).name;
        let streams = |k: &usize| {
            let database = &self.state.node(*k).database;
            database.streaming && database.upstream.as_ref() == Some(name)
        };
        (0..self.state.nodes.len()).filter(streams).collect()
    }

    pub(super) fn cut_standbys_of(&mut self, i: usize) {
        if self.state.node(i).database.state == DatabaseState::Primary {
            return;
        }
        for k in self.streaming_from(i) {
            self.node(k).database.streaming = false;
        }
        self.state.waiting.retain(|(on, _, _)| *on != i);
    }

    /// A standby connects, if it does not stream and its data allow it, and receives all that its upstream has.
    pub(super) fn receive(&mut self, i: usize) -> Option<()> {
        let own = &self.state.node(i).database;
        let from = self.state.index(own.upstream.as_ref()?)?;
        let source = &self.state.node(from).database;
        let can = own.state == DatabaseState::Standby && source.state == DatabaseState::Primary;
        if !can || !own.is_prefix_of(source) || (own.streaming && own.log.len() == source.log.len()) {
            return None;
        }
        let log = source.log.clone();
        let own = &mut self.node(i).database;
        own.timeline = log.last().map_or(own.timeline, |(timeline, _)| *timeline);
        own.log = log;
        own.streaming = true;
        Some(())
    }

    /// What a machine would do that tells its database to wait for fewer before the record that says so is confirmed.
    pub(super) fn loosen_by(&mut self, i: usize, commit: &Commit) {
        let Some(record) = commit.writes.get(&Key::sync()) else { return };
        let Ok(record) = decode::<SyncRecord>(&self.configs[i].cluster, &Key::sync(), record) else { return };
        if record.header().cluster == self.configs[i].cluster && record.leader == self.state.node(i).name {
            self.node(i).database.synchronous = record.standbys();
        }
    }
}
