//! What a database does when it is ordered to, at once or after a while.

use std::time::Duration;

use odoo_ha_core::database::{
    BootstrapOrder, Bootstrapped, DatabaseAnswer, DatabaseOrder, DatabaseState, FollowOrder, Followed, FollowedBy,
    Frozen, PromoteOrder, Promoted, StartPrimaryOrder, Started, StopMode, Stopped, SynchronousOrder,
    SynchronousStandbys,
};
use odoo_ha_core::error::{ErrorKind, Failure};
use odoo_ha_core::lsn::{Lsn, Timeline};
use odoo_ha_core::machine::Action;
use odoo_ha_core::member::{DataId, MemberId, SystemId};

use super::database::{HalfWay, INTERNAL, Promotion, ReplayHeld};
use super::{Database, World};

/// A reader that blocks replay is ended after this.
const READER_GRACE: Duration = Duration::from_secs(1);

/// How far an order is.
pub(super) enum Progress {
    /// It has ended.
    Done(Result<DatabaseAnswer, Failure>),
    /// It goes on.
    Waits,
}

fn refused(kind: ErrorKind, text: &str) -> Progress {
    Progress::Done(Err(Failure::new(kind, text)))
}

fn done(answer: DatabaseAnswer) -> Progress {
    Progress::Done(Ok(answer))
}

/// The system identifier of every database that is made in a made-up world.
pub const FIRST_SYSTEM: SystemId = SystemId(7);

const WORTHLESS: &str = "the data were left half-way by a rewind or a clone";

impl World {
    /// A record of its own kind.
    pub(super) fn internal_id(&mut self) -> u64 {
        self.next_internal += 1;
        INTERNAL + self.next_internal
    }

    fn new_run(&mut self) -> u64 {
        self.order += 1;
        self.order
    }

    /// What an order answers that did not end in time.
    pub(super) fn not_in_time(order: &DatabaseOrder) -> Failure {
        let kind = match order {
            DatabaseOrder::Freeze | DatabaseOrder::SetSynchronous(_) => ErrorKind::NotReady,
            _ => ErrorKind::Unknown,
        };
        Failure::new(kind, format!("could not {} the database in time", order.verb()))
    }

    /// Begins an order, or goes on with it.
    pub(super) fn database_order(
        &mut self,
        name: &MemberId,
        action: &Action,
        order: &DatabaseOrder,
        sent: Duration,
    ) -> Progress {
        let half = sent + action.timeout / 2;
        let harmless = matches!(order, DatabaseOrder::Observe | DatabaseOrder::Stop(StopMode::AtOnce { .. }));
        if self.node(name).database.hung && !harmless {
            if *order == DatabaseOrder::Freeze && self.now >= half && !self.node(name).stop_hangs {
                // What does not freeze gently is restarted.
                self.kill_database(name);
            }
            return Progress::Waits;
        }
        match order {
            DatabaseOrder::Observe => {
                self.node_mut(name).looks += 1;
                let standbys = self.standbys_of(name);
                done(DatabaseAnswer::Observed(self.node(name).database.status(standbys)))
            }
            DatabaseOrder::Bootstrap(order) => self.bootstrap(name, order),
            DatabaseOrder::StartPrimary(order) => self.start_primary(name, order),
            DatabaseOrder::Checkpoint if !self.node(name).database.state.runs() => {
                refused(ErrorKind::Unavailable, "the connection to the database is gone")
            }
            DatabaseOrder::Checkpoint => done(DatabaseAnswer::Done),
            DatabaseOrder::KeepSlots(_) => {
                self.node_mut(name).database.slots_kept += 1;
                done(DatabaseAnswer::Done)
            }
            DatabaseOrder::Stop(mode) => self.stop_database(name, *mode, sent),
            DatabaseOrder::Freeze => self.freeze_database(name, sent, half),
            DatabaseOrder::Follow(order) => self.follow(name, order, sent),
            DatabaseOrder::Promote(order) => self.promote(name, order),
            DatabaseOrder::SetSynchronous(order) => self.set_synchronous(name, order),
        }
    }

