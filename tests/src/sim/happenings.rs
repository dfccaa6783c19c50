//! What is on its way in the world, and how it happens: time goes from one thing to the next.

use std::time::Duration;

use odoo_ha_core::event::EventKind;
use odoo_ha_core::machine::{Action, Answer, Command, Input, Machine};
use odoo_ha_core::member::MemberId;
use odoo_ha_core::store::{Change, Commit, Revision};
use odoo_ha_core::term::Term;

use super::World;
use super::fact::Fact;

/// How often what moves by itself is moved.
const TICK: Duration = Duration::from_millis(5);

/// What is on its way.
pub(super) enum Happening {
    Input(MemberId, u64, Input),
    /// Whose, in which life, what, and when it was sent.
    Perform(MemberId, u64, Action, Duration),
    /// A write that arrives at the store although nobody waits for its answer any more; from where, unless the store has it already.
    Late(Option<MemberId>, Commit),
    /// An attach that nobody waits for any more.
    Attach(MemberId, u64, Term),
    Watch(MemberId, Revision, Vec<Change>),
    /// The time for a question is over.
    NobodyAnswered(u64),
    /// A watch that showed nothing for a while goes on.
    WatchMoves(MemberId),
}

impl World {
    pub(super) fn after(&mut self, wait: Duration, happening: Happening) {
        self.order += 1;
        self.queue.insert((self.now + wait, self.order), Box::new(happening));
    }

    pub(super) fn run_to(&mut self, until: Duration, holds: impl Fn(&Self) -> bool) -> bool {
        let mut looked = Duration::ZERO;
        let mut tick = self.next_tick.unwrap_or(self.now + TICK);
        self.next_tick = Some(tick);
        loop {
            if looked != self.now {
                looked = self.now;
                if holds(self) {
                    return true;
                }
            }
            let next = self.queue.first_key_value().map(|(key, _)| *key);
            let wake = self.wakes.values().min().copied();
            let queued = next.map_or(tick, |(at, _)| at);
            let at = tick.min(queued).min(wake.unwrap_or(tick));
            if at > until {
                self.now = until;
                return false;
            }
            self.now = self.now.max(at);
            if tick <= at {
                self.tick();
                tick += TICK;
                self.next_tick = Some(tick);
            } else if next.is_some_and(|(queued, _)| queued <= at) {
                if let Some((_, happening)) = self.queue.pop_first() {
                    self.happen(*happening);
                }
            } else {
                let due = self.wakes.iter().find(|(_, wake)| **wake <= at).map(|(name, _)| name.clone());
                if let Some(name) = due {
                    self.wakes.remove(&name);
                    self.hand(&name, Input::Time);
                }
            }
            self.look();
        }
    }

    pub(super) fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Input(name, incarnation, input) => {
                let node = self.node(&name);
                if node.incarnation == incarnation && node.machine.is_some() {
                    let begins = matches!(&input, Input::Finished { result: Ok(Answer::Snapshot(_)), .. });
                    self.hand(&name, input);
                    if begins {
                        self.begin_watch(&name);
                    }
                }
            }
            Happening::Perform(name, incarnation, action, sent) => self.perform(&name, incarnation, action, sent),
            Happening::Late(name, commit) => {
                if name.is_none_or(|name| !self.node(&name).cut_from_store) {
                    let _ = self.write_to_store(&commit);
                }
            }
            Happening::Attach(name, incarnation, term) => {
                let node = self.node(&name);
                // A socket of its own dies with the agent; what others were asked to do happens all the same.
                let moves = node.config.address.is_some_and(|address| address.moves_authoritatively);
                if moves || (node.incarnation == incarnation && node.machine.is_some() && !node.frozen) {
                    let _ = self.attach(&name, term);
                }
            }
            Happening::Watch(name, revision, changes) => {
                self.node_mut(&name).late.push((revision, changes));
                self.show_watch(&name);
            }
            Happening::NobodyAnswered(ticket) => self.nobody_answered(ticket),
            Happening::WatchMoves(name) => self.show_watch(&name),
        }
    }

    /// Shows a member what its watch holds back, in order, unless it is stalled.
    pub(super) fn show_watch(&mut self, name: &MemberId) {
        let now = self.now;
        let node = self.node_mut(name);
        if node.watch_stalled_until > now {
            let wait = node.watch_stalled_until - now;
            self.after(wait, Happening::WatchMoves(name.clone()));
            return;
        }
        for (revision, changes) in std::mem::take(&mut node.late) {
            let node = self.node_mut(name);
            if node.cut_from_store || node.store_link.answers_lost {
                node.watching = false;
                self.hand(name, Input::WatchLost);
            } else if node.watching {
                self.hand(name, Input::Changed { revision, changes });
            } else if let Some(missed) = &mut node.missed {
                missed.push((revision, changes));
            }
        }
    }

    /// A read was answered: from now on its reader hears of every change since.
    fn begin_watch(&mut self, name: &MemberId) {
        let node = self.node_mut(name);
        node.watching = true;
        for (revision, changes) in node.missed.take().unwrap_or_default() {
            self.hand(name, Input::Changed { revision, changes });
        }
    }

    /// Hands an input to a machine and does what it wants.
    pub(super) fn hand(&mut self, name: &MemberId, input: Input) {
        let now = self.now;
        let node = self.node_mut(name);
        if node.frozen {
            if !matches!(input, Input::Time) {
                node.waiting.push(input);
            }
            return;
        }
        let Some(machine) = &mut node.machine else { return };
        let fact = match &input {
            Input::Finished { id, result } => {
                node.renewals.remove(id);
                matches!(result, Ok(Answer::Snapshot(_))).then(|| Fact::ReadAnswered { member: name.clone() })
            }
            Input::ClockJumped => Some(Fact::ClockJumped { member: name.clone(), at: now }),
            Input::Command(Command::Recover) => Some(Fact::ToldToRecover { member: name.clone() }),
            _ => None,
        };
        machine.handle(node.clock.shows(now), input);
        self.facts.extend(fact);
        self.drain(name);
    }

    /// When its machine is handed the time again, by its own clock.
    pub(super) fn set_wake(&mut self, name: &MemberId) {
        let node = self.node(name);
        let wanted = node.machine.as_ref().and_then(Machine::poll_timeout).and_then(|at| node.clock.when(at));
        match (wanted.map(|at| at.max(self.now + Duration::from_micros(1))), self.wakes.get_mut(name)) {
            (Some(at), Some(wake)) => *wake = at,
            (Some(at), None) => {
                self.wakes.insert(name.clone(), at);
            }
            (None, _) => {
                self.wakes.remove(name);
            }
        }
    }

    pub(super) fn drain(&mut self, name: &MemberId) {
        let mut actions = Vec::new();
        let mut events = Vec::new();
        let node = self.node_mut(name);
        let incarnation = node.incarnation;
        if let Some(machine) = &mut node.machine {
            while let Some(action) = machine.poll_action() {
                actions.push(action);
            }
            while let Some(event) = machine.poll_event() {
                events.push(event);
            }
        }
        self.set_wake(name);
        for event in events {
            match &event.kind {
                EventKind::InvariantBroken { which } => {
                    self.facts.push(Fact::MachineBroke { member: name.clone(), which: which.clone() });
                }
                EventKind::StateChanged { to, cause, .. } => {
                    let (to, cause) = (to.clone(), cause.clone());
                    self.facts.push(Fact::StateChanged { member: name.clone(), to, cause });
                }
                _ => {}
            }
            self.events.push((self.now, event));
        }
        for action in actions {
            self.begin(name, incarnation, action);
        }
    }
}
