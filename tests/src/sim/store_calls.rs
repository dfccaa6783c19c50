//! Calls to the store: on their way there, at the store, and on their way back.

use std::time::Duration;

use odoo_ha_core::error::{ErrorKind, Failure};
use odoo_ha_core::machine::{Action, Answer, Input, Order};
use odoo_ha_core::member::MemberId;
use odoo_ha_core::store::Commit;

use super::happenings::Happening;
use super::{Answerless, Store, World};

/// What is wrong between a node and the store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StoreLink {
    /// What the node asks does not arrive.
    pub requests_lost: bool,
    /// What the node asks arrives and is done; answers and watch do not come back.
    pub answers_lost: bool,
    /// Of a thousand calls so many are lost, on the way there or on the way back.
    pub loss: u16,
}

/// What an agent hears of a call to the store that nobody answered in time.
pub(super) fn unanswered(action: &Action) -> Result<Answer, Failure> {
    let kind = match action.order {
        Order::Read => ErrorKind::Unavailable,
        _ => ErrorKind::Unknown,
    };
    Err(Failure::new(kind, "no answer in time"))
}

impl World {
    /// A commit arrives at the store.
    pub(super) fn write_to_store(&mut self, commit: &Commit) -> Result<Answer, Failure> {
        let (committed, revision, changes) = self.store.commit(commit, self.now)?;
        self.note_commit(commit);
        if self.store_forgot() {
            self.note_if_forgetful(commit);
        }
        self.tell_watchers(revision, &changes);
        Ok(Answer::Committed(committed))
    }

    /// The store does not answer anybody until then; watches break.
    pub fn store_goes_away(&mut self, for_so_long: Duration) {
        self.store_away_until = self.store_away_until.max(self.now + for_so_long);
        self.refresh_everybody();
    }

    /// The store's leader dies: of what is under way some is done now, some when the next one has taken over, some never, and nobody is told.
    /// Then the store is away for a while.
    pub fn store_loses_leader(&mut self, for_so_long: Duration) {
        let under_way = |happening: &Happening| matches!(happening, Happening::Perform(_, _, action, _) if matches!(action.order, Order::Read | Order::Commit(_)));
        let keys: Vec<(Duration, u64)> =
            self.queue.iter().filter(|(_, happening)| under_way(happening)).map(|(key, _)| *key).collect();
        for key in keys {
            let Some(happening) = self.queue.remove(&key) else { continue };
            let Happening::Perform(name, incarnation, action, sent) = *happening else { continue };
            if let Order::Commit(commit) = &action.order {
                match self.chance(3) {
                    0 => {}
                    1 => {
                        let _ = self.write_to_store(&commit.clone());
                    }
                    _ => {
                        let wait = Duration::from_millis(self.chance(1000)) + for_so_long;
                        self.after(wait, Happening::Late(None, commit.clone()));
                    }
                }
            }
            let left = (sent + action.timeout).saturating_sub(self.now);
            let input = Input::Finished { id: action.id, result: unanswered(&action) };
            self.after(left, Happening::Input(name, incarnation, input));
        }
        self.store_goes_away(for_so_long);
    }

    /// The store goes back to an older content, as a restored backup does; every watch breaks.
    pub fn restore_store(&mut self, older: &Store) {
        self.store.restore(older);
        self.refresh_everybody();
    }

    fn answer_never(&mut self, name: &MemberId, incarnation: u64, action: &Action, sent: Duration) {
        let left = (sent + action.timeout).saturating_sub(self.now);
        let input = Input::Finished { id: action.id, result: unanswered(action) };
        self.after(left, Happening::Input(name.clone(), incarnation, input));
    }

    /// A read or a commit arrives at the store. `None` when the answer does not come from there.
    pub(super) fn store_call(
        &mut self,
        name: &MemberId,
        incarnation: u64,
        action: &Action,
        sent: Duration,
    ) -> Option<Result<Answer, Failure>> {
        let node = self.node(name);
        let (link, cut, reads_fail) = (node.store_link, node.cut_from_store, node.reads_fail);
        let lost = link.loss > 0 && self.chance(1000) < u64::from(link.loss);
        let on_the_way_back = lost && self.chance(2) == 0;
        if cut || link.requests_lost || (lost && !on_the_way_back) {
            self.answer_never(name, incarnation, action, sent);
            return None;
        }
        if self.store_away_until > self.now {
            if self.chance(2) == 0 {
                self.answer_never(name, incarnation, action, sent);
                return None;
            }
            return Some(Err(Failure::new(ErrorKind::Unavailable, "the store has no leader")));
        }
        let result = match &action.order {
            Order::Commit(commit) => {
                let faults = self.answerless.get_mut(name).filter(|faults| !faults.is_empty());
                match faults.map(|faults| faults.remove(0)) {
                    Some(Answerless::Later(ms)) => {
                        self.after(Duration::from_millis(ms), Happening::Late(Some(name.clone()), commit.clone()));
                        unanswered(action)
                    }
                    Some(Answerless::NotDone) => unanswered(action),
                    Some(Answerless::Done) => {
                        let _ = self.write_to_store(commit);
                        unanswered(action)
                    }
                    None => self.write_to_store(commit),
                }
            }
            _ if reads_fail => Err(Failure::new(ErrorKind::Unavailable, "refused")),
            _ => {
                let snapshot = self.store.snapshot();
                let node = self.node_mut(name);
                if !node.watching {
                    node.missed = Some(Vec::new());
                }
                Ok(Answer::Snapshot(snapshot))
            }
        };
        if link.answers_lost || on_the_way_back {
            self.answer_never(name, incarnation, action, sent);
            return None;
        }
        Some(result)
    }
}