    fn bootstrap(&mut self, name: &MemberId, order: &BootstrapOrder) -> Progress {
        if self.node(name).disk.full {
            return refused(ErrorKind::Disk, "no space left");
        }
        let (id, run) = (self.internal_id(), self.new_run());
        let database = &mut self.node_mut(name).database;
        database.state = DatabaseState::Primary;
        database.run = run;
        database.broken = None;
        database.in_recovery = false;
        database.system_id = Some(FIRST_SYSTEM);
        database.data_id = Some(DataId(format!("{name}-first-{}", order.term)));
        database.term = order.term;
        database.timeline = 1;
        database.append(id);
        database.flush();
        let lsn = database.lsn();
        done(DatabaseAnswer::Bootstrapped(Bootstrapped {
            system_id: FIRST_SYSTEM,
            data_id: DataId(format!("{name}-first-{}", order.term)),
            timeline: Timeline(1),
            lsn,
        }))
    }

    fn start_primary(&mut self, name: &MemberId, order: &StartPrimaryOrder) -> Progress {
        let node = self.node(name);
        let runs = node.database.state.runs();
        if node.database.broken.is_some() {
            self.wrong_starts.push(format!("at {:?}: {name} is to start worthless data as primary", self.now));
            return refused(ErrorKind::NotReady, WORTHLESS);
        }
        if node.start_fails || (node.disk.full && !runs) {
            return refused(ErrorKind::Disk, "no space left");
        }
        if node.database.state == DatabaseState::Absent {
            return refused(ErrorKind::NotReady, "no data");
        }
        if node.database.term != order.term {
            return refused(ErrorKind::Fenced, &format!("the data have term {}", node.database.term));
        }
        if node.database.in_recovery {
            return refused(ErrorKind::NotReady, "a standby's data");
        }
        if node.database.stopping {
            return Progress::Waits;
        }
        let takes = if runs { node.settings_take } else { Duration::ZERO };
        let (now, run) = (self.now, self.new_run());
        let database = &mut self.node_mut(name).database;
        database.state = DatabaseState::Primary;
        database.wait_for(&order.synchronous, now + takes, now);
        if !runs {
            database.run = run;
            database.flush();
        }
        let (lsn, timeline) = (database.lsn(), Timeline(database.timeline));
        done(DatabaseAnswer::Started(Started { lsn, timeline }))
    }

    fn stopped(&self, name: &MemberId) -> Progress {
        let database = &self.node(name).database;
        done(DatabaseAnswer::Stopped(Stopped {
            clean: database.state == DatabaseState::StoppedCleanly,
            lsn: database.lsn(),
            timeline: Timeline(database.timeline),
        }))
    }

    fn stop_database(&mut self, name: &MemberId, mode: StopMode, sent: Duration) -> Progress {
        let node = self.node(name);
        if node.database.broken.is_some() || !node.database.state.runs() {
            return self.stopped(name);
        }
        if node.stop_hangs {
            return Progress::Waits;
        }
        let fast_until = match mode {
            StopMode::Fast => Duration::MAX,
            StopMode::AtOnce { fast_for_ms } => sent + Duration::from_millis(fast_for_ms),
        };
        let primary = node.database.state == DatabaseState::Primary && !node.database.hung;
        let slow = node.database.slow_shutdown && (primary || node.database.stopping);
        if slow && mode == StopMode::Fast {
            return refused(ErrorKind::Unknown, "did not stop in time");
        }
        self.clients_end(name);
        let gently = fast_until > self.now || (primary && !slow);
        if gently && !slow && primary {
            // The shutdown checkpoint, which connected standbys receive before the primary exits.
            let id = self.internal_id();
            let database = &mut self.node_mut(name).database;
            database.append(id);
            database.state = DatabaseState::Unresponsive;
            database.stopping = true;
            self.replicate();
        } else if gently && node_is_standby(&self.node(name).database) {
            self.drop_receiver(name);
            let database = &mut self.node_mut(name).database;
            database.flush();
            database.end_processes();
            database.state = DatabaseState::StoppedCleanly;
        }
        let database = &self.node(name).database;
        if !database.state.runs() {
            return self.stopped(name);
        }
        if fast_until > self.now {
            return Progress::Waits;
        }
        self.drop_receiver(name);
        let node = self.node_mut(name);
        node.senders.clear();
        node.database.crash();
        self.stopped(name)
    }

