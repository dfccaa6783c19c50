//! Doing what a machine wants, to the made-up world.

use std::time::Duration;

use odoo_ha_core::database::{
    Bootstrapped, DatabaseAnswer, DatabaseOrder, DatabaseState, FollowOrder, Followed, FollowedBy, Frozen,
    PromoteOrder, Promoted, Started, StopMode, Stopped, SynchronousStandbys,
};
use odoo_ha_core::error::{ErrorKind, Failure};
use odoo_ha_core::lsn::{Lsn, Timeline};
use odoo_ha_core::machine::{Action, Answer, Input, Order};
use odoo_ha_core::member::{DataId, MemberId, SystemId};
use odoo_ha_core::store::Commit;

use super::world::Happening;
use super::{Answerless, World};

type Outcome = Result<Answer, Failure>;

fn failed(kind: ErrorKind, text: &str) -> Outcome {
    Err(Failure::new(kind, text))
}

/// What an agent hears of a call to the store that nobody answered in time.
fn unanswered(action: &Action) -> Outcome {
    match action.order {
        Order::Read => failed(ErrorKind::Unavailable, "no answer in time"),
        _ => failed(ErrorKind::Unknown, "no answer in time"),
    }
}

impl World {
    /// How long an action takes, by chance around what was measured of the real thing.
    pub(super) fn latency(&mut self, action: &Action) -> Duration {
        let (least, spread) = match &action.order {
            Order::Read | Order::Commit(_) => (1, 4),
            Order::Remember(_) => (2, 6),
            Order::Database(order) => match order {
                DatabaseOrder::Observe => (2, 6),
                DatabaseOrder::Bootstrap(_) => (800, 400),
                DatabaseOrder::StartPrimary(_) => (150, 200),
                DatabaseOrder::Checkpoint => (20, 30),
                DatabaseOrder::Stop(_) => (40, 80),
                DatabaseOrder::Follow(_) => (100, 200),
                DatabaseOrder::Freeze => (60, 100),
                DatabaseOrder::Promote(_) => (60, 80),
                DatabaseOrder::SetSynchronous(_) => (10, 40),
                DatabaseOrder::KeepSlots(_) => (5, 5),
            },
            _ => (1, 5),
        };
        Duration::from_millis(least + self.chance(spread))
    }

    /// An agent begins to do something: what is slow is on its way, and ends by its timeout whatever becomes of it.
    pub(super) fn begin(&mut self, name: &MemberId, incarnation: u64, action: Action) {
        let mut wait = self.latency(&action);
        let slow = self.node(name).slow_store;
        if let Order::Database(order) = &action.order
            && *order != DatabaseOrder::Observe
        {
            self.node_mut(name).running = Some(action.id);
        }
        if matches!(action.order, Order::AttachAddress { .. }) {
            wait += self.node(name).slow_attach;
        }
        if matches!(action.order, Order::Read | Order::Commit(_)) && !slow.is_zero() {
            wait += Duration::from_millis(self.chance(slow.as_millis() as u64));
            if wait >= action.timeout {
                if let Order::Commit(commit) = &action.order {
                    self.after(wait, Happening::Late(name.clone(), commit.clone()));
                }
                let input = Input::Finished { id: action.id, result: unanswered(&action) };
                self.after(action.timeout, Happening::Input(name.clone(), incarnation, input));
                return;
            }
        }
        let sent = self.now;
        self.after(wait, Happening::Perform(name.clone(), incarnation, action, sent));
    }

    fn answer(&mut self, name: &MemberId, incarnation: u64, action: &Action, sent: Duration, result: Outcome) {
        let slow = self.node(name).slow_store;
        let mut wait = Duration::from_millis(1);
        let mut result = result;
        if matches!(action.order, Order::Read | Order::Commit(_)) && !slow.is_zero() {
            wait += Duration::from_millis(self.chance(slow.as_millis() as u64));
            let left = (sent + action.timeout).saturating_sub(self.now);
            if wait > left {
                wait = left;
                result = unanswered(action);
            }
        }
        let input = Input::Finished { id: action.id, result };
        self.after(wait, Happening::Input(name.clone(), incarnation, input));
        self.dies_now(name);
    }

