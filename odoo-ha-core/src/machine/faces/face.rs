//! What one member alone may have: the address, and the services.

use std::time::Duration;

use super::{DOWN_TIMEOUT, RETRY};
use crate::error::Failure;
use crate::machine::Machine;
use crate::machine::action::{CallId, Order};
use crate::machine::input::Answer;
use crate::term::Term;
use crate::time::Moment;

/// Longest time to start services, which take seconds.
const SERVICES_TIMEOUT: Duration = Duration::from_secs(120);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Lift {
    /// Nobody knows: it is taken down, or raised, before anything is believed of it.
    Unsure,
    Down,
    Rising(CallId),
    Up,
    Falling(CallId),
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Face {
    pub(super) lift: Lift,
    again_at: Moment,
    look_at: Moment,
    looking: Option<CallId>,
    /// A rise that was called off before it had ended: it may still happen.
    called_off: Option<CallId>,
    /// That rise ended while the fall was under way: nobody knows which of the two was last.
    fall_again: bool,
}

impl Face {
    pub(super) fn new(now: Moment) -> Self {
        Self { lift: Lift::Unsure, again_at: now, look_at: now, looking: None, called_off: None, fall_again: false }
    }

    /// What rises is to fall, whatever becomes of the rise.
    fn call_off(&mut self) {
        if let Lift::Rising(call) = self.lift {
            self.called_off = Some(call);
        }
    }

    /// Certainly down, and nothing is under way that could raise it.
    pub(super) fn is_down(&self) -> bool {
        matches!(self.lift, Lift::Down) && self.called_off.is_none()
    }

    pub(super) fn waits_for(&self, id: CallId) -> bool {
        matches!(self.lift, Lift::Rising(call) | Lift::Falling(call) if call == id)
            || self.looking == Some(id)
            || self.called_off == Some(id)
    }

    pub(super) fn is_up(&self) -> bool {
        matches!(self.lift, Lift::Up)
    }

    /// It is up, or may be.
    pub(super) fn may_be_up(&self) -> bool {
        matches!(self.lift, Lift::Rising(_) | Lift::Up)
    }

    /// When it wants to be looked at again.
    pub(super) fn wake_at(&self) -> Option<Moment> {
        match self.lift {
            Lift::Unsure | Lift::Down => Some(self.again_at),
            Lift::Up => Some(self.look_at),
            Lift::Rising(_) | Lift::Falling(_) => None,
        }
    }

    /// A call has ended, perhaps one of this face's. Returns what the operator should know.
    pub(super) fn finished(
        &mut self,
        name: &str,
        id: CallId,
        result: &Result<Answer, Failure>,
        now: Moment,
        look_at: Moment,
    ) -> Option<String> {
        let mut said = None;
        if self.looking == Some(id) {
            self.looking = None;
            if matches!(result, Ok(Answer::AddressHere(false))) {
                self.lift = Lift::Unsure;
                self.again_at = now;
                said = Some(format!("{name} was not here any more and is taken again"));
            }
        }
        if self.called_off == Some(id) {
            // It may have happened after the fall: once more down, but not beside the fall that is under way.
            self.called_off = None;
            match self.lift {
                Lift::Down => {
                    self.lift = Lift::Unsure;
                    self.again_at = now;
                }
                Lift::Falling(_) => self.fall_again = true,
                Lift::Unsure | Lift::Rising(_) | Lift::Up => {}
            }
        }
        match (self.lift, result) {
            (Lift::Rising(call), Ok(_)) if call == id => {
                self.lift = Lift::Up;
                self.look_at = look_at;
            }
            (Lift::Rising(call), Err(failure)) if call == id => {
                self.lift = Lift::Unsure;
                self.again_at = now + RETRY;
                said = Some(format!("{name} cannot be taken yet: {failure}"));
            }
            (Lift::Falling(call), Ok(_)) if call == id => {
                self.lift = if std::mem::take(&mut self.fall_again) { Lift::Unsure } else { Lift::Down };
                self.again_at = now;
            }
            (Lift::Falling(call), Err(failure)) if call == id => {
                self.fall_again = false;
                self.lift = Lift::Unsure;
                self.again_at = now + RETRY;
                said = Some(format!("{name} cannot be taken down yet: {failure}"));
            }
            _ => {}
        }
        said
    }
}

impl Machine {
    pub(super) fn tend_address(&mut self, serve: bool) {
        let Some(face) = self.faces.address.clone() else { return };
        // The belief that must be left when it begins exceeds it (protocol rule 35).
        let timeout = self.config.timing.attach_timeout();
        let limit = self.reign.as_ref().map(|reign| reign.give_up_at().before(timeout));
        let term = self.reign.as_ref().map_or(Term(0), |reign| reign.term);
        let mut next = face;
        match (serve, next.lift) {
            (true, Lift::Unsure | Lift::Down) if next.again_at <= self.now && limit.is_some_and(|at| at > self.now) => {
                next.lift = Lift::Rising(self.call(Order::AttachAddress { term }, timeout, limit));
            }
            (true, Lift::Up) if next.look_at <= self.now && next.looking.is_none() => {
                next.looking = Some(self.call(Order::LookAtAddress, timeout, None));
                next.look_at = self.after(self.config.timing.observe_interval);
            }
            (false, Lift::Unsure) if next.again_at <= self.now => {
                next.lift = Lift::Falling(self.call(Order::DetachAddress, DOWN_TIMEOUT, None));
            }
            (false, Lift::Up | Lift::Rising(_)) => {
                next.call_off();
                next.lift = Lift::Falling(self.call(Order::DetachAddress, DOWN_TIMEOUT, None));
                next.looking = None;
            }
            _ => {}
        }
        self.faces.address = Some(next);
    }

    pub(super) fn tend_services(&mut self, serve: bool) {
        let Some(face) = self.faces.services.clone() else { return };
        let limit = self.reign.as_ref().map(|reign| reign.give_up_at());
        let term = self.reign.as_ref().map_or(Term(0), |reign| reign.term);
        let mut next = face;
        match (serve, next.lift) {
            (true, Lift::Unsure | Lift::Down) if next.again_at <= self.now => {
                next.lift = Lift::Rising(self.call(Order::StartServices { term }, SERVICES_TIMEOUT, limit));
            }
            (false, Lift::Unsure) if next.again_at <= self.now => {
                next.lift = Lift::Falling(self.call(Order::StopServices, DOWN_TIMEOUT, None));
            }
            (false, Lift::Up | Lift::Rising(_)) => {
                next.call_off();
                next.lift = Lift::Falling(self.call(Order::StopServices, DOWN_TIMEOUT, None));
            }
            _ => {}
        }
        self.faces.services = Some(next);
    }
}
