//! What makes this node harmless when its agent cannot: armed, fed with the end of belief, let go.

use std::time::Duration;

use super::RETRY;
use crate::database::DatabaseState;
use crate::error::Failure;
use crate::machine::Machine;
use crate::machine::action::{CallId, Order};
use crate::machine::input::Answer;
use crate::machine::reign::Reign;
use crate::machine::state::State;
use crate::term::Term;
use crate::time::Moment;

/// Longest time of one call to the watchdog.
const WATCHDOG_TIMEOUT: Duration = Duration::from_secs(1);

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Leash {
    Unsure,
    Off,
    Arming(CallId),
    Armed,
    Disarming(CallId),
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Dog {
    leash: Leash,
    /// An earlier arming, of this life or of one before, may still be in force: nothing has certainly ended it.
    may_be_armed: bool,
    feeding: Option<(CallId, Option<Moment>)>,
    /// It was to be fed while it was still being armed or fed: once more, then.
    missed: bool,
    /// The deadline it knows, or will once it is armed.
    fed: Option<Option<Moment>>,
    again_at: Moment,
    /// Since when it is not armed though it should be.
    missing_since: Option<Moment>,
}

impl Dog {
    pub(super) fn new(now: Moment) -> Self {
        Self {
            leash: Leash::Unsure,
            may_be_armed: true,
            feeding: None,
            missed: false,
            fed: None,
            again_at: now,
            missing_since: None,
        }
    }

    pub(super) fn waits_for(&self, id: CallId) -> bool {
        matches!(self.leash, Leash::Arming(call) | Leash::Disarming(call) if call == id)
            || self.feeding.is_some_and(|(call, _)| call == id)
    }

    /// When it wants to be looked at again.
    pub(super) fn wake_at(&self) -> Moment {
        self.again_at
    }

    pub(super) fn lost(&mut self, now: Moment) {
        if matches!(self.leash, Leash::Armed) {
            self.leash = Leash::Off;
            self.may_be_armed = false;
            self.fed = None;
            self.feeding = None;
            self.again_at = now;
            self.missing_since.get_or_insert(now);
        }
    }
}

impl Machine {
    pub(super) fn dog_finished(&mut self, id: CallId, result: &Result<Answer, Failure>) {
        let retry = self.now + RETRY;
        let Some(dog) = &mut self.faces.dog else { return };
        let mut said = None;
        match (&dog.leash, result) {
            (Leash::Arming(call), Ok(_)) if *call == id => {
                dog.leash = Leash::Armed;
                dog.may_be_armed = true;
                dog.missing_since = None;
            }
            (Leash::Arming(call), Err(failure)) if *call == id => {
                // An arming without a certain answer may be in force, and so may one from before: it is armed anew, or let go.
                dog.may_be_armed |= !failure.kind.certainly_did_not_happen();
                dog.leash = if dog.may_be_armed { Leash::Unsure } else { Leash::Off };
                dog.fed = None;
                dog.again_at = retry;
                said = Some(format!("the watchdog cannot be armed yet: {failure}"));
            }
            (Leash::Disarming(call), Ok(_)) if *call == id => {
                dog.leash = Leash::Off;
                dog.may_be_armed = false;
            }
            (Leash::Disarming(call), Err(failure)) if *call == id => {
                dog.leash = Leash::Unsure;
                dog.again_at = retry;
                said = Some(format!("the watchdog cannot be disarmed yet: {failure}"));
            }
            _ => {}
        }
        if let Some((call, deadline)) = dog.feeding
            && call == id
        {
            dog.feeding = None;
            match result {
                Ok(_) => dog.fed = Some(deadline),
                Err(failure) => {
                    // Not fed is not let go: it acts by the end that it knew, or by this one.
                    dog.leash = Leash::Unsure;
                    dog.fed = None;
                    dog.again_at = retry;
                    dog.missing_since.get_or_insert(self.now);
                    said = Some(format!("the watchdog cannot be fed: {failure}"));
                }
            }
        }
        let again = dog.missed && dog.feeding.is_none() && dog.leash == Leash::Armed;
        if let Some(said) = said {
            self.trouble(said);
        }
        if again {
            self.feed_watchdog();
        }
    }

    /// Whether what makes this node harmless is armed; begins to arm it.
    pub(in crate::machine) fn watchdog_is_armed(&mut self) -> bool {
        let Some(dog) = &self.faces.dog else { return true };
        match dog.leash {
            Leash::Armed => true,
            Leash::Off | Leash::Unsure if dog.again_at <= self.now => {
                let Some(reign) = &self.reign else { return false };
                let (term, deadline) = (reign.term, self.watchdog_deadline(reign));
                let id = self.call(Order::ArmWatchdog { term, deadline }, WATCHDOG_TIMEOUT, None);
                if let Some(dog) = &mut self.faces.dog {
                    dog.leash = Leash::Arming(id);
                    dog.fed = Some(deadline);
                }
                false
            }
            Leash::Off | Leash::Unsure | Leash::Arming(_) | Leash::Disarming(_) => false,
        }
    }

    /// A renewal is confirmed: the watchdog learns the new deadline.
    pub(in crate::machine) fn feed_watchdog(&mut self) {
        let Some(reign) = &self.reign else { return };
        let (term, deadline) = (reign.term, self.watchdog_deadline(reign));
        self.feed(term, deadline);
    }

    /// What the watchdog is told: the end of belief, and never more than what the next record will give: others may count by that one before
    /// the watchdog hears of it (protocol rules 4 and 5).
    fn watchdog_deadline(&self, reign: &Reign) -> Option<Moment> {
        let ends = reign.harmless_by();
        if reign.paused && !self.resume_is_wished() {
            return ends;
        }
        let timing = &self.config.timing;
        let next =
            self.after(timing.ttl.min(reign.timing.ttl)).before(timing.clock_margin.max(reign.timing.clock_margin));
        Some(ends.map_or(next, |ends| ends.min(next)))
    }

    /// Whether no watchdog would let this node live on beyond that, whatever becomes of what it is being told.
    pub(in crate::machine) fn watchdog_ends_by(&self, at: Moment) -> bool {
        let by = |deadline: Option<Moment>| deadline.is_some_and(|end| end <= at);
        self.faces.dog.as_ref().is_none_or(|dog| match dog.leash {
            Leash::Off => true,
            // What it was told before, in an earlier life of this agent or without an answer, is not known.
            Leash::Arming(_) if dog.may_be_armed => false,
            Leash::Armed | Leash::Arming(_) => {
                dog.fed.is_some_and(by) && dog.feeding.is_none_or(|(_, deadline)| by(deadline))
            }
            Leash::Unsure | Leash::Disarming(_) => false,
        })
    }

    fn feed(&mut self, term: Term, deadline: Option<Moment>) {
        let ready = self.faces.dog.as_ref().is_some_and(|dog| dog.leash == Leash::Armed && dog.feeding.is_none());
        if ready {
            let id = self.call(Order::FeedWatchdog { term, deadline }, WATCHDOG_TIMEOUT, None);
            if let Some(dog) = &mut self.faces.dog {
                dog.feeding = Some((id, deadline));
                dog.missed = false;
            }
        } else if let Some(dog) = &mut self.faces.dog {
            dog.missed = dog.feeding.is_some() || matches!(dog.leash, Leash::Arming(_));
        }
    }

    /// Whether the watchdog knows an end and will not forget it, or there is none to tell.
    pub(in crate::machine) fn watchdog_is_bounded(&self) -> bool {
        self.faces.dog.as_ref().is_none_or(|dog| {
            let told = matches!(dog.fed, Some(Some(_)));
            let unsaid = dog.feeding.is_some_and(|(_, deadline)| deadline.is_none());
            match dog.leash {
                Leash::Off | Leash::Unsure => true,
                Leash::Armed | Leash::Arming(_) => told && !unsaid,
                Leash::Disarming(_) => false,
            }
        })
    }

    pub(in crate::machine) fn disarm_watchdog(&mut self) {
        let Some(dog) = &self.faces.dog else { return };
        let armed = match dog.leash {
            Leash::Armed | Leash::Unsure | Leash::Arming(_) => true,
            Leash::Off | Leash::Disarming(_) => false,
        };
        if armed && dog.again_at <= self.now {
            let id = self.call(Order::DisarmWatchdog, WATCHDOG_TIMEOUT, None);
            if let Some(dog) = &mut self.faces.dog {
                dog.leash = Leash::Disarming(id);
                dog.feeding = None;
                dog.fed = None;
                dog.missing_since = None;
            }
        }
    }

    pub(super) fn tend_watchdog(&mut self) {
        if self.faces.dog.is_none() {
            return;
        }
        // One that does not answer, or is only just starting, may be a primary: nobody knows before it says so.
        let may_be_primary = self.database.as_ref().is_none_or(|database| {
            matches!(database.state, DatabaseState::Primary | DatabaseState::Unresponsive | DatabaseState::Starting)
        });
        if self.reign.is_none() {
            let settled = matches!(self.state, State::Following | State::Voting { .. } | State::Leaving { .. });
            // Services of an earlier life of this agent may still run.
            if settled && !may_be_primary && self.faces.are_down() {
                self.disarm_watchdog();
            }
        } else if matches!(self.state, State::Leading | State::Promoting | State::Bootstrapping | State::HandingOver(_))
            && self.memo.led == self.reign.as_ref().map_or(Term(0), |reign| reign.term)
        {
            self.watchdog_is_armed();
        }
    }

    /// Since when the watchdog is missed though this member leads.
    pub(in crate::machine) fn watchdog_missing_since(&self) -> Option<Moment> {
        self.faces.dog.as_ref().and_then(|dog| dog.missing_since)
    }
}
