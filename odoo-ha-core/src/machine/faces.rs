//! What hangs on leadership: address, services, filestore, watchdog; and replication slots. Each is driven towards what is wanted, again
//! and again, and never risen without safe leadership.

use std::collections::BTreeSet;
use std::time::Duration;

use super::action::{CallId, Order};
use super::input::Answer;
use super::reign::Reign;
use super::state::State;
use super::{Config, Machine};
use crate::database::{DatabaseOrder, DatabaseState, StopMode, SynchronousStandbys};
use crate::error::Failure;
use crate::event::EventKind;
use crate::member::MemberId;
use crate::records::ElectionRule;
use crate::term::Term;
use crate::time::Moment;

/// Time between two tries.
const RETRY: Duration = Duration::from_millis(200);
/// Longest time to take something down; what hangs longer is tried again.
const DOWN_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest time to start services, which take seconds.
const SERVICES_TIMEOUT: Duration = Duration::from_secs(120);
/// Longest time of one call to the watchdog.
const WATCHDOG_TIMEOUT: Duration = Duration::from_secs(1);
/// A database found running as primary by an agent that cannot reach the store is left alone this long.
const UNCONFIRMED_PRIMARY: Duration = Duration::from_secs(2);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Lift {
    /// Nobody knows: it is taken down, or raised, before anything is believed of it.
    Unsure,
    Down,
    Rising(CallId),
    Up,
    Falling(CallId),
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Face {
    lift: Lift,
    again_at: Moment,
    look_at: Moment,
    looking: Option<CallId>,
    /// A rise that was called off before it had ended: it may still happen.
    called_off: Option<CallId>,
}

impl Face {
    fn new(now: Moment) -> Self {
        Self { lift: Lift::Unsure, again_at: now, look_at: now, looking: None, called_off: None }
    }

    /// What rises is to fall, whatever becomes of the rise.
    fn call_off(&mut self) {
        if let Lift::Rising(call) = self.lift {
            self.called_off = Some(call);
        }
    }

    /// Certainly down, and nothing is under way that could raise it.
    fn is_down(&self) -> bool {
        matches!(self.lift, Lift::Down) && self.called_off.is_none()
    }

    fn waits_for(&self, id: CallId) -> bool {
        matches!(self.lift, Lift::Rising(call) | Lift::Falling(call) if call == id)
            || self.looking == Some(id)
            || self.called_off == Some(id)
    }
}

/// What the files are for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum FilesRole {
    Unsure,
    Rest,
    Lead(Term),
    Follow(Term, MemberId),
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Files {
    role: FilesRole,
    going: Option<(CallId, FilesRole)>,
    again_at: Moment,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Leash {
    Unsure,
    Off,
    Arming(CallId),
    Armed,
    Disarming(CallId),
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Dog {
    leash: Leash,
    feeding: Option<(CallId, Option<Moment>)>,
    /// It was to be fed while it was still being armed or fed: once more, then.
    missed: bool,
    /// The deadline it knows.
    fed: Option<Option<Moment>>,
    again_at: Moment,
    /// Since when it is not armed though it should be.
    missing_since: Option<Moment>,
}

/// All of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Faces {
    address: Option<Face>,
    services: Option<Face>,
    files: Option<Files>,
    dog: Option<Dog>,
    pub(super) slots: Option<BTreeSet<MemberId>>,
    pub(super) slots_again_at: Moment,
    born: Moment,
}

impl Faces {
    pub(super) fn new(config: &Config, now: Moment) -> Self {
        Self {
            address: config.address.map(|_| Face::new(now)),
            services: config.services.then(|| Face::new(now)),
            files: config.filestore.then_some(Files { role: FilesRole::Unsure, going: None, again_at: now }),
            dog: config.watchdog.map(|_| Dog {
                leash: Leash::Unsure,
                feeding: None,
                missed: false,
                fed: None,
                again_at: now,
                missing_since: None,
            }),
            slots: None,
            slots_again_at: now,
            born: now,
        }
    }

    pub(super) fn address_is_here(&self) -> bool {
        self.address.as_ref().is_some_and(|face| matches!(face.lift, Lift::Up))
    }

    /// Something that hangs on leadership is, or may be, up.
    pub(super) fn may_be_up(&self) -> bool {
        let up = |face: &Face| matches!(face.lift, Lift::Rising(_) | Lift::Up);
        self.address.as_ref().is_some_and(up) || self.services.as_ref().is_some_and(up)
    }

    pub(super) fn are_down(&self) -> bool {
        self.address.as_ref().is_none_or(Face::is_down) && self.services.as_ref().is_none_or(Face::is_down)
    }

    fn are_up(&self) -> bool {
        self.address.as_ref().is_none_or(|face| matches!(face.lift, Lift::Up))
    }

    pub(super) fn waits_for(&self, id: CallId) -> bool {
        self.address.as_ref().is_some_and(|face| face.waits_for(id))
            || self.services.as_ref().is_some_and(|face| face.waits_for(id))
            || self.files.as_ref().is_some_and(|f| f.going.as_ref().is_some_and(|(call, _)| *call == id))
            || self.dog.as_ref().is_some_and(|dog| {
                matches!(dog.leash, Leash::Arming(call) | Leash::Disarming(call) if call == id)
                    || dog.feeding.is_some_and(|(call, _)| call == id)
            })
    }

    pub(super) fn watchdog_lost(&mut self, now: Moment) {
        if let Some(dog) = &mut self.dog
            && matches!(dog.leash, Leash::Armed)
        {
            dog.leash = Leash::Off;
            dog.fed = None;
            dog.feeding = None;
            dog.again_at = now;
            dog.missing_since.get_or_insert(now);
        }
    }

    /// When something here wants to be looked at again.
    pub(super) fn wake_at(&self) -> Option<Moment> {
        let face = |face: &Option<Face>| {
            face.as_ref().and_then(|face| match face.lift {
                Lift::Unsure => Some(face.again_at),
                Lift::Up => Some(face.look_at),
                Lift::Down | Lift::Rising(_) | Lift::Falling(_) => None,
            })
        };
        let down = [&self.address, &self.services]
            .into_iter()
            .flatten()
            .filter(|face| matches!(face.lift, Lift::Down))
            .map(|face| face.again_at);
        let files = self.files.as_ref().filter(|files| files.going.is_none()).map(|files| files.again_at);
        let dog = self.dog.as_ref().map(|dog| dog.again_at);
        [face(&self.address), face(&self.services), files, dog, Some(self.slots_again_at)]
            .into_iter()
            .flatten()
            .chain(down)
            .min()
    }
}

impl Machine {
    /// Whether users may be let in: this member leads safely, its database is primary, what recovery replayed is on every named standby, and
    /// nobody else can still hold the address.
    fn may_serve(&self) -> bool {
        let serving_state = match &self.state {
            State::Leading => true,
            State::HandingOver(hand_over) => hand_over.serves(),
            _ => false,
        };
        let Some(reign) = &self.reign else { return false };
        if !serving_state || reign.needs_start || reign.lost || !reign.leader.serving || reign.history.is_some() {
            return false;
        }
        if reign.not_before > self.now || reign.give_up_at() <= self.now {
            return false;
        }
        if reign.announced {
            return true;
        }
        let Some(sync) = self.view.sync.as_ref().map(|seen| &seen.record) else { return false };
        let enforced = sync.rule == ElectionRule::Asynchronous
            || reign.standbys_in_force.is_none()
            || reign.standbys_in_force != Some(SynchronousStandbys::Nobody)
            || sync.names.is_empty();
        let Some(database) = &self.database else { return false };
        let reached = match reign.recovered_to {
            None => false,
            Some(end) => sync
                .names
                .keys()
                .all(|name| database.standbys.get(name).is_some_and(|s| s.streaming && s.flushed >= end)),
        };
        enforced && reached && database.state == DatabaseState::Primary
    }

    /// How long an attach may take: less than the belief that must be left when it begins (protocol rule 35).
    fn attach_timeout(&self) -> Duration {
        self.config.timing.ttl / 4
    }

    pub(super) fn tend_faces(&mut self) {
        let serve = self.may_serve();
        self.tend_address(serve);
        self.tend_services(serve);
        self.tend_files(serve);
        self.tend_watchdog();
        self.announce_serving(serve);
        self.stop_unled_primary();
        if matches!(self.state, State::Following) {
            self.keep_slots();
        }
    }

    fn announce_serving(&mut self, serve: bool) {
        let up = self.faces.are_up();
        let Some(reign) = &mut self.reign else { return };
        if serve && up && !reign.announced {
            reign.announced = true;
            reign.silent.clear();
            let sentence = format!("{} serves users in term {}", self.config.me, reign.term);
            self.tell(EventKind::Serving, sentence);
        }
    }

    fn tend_address(&mut self, serve: bool) {
        let Some(face) = self.faces.address.clone() else { return };
        let timeout = self.attach_timeout();
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

    fn tend_services(&mut self, serve: bool) {
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

    fn tend_files(&mut self, serve: bool) {
        let Some(files) = self.faces.files.clone() else { return };
        if files.going.is_some() || files.again_at > self.now {
            return;
        }
        let leader = self.view.leader.as_ref().map(|seen| &seen.record);
        let wanted = match (serve, leader.and_then(|leader| leader.holder.clone())) {
            (true, _) => FilesRole::Lead(self.term()),
            (false, Some(holder)) if holder != *self.me() && matches!(self.state, State::Following) => {
                FilesRole::Follow(self.term(), holder)
            }
            (false, _) => FilesRole::Rest,
        };
        if wanted == files.role {
            return;
        }
        let order = match &wanted {
            FilesRole::Lead(term) => Order::LeadFilestore { term: *term },
            FilesRole::Follow(term, leader) => Order::FollowFilestore {
                term: *term,
                leader: leader.clone(),
                endpoint: self.view.endpoint(leader).cloned(),
            },
            FilesRole::Rest | FilesRole::Unsure => Order::RestFilestore,
        };
        let id = self.call(order, DOWN_TIMEOUT, None);
        if let Some(files) = &mut self.faces.files {
            files.going = Some((id, wanted));
        }
    }

    pub(super) fn face_finished(&mut self, id: CallId, result: &Result<Answer, Failure>) {
        let (now, retry) = (self.now, self.now + RETRY);
        let look_at = self.after(self.config.timing.observe_interval);
        let mut said = None;
        for (name, face) in [("the address", &mut self.faces.address), ("services", &mut self.faces.services)] {
            let Some(face) = face else { continue };
            if face.looking == Some(id) {
                face.looking = None;
                if matches!(result, Ok(Answer::AddressHere(false))) {
                    face.lift = Lift::Unsure;
                    face.again_at = now;
                    said = Some(format!("{name} was not here any more and is taken again"));
                }
            }
            if face.called_off == Some(id) {
                // It may have happened after the fall: once more down.
                face.called_off = None;
                if matches!(face.lift, Lift::Down | Lift::Falling(_)) {
                    face.lift = Lift::Unsure;
                    face.again_at = now;
                }
            }
            match (face.lift, result) {
                (Lift::Rising(call), Ok(_)) if call == id => {
                    face.lift = Lift::Up;
                    face.look_at = look_at;
                }
                (Lift::Rising(call), Err(failure)) if call == id => {
                    face.lift = Lift::Unsure;
                    face.again_at = retry;
                    said = Some(format!("{name} cannot be taken yet: {failure}"));
                }
                (Lift::Falling(call), Ok(_)) if call == id => {
                    face.lift = Lift::Down;
                    face.again_at = now;
                }
                (Lift::Falling(call), Err(failure)) if call == id => {
                    face.lift = Lift::Unsure;
                    face.again_at = retry;
                    said = Some(format!("{name} cannot be taken down yet: {failure}"));
                }
                _ => {}
            }
        }
        if let Some(files) = &mut self.faces.files
            && let Some((call, role)) = files.going.clone()
            && call == id
        {
            files.going = None;
            match result {
                Ok(_) => files.role = role,
                Err(failure) => {
                    files.role = FilesRole::Unsure;
                    files.again_at = now + Duration::from_secs(1);
                    said = Some(format!("the filestore does not change its role yet: {failure}"));
                }
            }
        }
        if let Some(said) = said {
            self.trouble(said);
        }
        self.dog_finished(id, result);
    }

    fn dog_finished(&mut self, id: CallId, result: &Result<Answer, Failure>) {
        let retry = self.now + RETRY;
        let Some(dog) = &mut self.faces.dog else { return };
        let mut said = None;
        match (&dog.leash, result) {
            (Leash::Arming(call), Ok(_)) if *call == id => {
                dog.leash = Leash::Armed;
                dog.missing_since = None;
            }
            (Leash::Arming(call), Err(failure)) if *call == id => {
                dog.leash = Leash::Off;
                dog.fed = None;
                dog.again_at = retry;
                said = Some(format!("the watchdog cannot be armed yet: {failure}"));
            }
            (Leash::Disarming(call), Ok(_)) if *call == id => dog.leash = Leash::Off,
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
                    dog.leash = Leash::Off;
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
    pub(super) fn watchdog_is_armed(&mut self) -> bool {
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
    pub(super) fn feed_watchdog(&mut self) {
        let Some(reign) = &self.reign else { return };
        let (term, deadline) = (reign.term, self.watchdog_deadline(reign));
        self.feed(term, deadline);
    }

    /// What the watchdog is told: the end of belief, and never more than what the next record will give: others may count by that one before
    /// the watchdog hears of it (protocol rules 4 and 5).
    fn watchdog_deadline(&self, reign: &Reign) -> Option<Moment> {
        let ends = reign.harmless_by();
        if reign.paused {
            return ends;
        }
        let timing = &self.config.timing;
        let next =
            self.after(timing.ttl.min(reign.timing.ttl)).before(timing.clock_margin.max(reign.timing.clock_margin));
        Some(ends.map_or(next, |ends| ends.min(next)))
    }

    /// Whether no armed watchdog would let this node live on beyond that.
    pub(super) fn watchdog_ends_by(&self, at: Moment) -> bool {
        self.faces.dog.as_ref().is_none_or(|dog| {
            !matches!(dog.leash, Leash::Armed | Leash::Arming(_)) || matches!(dog.fed, Some(Some(end)) if end <= at)
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

    /// Whether the watchdog knows an end, or there is none to tell.
    pub(super) fn watchdog_is_bounded(&self) -> bool {
        self.faces.dog.as_ref().is_none_or(|dog| dog.leash != Leash::Armed || matches!(dog.fed, Some(Some(_))))
    }

    /// Tells the watchdog an end before leadership has one again.
    pub(super) fn bound_watchdog(&mut self) {
        let Some(term) = self.reign.as_ref().map(|reign| reign.term) else { return };
        let deadline = self.after(self.config.timing.ttl).before(self.config.timing.clock_margin);
        self.feed(term, Some(deadline));
    }

    pub(super) fn disarm_watchdog(&mut self) {
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

    fn tend_watchdog(&mut self) {
        if self.faces.dog.is_none() {
            return;
        }
        let primary = self.database.as_ref().is_none_or(|database| database.state == DatabaseState::Primary);
        if self.reign.is_none() {
            let settled = matches!(self.state, State::Following | State::Voting { .. } | State::Leaving { .. });
            if settled && !primary {
                self.disarm_watchdog();
            }
        } else if matches!(self.state, State::Leading | State::Promoting | State::Bootstrapping | State::HandingOver(_))
            && self.memo.led == self.reign.as_ref().map_or(Term(0), |reign| reign.term)
        {
            self.watchdog_is_armed();
        }
    }

    /// Since when the watchdog is missed though this member leads.
    pub(super) fn watchdog_missing_since(&self) -> Option<Moment> {
        self.faces.dog.as_ref().and_then(|dog| dog.missing_since)
    }

    /// A database that runs as primary without leadership behind it is stopped (rule 5).
    fn stop_unled_primary(&mut self) {
        let primary = self.database.as_ref().is_some_and(|database| database.state == DatabaseState::Primary);
        let leads = self.reign.is_some() && !matches!(self.state, State::Resuming);
        if !primary || leads || self.running.is_some() || self.stop_again_at > self.now {
            return;
        }
        let unconfirmed = self.now.since(self.faces.born) >= UNCONFIRMED_PRIMARY.min(self.config.timing.ttl);
        let stop = match self.state {
            State::Joining => unconfirmed && !self.store_is_usable(),
            State::Following => {
                let paused = self.view.leader.as_ref().is_some_and(|seen| seen.record.paused);
                let cluster = self.view.leader.is_some();
                // Pause leaves a database as it is, but not two of them.
                let others = self.view.holder().is_some_and(|holder| holder != self.me());
                if self.store_is_usable() { cluster && (!paused || others) } else { unconfirmed }
            }
            // It renews before it acts; until that is answered nobody's leadership is behind this database.
            State::Resuming => {
                let waited = self.reign.as_ref().map_or(Duration::ZERO, |reign| self.now.since(reign.began));
                let paused = self.reign.as_ref().is_some_and(|reign| reign.paused);
                waited >= UNCONFIRMED_PRIMARY.min(self.config.timing.ttl) && !paused
            }
            _ => false,
        };
        if stop {
            self.trouble("the database runs as primary but this member does not lead: it is stopped");
            self.order(DatabaseOrder::Stop(StopMode::AtOnce { fast_for_ms: 0 }), DOWN_TIMEOUT);
        }
    }

    /// Keeps a slot for every other member, so that what they need is still there when they come back.
    pub(super) fn keep_slots(&mut self) {
        let members = self.view.others(&self.config.me);
        let runs = self
            .database
            .as_ref()
            .is_some_and(|database| matches!(database.state, DatabaseState::Primary | DatabaseState::Standby));
        let busy = self.running.is_some() || self.faces.slots_again_at > self.now;
        if runs && !busy && self.faces.slots.as_ref() != Some(&members) {
            self.order(DatabaseOrder::KeepSlots(members), DOWN_TIMEOUT);
        }
    }
}
