//! Leaving in good order, when asked to: whatever is being done, and whether the store answers or not.

use super::giving_up::{ORDERLY, STOP_TIMEOUT};
use super::state::State;
use super::{Cause, Machine};
use crate::database::{DatabaseOrder, DatabaseState, StopMode};
use crate::time::Moment;

/// The wish that this agent leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Shutdown {
    stop_database: bool,
    asked: Moment,
}

impl Machine {
    pub(super) fn asked_to_leave(&mut self, stop_database: bool) {
        let asked = self.shutdown.map_or(self.now, |before| before.asked);
        self.shutdown = Some(Shutdown { stop_database, asked });
        // What failed before it was asked to leave says nothing of now: one try is its own.
        if let Some(reign) = &mut self.reign {
            reign.hand_over_failed = false;
        }
    }

    /// When it leaves though the store has not answered what it waits for: it was asked to for a `ttl`, and the store for as long.
    pub(super) fn leaves_unanswered_at(&self) -> Option<Moment> {
        let asked = self.shutdown?.asked;
        let since = match &self.state {
            State::TakingOver(_) => asked,
            State::Resuming => asked.max(self.reign.as_ref()?.began),
            State::GivingUp(giving_up) => asked.max(giving_up.releasing?),
            _ => return None,
        };
        Some(since + self.config.timing.ttl)
    }

    /// Begins to leave if it was asked to, where nothing waits for the store's answer.
    pub(super) fn leave_if_asked(&mut self) -> bool {
        let Some(Shutdown { stop_database, .. }) = self.shutdown else { return false };
        self.go(State::Leaving { stop_database, since: self.now }, Cause::ShutdownAsked);
        true
    }

    /// The same where leadership hangs on an answer that does not come: it is waited for no longer than a `ttl`. What was written and may have
    /// landed gives leadership to a member that is not there, and ends by itself, as after the death of an agent.
    pub(super) fn leave_unanswered(&mut self) -> bool {
        let Some(Shutdown { stop_database, asked }) = self.shutdown else { return false };
        if self.leaves_unanswered_at().is_none_or(|at| at > self.now) {
            return false;
        }
        let resumes = matches!(self.state, State::Resuming);
        if resumes && self.reign.as_ref().is_some_and(|reign| reign.paused) {
            // As a paused leader does.
            self.go(State::Stopped, Cause::LeftInOrder);
            return true;
        }
        // What ran by leadership does not run on without it.
        let stop_database = stop_database || self.reign.is_some();
        self.reign = None;
        // Nor is it waited for again so that others hear of it.
        self.go(State::Leaving { stop_database, since: asked }, Cause::ShutdownAsked);
        true
    }

    /// A leader whose agent shuts down hands over, or releases; a paused one leaves everything as it is.
    pub(super) fn leave_leadership(&mut self) -> bool {
        if self.reign.as_ref().is_some_and(|reign| reign.paused) {
            self.go(State::Stopped, Cause::LeftInOrder);
            return true;
        }
        if self.running.is_some() {
            return false;
        }
        let failed = self.reign.as_ref().is_some_and(|reign| reign.hand_over_failed);
        match self.switchover_target(None) {
            Ok(target) if !failed => self.begin_hand_over(target),
            Ok(_) | Err(_) => {
                self.give_up("the agent shuts down", Cause::ShutdownAsked);
                true
            }
        }
    }

    pub(super) fn leaving(&mut self) -> bool {
        let State::Leaving { stop_database, since } = self.state.clone() else { return false };
        let counted = self.view.sync.as_ref().is_some_and(|seen| seen.record.names.contains_key(self.me()));
        let patience = self.config.timing.standby_timeout + self.config.timing.ttl;
        if counted && self.now.since(since) < patience && self.store_is_usable() {
            return false;
        }
        let told = self.published.as_ref().is_some_and(|record| record.leaving) || self.now.since(since) >= patience;
        if !told {
            return false;
        }
        let runs = self
            .database
            .as_ref()
            .is_some_and(|database| database.state.runs() || database.state == DatabaseState::Unresponsive);
        if stop_database && runs {
            let mode = StopMode::AtOnce { fast_for_ms: ORDERLY.as_millis() as u64 };
            if !self.stop_is_running() {
                self.order(DatabaseOrder::Stop(mode), STOP_TIMEOUT + ORDERLY);
            }
            return false;
        }
        if self.running.is_some() || !self.faces.are_down() {
            return false;
        }
        self.go(State::Stopped, Cause::LeftInOrder);
        true
    }
}
