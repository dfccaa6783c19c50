//! Doing what a machine wants, to the made-up world.

use std::time::Duration;

use odoo_ha_core::database::DatabaseOrder;
use odoo_ha_core::error::{ErrorKind, Failure};
use odoo_ha_core::machine::{Action, Answer, Input, Order};
use odoo_ha_core::member::MemberId;

use super::happenings::Happening;
use super::orders::Progress;
use super::store_calls::unanswered;
use super::{Node, World};

type Outcome = Result<Answer, Failure>;

/// What goes on is looked at again after this.
const LOOK_AGAIN: Duration = Duration::from_millis(5);
/// Services and files that hang are looked at again after this.
const HANGS_ON: Duration = Duration::from_millis(100);

fn failed(kind: ErrorKind, text: &str) -> Outcome {
    Err(Failure::new(kind, text))
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

    /// How much of that depends on the disk.
    fn slowed(node: &Node, action: &Action, wait: Duration) -> Duration {
        let slow = node.disk.slow;
        if slow > 1 && matches!(action.order, Order::Remember(_) | Order::Database(_)) { wait * slow } else { wait }
    }

    /// An agent begins to do something: what is slow is on its way, and ends by its timeout whatever becomes of it.
    pub(super) fn begin(&mut self, name: &MemberId, incarnation: u64, action: Action) {
        self.note_begin(name, &action);
        self.service_begins(name, &action.order);
        let wait = self.latency(&action);
        let node = self.node(name);
        let mut wait = Self::slowed(node, &action, wait) + node.service_takes(&action);
        let slow = node.slow_store.max(self.store_slow);
        if let Order::Database(order) = &action.order
            && *order != DatabaseOrder::Observe
        {
            let node = self.node_mut(name);
            (node.running, node.barrier) = (Some(action.id), None);
            wait = wait.min(action.timeout);
        }
        if let Order::AttachAddress { term } = action.order {
            wait += self.node(name).slow_attach;
            if wait >= action.timeout {
                self.after(wait, Happening::Attach(name.clone(), incarnation, term));
                let input = Input::Finished { id: action.id, result: unanswered(&action) };
                self.after(action.timeout, Happening::Input(name.clone(), incarnation, input));
                return;
            }
        }
        if matches!(action.order, Order::Read | Order::Commit(_)) && !slow.is_zero() {
            wait += Duration::from_millis(self.chance(slow.as_millis() as u64));
            if wait >= action.timeout {
                if let Order::Commit(commit) = &action.order {
                    self.after(wait, Happening::Late(Some(name.clone()), commit.clone()));
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
        let slow = self.node(name).slow_store.max(self.store_slow);
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
        let hung = self.service_hung(name, &action);
        let node = self.node(name);
        let begun = node.begun == Some(action.id) || hung;
        if !begun && action.not_after.is_some_and(|at| at <= self.moment(name)) {
            self.answer(name, incarnation, &action, sent, failed(ErrorKind::Fenced, "too late"));
            return;
        }
        if self.node(name).services.called_off == Some(action.id) {
            self.answer(name, incarnation, &action, sent, failed(ErrorKind::Unknown, "a stop took its place"));
            return;
        }
        if self.service_hangs(name, &action) {
            let left = (sent + action.timeout).saturating_sub(self.now);
            if left.is_zero() {
                self.answer(name, incarnation, &action, sent, unanswered(&action));
            } else {
                self.after(HANGS_ON.min(left), Happening::Perform(name.clone(), incarnation, action, sent));
            }
            return;
        }
        let node = self.node(name);
        let is_other_order = matches!(&action.order, Order::Database(order) if *order != DatabaseOrder::Observe);
        if is_other_order && node.running != Some(action.id) {
            let node = self.node_mut(name);
            if begun {
                (node.begun, node.barrier) = (None, None);
            }
            self.answer(name, incarnation, &action, sent, failed(ErrorKind::Unknown, "another order took its place"));
            return;
        }
        let result = match &action.order {
            Order::AskMember { question, .. } => {
                self.ask_member(name, incarnation, &action, question, sent);
                self.dies_now(name);
                return;
            }
            Order::AnswerMember { ticket, reply } => {
                self.answer_member(name, *ticket, reply);
                Ok(Answer::Done)
            }
            Order::Read | Order::Commit(_) => match self.store_call(name, incarnation, &action, sent) {
                Some(result) => result,
                None => {
                    self.dies_now(name);
                    return;
                }
            },
            Order::Remember(_) if node.memo_fails || node.disk.full => failed(ErrorKind::Disk, "no space left"),
            Order::Remember(memo) => {
                self.node_mut(name).memo = memo.clone();
                Ok(Answer::Done)
            }
            Order::Database(order) => match self.database_order(name, &action, order, sent) {
                Progress::Done(result) => result.map(Answer::Database),
                Progress::Waits if self.now >= sent + action.timeout => Err(World::not_in_time(order)),
                Progress::Waits => {
                    self.node_mut(name).begun = Some(action.id);
                    let wait = LOOK_AGAIN.min(sent + action.timeout - self.now);
                    self.after(wait, Happening::Perform(name.clone(), incarnation, action, sent));
                    return;
                }
            },
            Order::AttachAddress { term } => self.attach(name, *term),
            Order::DetachAddress => self.detach(name),
            Order::LookAtAddress => Ok(Answer::AddressHere(self.node(name).address)),
            Order::ArmWatchdog { .. } | Order::FeedWatchdog { .. } | Order::DisarmWatchdog if node.watchdog_deaf => {
                failed(ErrorKind::Unknown, "the watchdog did not answer")
            }
            Order::ArmWatchdog { deadline, .. } | Order::FeedWatchdog { deadline, .. } => {
                let deadline = deadline.map(odoo_ha_core::time::Moment::since_origin);
                let node = self.node_mut(name);
                node.watchdog = Some((deadline, incarnation));
                if node.watchdog_unanswered {
                    failed(ErrorKind::Unknown, "the watchdog did not answer")
                } else {
                    Ok(Answer::Done)
                }
            }
            Order::DisarmWatchdog => {
                self.node_mut(name).watchdog = None;
                Ok(Answer::Done)
            }
            Order::StartServices { .. }
            | Order::StopServices
            | Order::LeadFilestore { .. }
            | Order::FollowFilestore { .. }
            | Order::RestFilestore => self.service_order(name, &action.order),
        };
        let node = self.node_mut(name);
        if node.begun == Some(action.id) {
            (node.begun, node.barrier) = (None, None);
        }
        self.note_order(name, &action.order, result.is_ok());
        self.answer(name, incarnation, &action, sent, result);
    }

    /// Everybody who watches hears of a change, a little later.
    pub fn tell_watchers(&mut self, revision: odoo_ha_core::store::Revision, changes: &[odoo_ha_core::store::Change]) {
        let names = self.take_names();
        for name in &names {
            // In order for each watcher: all changes take the same time.
            self.after(Duration::from_millis(3), Happening::Watch(name.clone(), revision, changes.to_vec()));
        }
        self.put_names(names);
    }
}