    /// The agent dies before it hears of what it has just done.
    fn dies_now(&mut self, name: &MemberId) {
        let Some((left, away)) = self.node(name).dies_after else { return };
        if left > 0 {
            self.node_mut(name).dies_after = Some((left - 1, away));
            return;
        }
        self.node_mut(name).dies_after = None;
        self.kill_agent(name);
        let back = self.now + away;
        self.restarts.insert(name.clone(), back);
    }

    /// A commit arrives at the store.
    pub(super) fn write_to_store(&mut self, commit: &Commit) -> Outcome {
        let (committed, revision, changes) = self.store.commit(commit, self.now)?;
        self.note_commit(commit);
        self.tell_watchers(revision, &changes);
        Ok(Answer::Committed(committed))
    }

    pub(super) fn perform(&mut self, name: &MemberId, incarnation: u64, action: Action, sent: Duration) {
        let node = self.node(name);
        if node.incarnation != incarnation || node.machine.is_none() {
            // What a dead agent had sent arrives all the same.
            if let (Order::Commit(commit), false) = (&action.order, node.cut_from_store) {
                let _ = self.write_to_store(&commit.clone());
            }
            return;
        }
        if node.frozen {
            // The frozen agent does it when it goes on, if it still may.
            self.after(Duration::from_millis(50), Happening::Perform(name.clone(), incarnation, action, sent));
            return;
        }
        if action.not_after.is_some_and(|at| at <= self.moment(name)) {
            self.answer(name, incarnation, &action, sent, failed(ErrorKind::Fenced, "too late"));
            return;
        }
        let is_other_order = matches!(&action.order, Order::Database(order) if *order != DatabaseOrder::Observe);
        if is_other_order && node.running != Some(action.id) {
            self.answer(name, incarnation, &action, sent, failed(ErrorKind::Unknown, "a stop took its place"));
            return;
        }
        let cut = node.cut_from_store;
        let result = match &action.order {
            Order::Read if cut => {
                self.after(
                    action.timeout,
                    Happening::Input(
                        name.clone(),
                        incarnation,
                        Input::Finished { id: action.id, result: failed(ErrorKind::Unavailable, "the store is away") },
                    ),
                );
                return;
            }
            Order::Read if node.reads_fail => failed(ErrorKind::Unavailable, "refused"),
            Order::Read => {
                let node = self.node_mut(name);
                if !node.watching {
                    node.missed = Some(Vec::new());
                }
                Ok(Answer::Snapshot(self.store.snapshot()))
            }
            Order::Commit(_) if cut => {
                self.after(
                    action.timeout,
                    Happening::Input(
                        name.clone(),
                        incarnation,
                        Input::Finished { id: action.id, result: failed(ErrorKind::Unknown, "no answer") },
                    ),
                );
                return;
            }
            Order::Commit(commit) => {
                let fault =
                    self.answerless.get_mut(name).and_then(|faults| (!faults.is_empty()).then(|| faults.remove(0)));
                match fault {
                    Some(Answerless::Later(ms)) => {
                        self.after(Duration::from_millis(ms), Happening::Late(name.clone(), commit.clone()));
                        failed(ErrorKind::Unknown, "no answer")
                    }
                    Some(Answerless::NotDone) => failed(ErrorKind::Unknown, "no answer"),
                    fault => {
                        let done = self.write_to_store(commit);
                        if fault == Some(Answerless::Done) { failed(ErrorKind::Unknown, "no answer") } else { done }
                    }
                }
            }
            Order::Remember(_) if node.memo_fails => failed(ErrorKind::Disk, "no space left"),
            Order::Remember(memo) => {
                self.node_mut(name).memo = memo.clone();
                Ok(Answer::Done)
            }
            Order::Database(order) => self.database_order(name, &order.clone()).map(Answer::Database),
            Order::AttachAddress { .. } => {
                let elsewhere = self.nodes.iter().find(|(other, node)| *other != name && node.address);
                if let Some((other, holder)) = elsewhere {
                    // One that was frozen past its right holds the socket a moment longer; it believes no more.
                    let believes = holder.machine.as_ref().and_then(odoo_ha_core::machine::Machine::leads_until);
                    if believes.is_some_and(|until| until > self.moment(other)) && !holder.frozen {
                        let text = format!("{name} attaches the address while {other} still has it");
                        self.violate("address_is_safe", text);
                    }
                    failed(ErrorKind::NotReady, "another has it")
                } else {
                    self.node_mut(name).address = true;
                    Ok(Answer::Done)
                }
            }
            Order::DetachAddress => {
                self.node_mut(name).address = false;
                Ok(Answer::Done)
            }
            Order::LookAtAddress => Ok(Answer::AddressHere(self.node(name).address)),
            Order::ArmWatchdog { deadline, .. } | Order::FeedWatchdog { deadline, .. } => {
                let deadline = deadline.map(odoo_ha_core::time::Moment::since_origin);
                self.node_mut(name).watchdog = Some((deadline, incarnation));
                Ok(Answer::Done)
            }
            Order::DisarmWatchdog => {
                self.node_mut(name).watchdog = None;
                Ok(Answer::Done)
            }
            Order::StartServices { .. }
            | Order::StopServices
            | Order::LeadFilestore { .. }
            | Order::FollowFilestore { .. }
            | Order::RestFilestore => Ok(Answer::Done),
        };
        self.note_order(name, &action.order, result.is_ok());
        self.answer(name, incarnation, &action, sent, result);
    }

