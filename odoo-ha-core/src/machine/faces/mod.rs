//! What hangs on leadership: address, services, filestore, watchdog. Each is driven towards what is wanted, again and again, and never
//! risen without safe leadership.

mod face;
mod files;
mod watchdog;

use std::time::Duration;

use face::Face;
use files::Files;
use watchdog::Dog;

use super::action::CallId;
use super::input::Answer;
use super::state::State;
use super::{Config, Machine};
use crate::database::{DatabaseState, SynchronousStandbys};
use crate::error::Failure;
use crate::event::EventKind;
use crate::member::MemberId;
use crate::records::ElectionRule;
use crate::time::Moment;

/// Time between two tries.
const RETRY: Duration = Duration::from_millis(200);
/// Longest time to take something down; what hangs longer is tried again.
const DOWN_TIMEOUT: Duration = Duration::from_secs(10);

/// All of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Faces {
    address: Option<Face>,
    services: Option<Face>,
    files: Option<Files>,
    dog: Option<Dog>,
}

impl Faces {
    pub(super) fn new(config: &Config, now: Moment) -> Self {
        Self {
            address: config.address.map(|_| Face::new(now)),
            services: config.services.then(|| Face::new(now)),
            files: config.filestore.then(|| Files::new(now)),
            dog: config.watchdog.map(|_| Dog::new(now)),
        }
    }

    pub(super) fn address_is_here(&self) -> bool {
        self.address.as_ref().is_some_and(Face::is_up)
    }

    /// Something that hangs on leadership is, or may be, up.
    pub(super) fn may_be_up(&self) -> bool {
        self.address.as_ref().is_some_and(Face::may_be_up) || self.services.as_ref().is_some_and(Face::may_be_up)
    }

    pub(super) fn are_down(&self) -> bool {
        self.address.as_ref().is_none_or(Face::is_down)
            && self.services.as_ref().is_none_or(Face::is_down)
            && self.files.as_ref().is_none_or(Files::are_down)
    }

    fn are_up(&self) -> bool {
        self.address.as_ref().is_none_or(Face::is_up)
    }

    pub(super) fn waits_for(&self, id: CallId) -> bool {
        self.address.as_ref().is_some_and(|face| face.waits_for(id))
            || self.services.as_ref().is_some_and(|face| face.waits_for(id))
            || self.files.as_ref().is_some_and(|files| files.waits_for(id))
            || self.dog.as_ref().is_some_and(|dog| dog.waits_for(id))
    }

    pub(super) fn watchdog_lost(&mut self, now: Moment) {
        if let Some(dog) = &mut self.dog {
            dog.lost(now);
        }
    }

    /// When something here wants to be looked at again.
    pub(super) fn wake_at(&self) -> Option<Moment> {
        [
            self.address.as_ref().and_then(Face::wake_at),
            self.services.as_ref().and_then(Face::wake_at),
            self.files.as_ref().and_then(Files::wake_at),
            self.dog.as_ref().map(Dog::wake_at),
        ]
        .into_iter()
        .flatten()
        .min()
    }
}

impl Machine {
    /// Whether users may be let in: this member leads safely, its database is primary, what recovery replayed is on as many named standbys as every commit, and
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
        // Who must have what recovery replayed is not to be learned from a store that forgot.
        let sync = self.view.sync.as_ref().filter(|_| self.store_is_usable()).map(|seen| &seen.record);
        let Some(sync) = sync else { return false };
        let enforced = sync.rule == ElectionRule::Asynchronous
            || reign.standbys_in_force.is_none()
            || reign.standbys_in_force != Some(SynchronousStandbys::Nobody)
            || sync.names.is_empty();
        let Some(database) = &self.database else { return false };
        let reached = match reign.recovered_to {
            None => false,
            Some(end) => {
                let has =
                    |name: &&MemberId| database.standbys.get(*name).is_some_and(|s| s.streaming && s.flushed >= end);
                sync.names.keys().filter(has).count() >= sync.k as usize
            }
        };
        enforced && reached && database.state == DatabaseState::Primary
    }

    pub(super) fn tend_faces(&mut self) {
        let serve = self.may_serve();
        self.tend_address(serve);
        self.tend_services(serve);
        self.tend_files(serve);
        self.tend_watchdog();
        self.announce_serving(serve);
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

    pub(super) fn face_finished(&mut self, id: CallId, result: &Result<Answer, Failure>) {
        let now = self.now;
        let look_at = self.after(self.config.timing.observe_interval);
        let said = [
            self.faces.address.as_mut().and_then(|face| face.finished("the address", id, result, now, look_at)),
            self.faces.services.as_mut().and_then(|face| face.finished("services", id, result, now, look_at)),
            self.faces.files.as_mut().and_then(|files| files.finished(id, result, now)),
        ];
        for said in said.into_iter().flatten() {
            self.trouble(said);
        }
        self.dog_finished(id, result);
    }
}
