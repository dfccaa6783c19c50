//! What the filestore is for on this member.

use super::{DOWN_TIMEOUT, RETRY};
use crate::error::Failure;
use crate::machine::Machine;
use crate::machine::action::{CallId, Order};
use crate::machine::input::Answer;
use crate::machine::state::State;
use crate::member::MemberId;
use crate::term::Term;
use crate::time::Moment;

/// What the files are for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum FilesRole {
    Unsure,
    Rest,
    Lead(Term),
    Follow(Term, MemberId),
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Files {
    role: FilesRole,
    going: Option<(CallId, FilesRole)>,
    again_at: Moment,
}

impl Files {
    pub(super) fn new(now: Moment) -> Self {
        Self { role: FilesRole::Unsure, going: None, again_at: now }
    }

    pub(super) fn waits_for(&self, id: CallId) -> bool {
        self.going.as_ref().is_some_and(|(call, _)| *call == id)
    }

    /// Certainly not the side that users write to, and nothing is under way that could make it so.
    pub(super) fn are_down(&self) -> bool {
        matches!(self.role, FilesRole::Rest | FilesRole::Follow(..))
            && !matches!(self.going, Some((_, FilesRole::Lead(_))))
    }

    /// When it wants to be looked at again.
    pub(super) fn wake_at(&self) -> Option<Moment> {
        self.going.is_none().then_some(self.again_at)
    }

    /// A call has ended, perhaps this one's. Returns what the operator should know.
    pub(super) fn finished(&mut self, id: CallId, result: &Result<Answer, Failure>, now: Moment) -> Option<String> {
        let (_, role) = self.going.take_if(|(call, _)| *call == id)?;
        match result {
            Ok(_) => {
                self.role = role;
                None
            }
            Err(failure) => {
                self.role = FilesRole::Unsure;
                self.again_at = now + RETRY;
                Some(format!("the filestore does not change its role yet: {failure}"))
            }
        }
    }
}

impl Machine {
    pub(super) fn tend_files(&mut self, serve: bool) {
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
        let leads = matches!(wanted, FilesRole::Lead(_));
        let limit = self.reign.as_ref().filter(|_| leads).map(|reign| reign.give_up_at());
        let id = self.call(order, DOWN_TIMEOUT, limit);
        if let Some(files) = &mut self.faces.files {
            files.going = Some((id, wanted));
        }
    }
}