    /// Everybody who watches hears of a change, a little later.
    pub fn tell_watchers(&mut self, revision: odoo_ha_core::store::Revision, changes: &[odoo_ha_core::store::Change]) {
        let names: Vec<MemberId> = self.nodes.keys().cloned().collect();
        for name in names {
            // In order for each watcher: all changes take the same time.
            self.after(Duration::from_millis(3), Happening::Watch(name, revision, changes.to_vec()));
        }
    }

    fn database_order(&mut self, name: &MemberId, order: &DatabaseOrder) -> Result<DatabaseAnswer, Failure> {
        let hung = self.node(name).database.hung;
        let harmless = matches!(order, DatabaseOrder::Observe | DatabaseOrder::Stop(StopMode::AtOnce { .. }));
        if hung && !harmless {
            return Err(Failure::new(ErrorKind::Unknown, "no answer in time"));
        }
        match order {
            DatabaseOrder::Observe => {
                let standbys = self.standbys_of(name);
                Ok(DatabaseAnswer::Observed(self.node(name).database.status(standbys)))
            }
            DatabaseOrder::Bootstrap(order) => {
                let database = &mut self.node_mut(name).database;
                database.state = DatabaseState::Primary;
                database.system_id = Some(SystemId(7));
                database.data_id = Some(DataId(format!("{name}-first-{}", order.term)));
                database.term = order.term;
                database.timeline = 1;
                database.append(0);
                Ok(DatabaseAnswer::Bootstrapped(Bootstrapped {
                    system_id: SystemId(7),
                    data_id: DataId(format!("{name}-first-{}", order.term)),
                    timeline: Timeline(1),
                    lsn: Lsn(1),
                }))
            }
            DatabaseOrder::StartPrimary(_) if self.node(name).start_fails => {
                Err(Failure::new(ErrorKind::Disk, "no space left"))
            }
            DatabaseOrder::StartPrimary(order) => {
                let database = &mut self.node_mut(name).database;
                if database.term != order.term {
                    return Err(Failure::new(ErrorKind::Fenced, format!("the data have term {}", database.term)));
                }
                if database.state == DatabaseState::Standby {
                    return Err(Failure::new(ErrorKind::NotReady, "a standby's data"));
                }
                database.state = DatabaseState::Primary;
                database.synchronous = order.synchronous.clone();
                let (lsn, timeline) = (database.lsn(), Timeline(database.timeline));
                Ok(DatabaseAnswer::Started(Started { lsn, timeline }))
            }
            DatabaseOrder::Checkpoint | DatabaseOrder::KeepSlots(_) => Ok(DatabaseAnswer::Done),
            DatabaseOrder::Stop(mode) => {
                let slow = self.node(name).database.slow_shutdown && *mode == StopMode::Fast;
                if slow {
                    return Err(Failure::new(ErrorKind::Unknown, "did not stop in time"));
                }
                self.stop_database(name)
            }
            DatabaseOrder::Freeze => {
                let database = &mut self.node_mut(name).database;
                let Some(data_id) = database.data_id.clone() else {
                    return Err(Failure::new(ErrorKind::NotReady, "no data"));
                };
                database.state = DatabaseState::Standby;
                database.upstream = None;
                database.streaming = false;
                let timeline = Timeline(database.log.last().map_or(database.timeline, |record| record.0));
                Ok(DatabaseAnswer::Frozen(Frozen { data_id, lsn: database.lsn(), timeline }))
            }
            DatabaseOrder::Follow(order) => self.follow(name, order).map(DatabaseAnswer::Followed),
            DatabaseOrder::Promote(order) => self.promote(name, order).map(DatabaseAnswer::Promoted),
            DatabaseOrder::SetSynchronous(order) => {
                let term = self.node(name).database.term;
                if order.term < term {
                    return Err(Failure::new(ErrorKind::Fenced, "an older term"));
                }
                self.node_mut(name).database.synchronous = order.standbys.clone();
                if order.barrier {
                    let streaming = self.standbys_of(name);
                    let missing = match &order.standbys {
                        SynchronousStandbys::AllOf(names) => names.iter().any(|n| !streaming.contains_key(n)),
                        SynchronousStandbys::Nobody | SynchronousStandbys::AnyOf { .. } => false,
                    };
                    if missing {
                        return Err(Failure::new(ErrorKind::NotReady, "a standby does not answer"));
                    }
                }
                Ok(DatabaseAnswer::Done)
            }
        }
    }