    /// Ends the sessions of clients: what waits is not acknowledged any more.
    pub(super) fn clients_end(&mut self, name: &MemberId) {
        self.pending.retain(|(on, _, _)| on != name);
    }

    fn freeze_database(&mut self, name: &MemberId, sent: Duration, half: Duration) -> Progress {
        let node = self.node(name);
        if node.database.broken.is_some() {
            return refused(ErrorKind::NotReady, WORTHLESS);
        }
        if node.database.data_id.is_none() || node.database.state == DatabaseState::Absent {
            return refused(ErrorKind::NotReady, "no data");
        }
        if node.disk.full {
            return refused(ErrorKind::Disk, "no space left");
        }
        if node.database.state == DatabaseState::Primary || node.database.stopping {
            return refused(ErrorKind::NotReady, "the database runs as primary");
        }
        let runs = node.database.state.runs();
        if !runs && node.start_fails {
            return refused(ErrorKind::Disk, "the database does not start");
        }
        if runs && node.database.promotion.is_some() {
            return refused(ErrorKind::NotReady, "the database is being promoted");
        }
        self.node_mut(name).database.upstream = None;
        self.drop_receiver(name);
        let (now, flush_takes, run) = (self.now, Duration::ZERO, self.new_run());
        let database = &mut self.node_mut(name).database;
        if !runs {
            database.run = run;
        }
        database.state = DatabaseState::Standby;
        database.in_recovery = true;
        database.flush();
        let patience = if now >= half { Duration::ZERO } else { READER_GRACE };
        if database.replay_held == Some(ReplayHeld::ByReader) && now >= sent + patience {
            database.replay_held = None;
        }
        database.proceed(now, flush_takes);
        if database.replayed < database.log.len() {
            return Progress::Waits;
        }
        let (lsn, timeline) = (database.lsn(), database.last_timeline());
        match database.data_id.clone() {
            Some(data_id) => done(DatabaseAnswer::Frozen(Frozen { data_id, lsn, timeline })),
            None => refused(ErrorKind::NotReady, "no data"),
        }
    }

