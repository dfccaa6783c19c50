//! What can happen next.

use odoo_ha_core::database::{DatabaseOrder, DatabaseState};
use odoo_ha_core::machine::{Order, StateName};

use super::bounds::{Bounds, Clocks};
use super::state::State;

/// What becomes of a call whose answer is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fate {
    /// It was done.
    Done,
    /// It was not, and never will be.
    NotDone,
    /// It may still arrive.
    Later,
}

/// One step of the whole. Nodes are numbered from 0 (`a`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    /// A node's clock goes on to where its machine does something.
    Leap(usize),
    /// The common time goes on to where some machine does something, or some call may be waited for no longer.
    Time,
    /// A call is done and answered.
    Do(usize, u64),
    /// A call's answer is lost.
    Lose(usize, u64, Fate),
    /// The watch shows the next change.
    News(usize),
    /// A commit that nobody waits for arrives at the store.
    Land(usize),
    /// A standby connects, if it does not stream, and receives all that its upstream has.
    Receive(usize),
    /// A client commits on this database.
    Write(usize),
    /// The agent dies; its database lives on.
    KillAgent(usize),
    /// The database dies.
    KillDatabase(usize),
    /// Both die.
    KillHost(usize),
    /// The agent starts anew.
    Start(usize),
    /// The agent's process is frozen.
    Freeze(usize),
    /// It goes on.
    GoOn(usize),
    /// An operator asks this member for a switchover to whoever can.
    SwitchOver(usize),
}

/// What a call is for, in a word or two.
pub(super) fn name_of(order: &Order) -> String {
    match order {
        Order::Read => "read".into(),
        Order::Commit(commit) => {
            let keys: Vec<&str> = commit.writes.keys().map(odoo_ha_core::store::Key::as_str).collect();
            format!("commit {}", keys.join("+"))
        }
        Order::Remember(_) => "remember".into(),
        Order::Database(order) => order.verb().into(),
        _ => "other".into(),
    }
}

/// Whether an action is a step of its own. All others are done at once, within the step that asks for them: looking at the database,
/// what members say of themselves, slots and checkpoints decide nothing that an order of events could turn wrong.
pub(super) fn is_step(order: &Order, fine: bool) -> bool {
    match order {
        Order::Read | Order::Remember(_) => fine,
        Order::Commit(commit) => commit.writes.keys().any(|key| !key.as_str().starts_with("members/")),
        Order::Database(order) => {
            !matches!(order, DatabaseOrder::Observe | DatabaseOrder::Checkpoint | DatabaseOrder::KeepSlots(_))
        }
        _ => false,
    }
}

/// All that may be tried in a state. Some of it comes to nothing, and is no step then.
pub(super) fn steps(bounds: &Bounds, state: &State, steps: &mut Vec<Step>) {
    if state.wrong.is_some() || state.depth >= bounds.depth {
        return;
    }
    let left = state.left;
    if bounds.clocks == Clocks::Common {
        steps.push(Step::Time);
    }
    for (i, node) in state.all().enumerate() {
        let database = &node.database;
        if node.machine.is_none() {
            steps.push(Step::Start(i));
        } else if node.frozen {
            steps.push(Step::GoOn(i));
        } else {
            if bounds.clocks == Clocks::Independent {
                steps.push(Step::Leap(i));
            }
            for (id, call) in &node.calls {
                let overdue = node.clock > call.by;
                let commits = call.commit().is_some();
                if !overdue || !commits {
                    steps.push(Step::Do(i, *id));
                }
                if commits && (left.lost > 0 || overdue) {
                    steps.extend([Fate::Done, Fate::NotDone, Fate::Later].map(|fate| Step::Lose(i, *id, fate)));
                }
                if matches!(call.action.order, Order::Read) && left.lost > 0 {
                    steps.push(Step::Lose(i, *id, Fate::NotDone));
                }
            }
            if !node.news.is_empty() {
                steps.push(Step::News(i));
            }
            if left.freezes > 0 && bounds.clocks == Clocks::Common {
                steps.push(Step::Freeze(i));
            }
            if left.switchovers > 0 && node.doing == StateName::Leading {
                steps.push(Step::SwitchOver(i));
            }
        }
        if database.state == DatabaseState::Standby && database.upstream.is_some() {
            steps.push(Step::Receive(i));
        }
        if left.writes > 0 && database.state == DatabaseState::Primary {
            steps.push(Step::Write(i));
        }
        if left.crashes > 0 {
            let (agent, runs) = (node.machine.is_some(), database.state.runs());
            if agent {
                steps.push(Step::KillAgent(i));
            }
            if runs {
                steps.push(Step::KillDatabase(i));
            }
            if agent && runs {
                steps.push(Step::KillHost(i));
            }
        }
    }
    steps.extend((0..state.late.len()).map(Step::Land));
}