    fn stop_database(&mut self, name: &MemberId) -> Result<DatabaseAnswer, Failure> {
        let clean = self.node(name).database.state == DatabaseState::Primary && !self.node(name).database.hung;
        if clean {
            // The shutdown checkpoint, which connected standbys receive before the primary exits.
            self.node_mut(name).database.append(0);
            self.replicate();
        }
        let database = &mut self.node_mut(name).database;
        let was = database.state;
        if was.runs() {
            database.state = if clean || was == DatabaseState::Standby {
                DatabaseState::StoppedCleanly
            } else {
                DatabaseState::Crashed
            };
        }
        database.was_primary |= was == DatabaseState::Primary;
        database.streaming = false;
        database.hung = false;
        let stopped = Stopped {
            clean: database.state == DatabaseState::StoppedCleanly,
            lsn: database.lsn(),
            timeline: Timeline(database.timeline),
        };
        self.pending.retain(|(on, _, _)| on != name);
        Ok(DatabaseAnswer::Stopped(stopped))
    }

    fn follow(&mut self, name: &MemberId, order: &FollowOrder) -> Result<Followed, Failure> {
        let upstream = self.node(&order.upstream.member);
        let reachable = upstream.database.state == DatabaseState::Primary
            && !upstream.cut_from_peers
            && !self.node(name).cut_from_peers;
        let source = upstream.database.clone();
        let own = self.node(name).database.clone();
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
        let generation = self.order;
        let database = &mut self.node_mut(name).database;
        database.streaming = false;
        match by {
            FollowedBy::Nothing => {}
            FollowedBy::Rewind => {
                let common = database.log.iter().zip(&source.log).take_while(|(a, b)| a == b).count();
                database.log.truncate(common);
            }
            FollowedBy::Clone => {
                database.log = source.log.clone();
                database.data_id = Some(DataId(format!("{name}-clone-{generation}")));
                database.system_id = source.system_id;
            }
        }
        database.state = DatabaseState::Standby;
        database.was_primary = false;
        database.term = order.term;
        database.upstream = Some(order.upstream.member.clone());
        database.synchronous = SynchronousStandbys::Nobody;
        let data_id = database.data_id.clone().ok_or_else(|| Failure::new(ErrorKind::Unknown, "no data"))?;
        Ok(Followed { by, data_id })
    }

    fn promote(&mut self, name: &MemberId, order: &PromoteOrder) -> Result<Promoted, Failure> {
        if self.node(name).promotion_fails {
            return Err(Failure::new(ErrorKind::Misconfigured, "the disk says no"));
        }
        let database = &mut self.node_mut(name).database;
        if order.term < database.term {
            return Err(Failure::new(ErrorKind::Fenced, "an older term"));
        }
        if database.lsn() < order.at_least {
            return Err(Failure::new(ErrorKind::NotReady, "the data do not reach"));
        }
        let switch_lsn = database.lsn();
        if database.state != DatabaseState::Primary {
            database.state = DatabaseState::Primary;
            database.term = order.term;
            database.timeline = order.timeline.0;
            database.synchronous = order.synchronous.clone();
            database.upstream = None;
            database.append(0);
        }
        let lsn = database.lsn();
        Ok(Promoted { timeline: order.timeline, switch_lsn, lsn })
    }
}