    fn follow(&mut self, name: &MemberId, order: &FollowOrder, sent: Duration) -> Progress {
        let upstream = &order.upstream.member;
        let own = &self.node(name).database;
        if order.term < own.term {
            return refused(ErrorKind::Fenced, "an older term");
        }
        if own.state == DatabaseState::Primary || own.stopping {
            return refused(ErrorKind::NotReady, "the database runs as primary");
        }
        let has_data = own.state != DatabaseState::Absent && own.broken.is_none();
        if has_data && !order.reclone && own.system_id.is_some_and(|found| found != order.system_id) {
            return refused(ErrorKind::Misconfigured, "the data are of another cluster");
        }
        let there = self.nodes.get(upstream).filter(|_| self.talk(name, upstream));
        let serves = |db: &&Database| matches!(db.state, DatabaseState::Primary | DatabaseState::Standby) && !db.hung;
        let source = there.map(|node| &node.database).filter(serves);
        // Begun by this very order, a rewind goes on; one that another left is of no use.
        let rewinds = self.node(name).begun.is_some() && own.broken == Some(HalfWay::Rewind) && !order.reclone;
        let by = match source {
            Some(_) if rewinds => FollowedBy::Rewind,
            _ if !has_data || order.reclone => FollowedBy::Clone,
            // A standby may be behind; that its upstream is another one of the same reign was decided with the leader.
            Some(source) if source.state == DatabaseState::Standby => FollowedBy::Nothing,
            Some(source) if !own.is_prefix_of(source) => FollowedBy::Rewind,
            Some(_) | None => FollowedBy::Nothing,
        };
        if by != FollowedBy::Nothing && source.is_none() {
            return refused(ErrorKind::Unavailable, "the upstream does not answer");
        }
        if self.node(name).follow_hangs_on.as_ref() == Some(upstream) && !order.may_discard {
            return Progress::Waits;
        }
        if by == FollowedBy::Rewind && !order.may_discard {
            return refused(ErrorKind::Diverged, "the data have diverged");
        }
        let node = self.node(name);
        if by != FollowedBy::Nothing && node.disk.full {
            return refused(ErrorKind::Disk, "no space left");
        }
        if !own.state.runs() && node.start_fails && by == FollowedBy::Nothing {
            return refused(ErrorKind::Disk, "the database does not start");
        }
        if by != FollowedBy::Nothing {
            if let Some(progress) = self.copy(name, upstream, by, sent) {
                return progress;
            }
        } else if self.node(name).database.upstream.as_ref() != Some(upstream) {
            self.drop_receiver(name);
        }
        let run = self.new_run();
        let database = &mut self.node_mut(name).database;
        if !database.state.runs() {
            database.run = run;
        }
        database.state = DatabaseState::Standby;
        database.in_recovery = true;
        database.term = order.term;
        database.upstream = Some(order.upstream.member.clone());
        database.synchronous = SynchronousStandbys::Nobody;
        database.before.clear();
        match database.data_id.clone() {
            Some(data_id) => done(DatabaseAnswer::Followed(Followed { by, data_id })),
            None => refused(ErrorKind::Unknown, "no data"),
        }
    }

    /// Makes the data a copy of the upstream's; until that has ended they are worthless. `None` when it has.
    fn copy(&mut self, name: &MemberId, upstream: &MemberId, by: FollowedBy, sent: Duration) -> Option<Progress> {
        self.drop_receiver(name);
        let kind = if by == FollowedBy::Rewind { HalfWay::Rewind } else { HalfWay::Clone };
        let copy_takes = self.node(name).copy_takes;
        let database = &mut self.node_mut(name).database;
        database.end_processes();
        database.state = if database.log.is_empty() { DatabaseState::Absent } else { DatabaseState::Crashed };
        database.upstream = None;
        if database.broken.is_none() {
            // Kept to find out what a rewind may keep; nobody starts it.
            database.broken = Some(kind);
        }
        if self.now < sent + copy_takes {
            return Some(Progress::Waits);
        }
        let mut by = kind;
        if by == HalfWay::Rewind && self.node(name).rewind_fails {
            // What a failed rewind leaves is never started, but cloned anew.
            by = HalfWay::Clone;
        }
        if by == HalfWay::Clone && self.node(name).clone_fails {
            self.node_mut(name).database.broken = Some(HalfWay::Clone);
            return Some(refused(ErrorKind::Unknown, "the copy broke off"));
        }
        let generation = self.new_run();
        let source = &self.node(upstream).database;
        let end = source.flushed;
        let (log, timeline, system_id) = match by {
            HalfWay::Rewind => {
                (source.log[..self.node(name).database.common_with(source).min(end)].to_vec(), source.timeline, None)
            }
            HalfWay::Clone => (source.log[..end].to_vec(), source.timeline, source.system_id),
        };
        let database = &mut self.node_mut(name).database;
        database.log = log;
        database.flush();
        database.replayed = database.flushed;
        database.timeline = timeline;
        database.broken = None;
        if by == HalfWay::Clone {
            database.data_id = Some(DataId(format!("{name}-clone-{generation}")));
            database.system_id = system_id;
        }
        None
    }

    fn promote(&mut self, name: &MemberId, order: &PromoteOrder) -> Progress {
        let node = self.node(name);
        let database = &node.database;
        if node.promotion_fails {
            return refused(ErrorKind::Misconfigured, "the disk says no");
        }
        if database.broken.is_some() {
            self.wrong_starts.push(format!("at {:?}: {name} is to promote worthless data", self.now));
            return refused(ErrorKind::NotReady, WORTHLESS);
        }
        if order.term < database.term {
            return refused(ErrorKind::Fenced, "an older term");
        }
        if !database.state.runs() {
            return refused(ErrorKind::NotReady, "the database does not run");
        }
        if database.system_id != Some(order.system_id) {
            return refused(ErrorKind::Misconfigured, "the data are of another cluster");
        }
        if database.state == DatabaseState::Primary {
            if database.term != order.term || database.timeline != order.timeline.0 {
                return refused(ErrorKind::NotReady, "the database runs as primary of another reign");
            }
            let (switch_lsn, lsn) = (Lsn(database.switched_at as u64), database.lsn());
            return done(DatabaseAnswer::Promoted(Promoted { timeline: order.timeline, switch_lsn, lsn }));
        }
        if database.promotion.is_some() {
            return Progress::Waits;
        }
        if database.upstream.is_some() || database.streaming {
            return refused(ErrorKind::NotReady, "the database still receives from an upstream");
        }
        if database.lsn() < order.at_least {
            return refused(ErrorKind::NotReady, "the data do not reach");
        }
        if node.disk.full {
            return refused(ErrorKind::Disk, "no space left");
        }
        let node = self.node(name);
        let until = (!node.promotion_hangs).then_some(self.now + node.promotion_takes);
        let database = &mut self.node_mut(name).database;
        database.term = order.term;
        database.promotion = Some(Promotion { until, order: order.clone() });
        if until != Some(self.now) {
            return Progress::Waits;
        }
        self.end_promotion(name);
        self.promote(name, order)
    }

    /// A promotion that has begun is done.
    pub(super) fn end_promotion(&mut self, name: &MemberId) {
        let id = self.internal_id();
        let database = &mut self.node_mut(name).database;
        let Some(Promotion { order, .. }) = database.promotion.take() else { return };
        database.switched_at = database.log.len();
        database.state = DatabaseState::Primary;
        database.in_recovery = false;
        database.timeline = order.timeline.0;
        database.synchronous = order.synchronous;
        database.before.clear();
        database.append(id);
        database.flush();
    }

    fn set_synchronous(&mut self, name: &MemberId, order: &SynchronousOrder) -> Progress {
        let now = self.now;
        let node = self.node_mut(name);
        if order.term < node.database.term {
            return refused(ErrorKind::Fenced, "an older term");
        }
        if !node.database.state.runs() {
            return refused(ErrorKind::NotReady, "the database does not run");
        }
        let takes = node.settings_take;
        node.database.wait_for(&order.standbys, now + takes, now);
        if !order.barrier {
            return done(DatabaseAnswer::Done);
        }
        if !node.database.before.is_empty() {
            return Progress::Waits;
        }
        // Whatever was acknowledged before is below this; a little log is written, so that it is reached without any client.
        let Some(end) = node.barrier else {
            let id = self.internal_id();
            let node = self.node_mut(name);
            node.barrier = Some(node.database.log.len());
            if node.database.state == DatabaseState::Primary && !node.disk.full {
                node.database.append(id);
            }
            return self.set_synchronous(name, order);
        };
        let has = |name: &MemberId| node.senders.get(name).is_some_and(|sender| sender.flushed >= end);
        let reached = match &order.standbys {
            SynchronousStandbys::AllOf(names) => names.iter().all(has),
            SynchronousStandbys::Nobody | SynchronousStandbys::AnyOf { .. } => node.database.is_enough(has),
        };
        if reached { done(DatabaseAnswer::Done) } else { Progress::Waits }
    }
}

fn node_is_standby(database: &Database) -> bool {
    database.state == DatabaseState::Standby && !database.hung
}
