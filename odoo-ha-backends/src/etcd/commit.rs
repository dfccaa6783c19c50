//! One commit, tried at several members without its happening twice.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use odoo_ha_core::error::{Error, ErrorKind};
use odoo_ha_core::store::{Commit, Guard};

use super::error::{Failure, Outcome};

/// Whether a second landing of the same commit is impossible: it guards the version of a key that it writes, and that version is gone
/// for ever once it has landed. A guard of absence would do only while nobody deletes keys, so it is not enough here.
pub(super) fn lands_once(commit: &Commit) -> bool {
    commit.guards.iter().any(|guard| match guard {
        Guard::Version(key, _) => commit.writes.contains_key(key),
        Guard::Absent(_) => false,
    })
}

/// Who may send. Tries of a commit that could land twice share one permit; it comes back when the send had certainly no effect.
#[derive(Clone, Debug)]
pub(super) struct Permit {
    lands_once: bool,
    taken: Arc<AtomicBool>,
}

impl Permit {
    pub(super) fn new(commit: &Commit) -> Self {
        Self { lands_once: lands_once(commit), taken: Arc::new(AtomicBool::new(false)) }
    }

    /// Whether to send now.
    pub(super) fn take(&self) -> bool {
        self.lands_once || !self.taken.swap(true, Ordering::SeqCst)
    }

    /// What was sent had certainly no effect.
    pub(super) fn give_back(&self) {
        self.taken.store(false, Ordering::SeqCst);
    }

    /// Whether another try could send.
    pub(super) fn is_free(&self) -> bool {
        self.lands_once || !self.taken.load(Ordering::SeqCst)
    }
}

/// How far one try is: its sent requests may land whatever becomes of it.
#[derive(Clone, Debug, Default)]
pub(super) struct Mark(Arc<AtomicBool>);

impl Mark {
    /// The request is about to leave.
    pub(super) fn sending(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    fn was_sent(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

/// A try that has not ended.
#[derive(Debug)]
struct Running {
    number: u64,
    /// Of its member.
    place: usize,
    mark: Mark,
}

/// What the tries of one commit have told so far.
#[derive(Debug, Default)]
pub(super) struct Tally {
    running: Vec<Running>,
    begun: u64,
    conflict: bool,
    unsettled: Option<Error>,
    not_done: Option<Error>,
    /// The members that refused it.
    refused: BTreeSet<usize>,
}

impl Tally {
    /// A try begins at the member of this place: its number and its mark.
    pub(super) fn begin(&mut self, place: usize) -> (u64, Mark) {
        self.begun += 1;
        let mark = Mark::default();
        self.running.push(Running { number: self.begun, place, mark: mark.clone() });
        (self.begun, mark)
    }

    /// A guard did not hold for this try.
    pub(super) fn conflict(&mut self, number: u64) {
        self.ended(number);
        self.conflict = true;
    }

    /// A try failed.
    pub(super) fn failed(&mut self, number: u64, failure: Failure) {
        let Some(ended) = self.ended(number) else { return };
        match failure.outcome {
            Outcome::Unsettled if ended.mark.was_sent() => self.unsettled = Some(failure.error),
            Outcome::Token | Outcome::Refused => {
                self.refused.insert(ended.place);
                self.not_done = Some(failure.error);
            }
            Outcome::NotDone | Outcome::Unsettled => self.not_done = Some(failure.error),
        }
    }

    /// Another try had the only permit.
    pub(super) fn stood_back(&mut self, number: u64) {
        self.ended(number);
    }

    /// Whether another try makes sense.
    pub(super) const fn wants_more(&self) -> bool {
        !self.conflict
    }

    /// The outcome, once no answer can change it: `endpoints` is how many members there are, `may_send` whether another try could.
    pub(super) fn verdict(&self, endpoints: usize, may_send: bool) -> Option<Error> {
        if self.running.iter().any(|running| running.mark.was_sent()) {
            return None;
        }
        if self.conflict || self.unsettled.is_some() && !may_send {
            return Some(self.last_word());
        }
        let refused_everywhere = self.refused.len() >= endpoints && self.running.is_empty() && self.unsettled.is_none();
        refused_everywhere.then(|| self.last_word())
    }

    /// The outcome when no further answer is waited for.
    pub(super) fn last_word(&self) -> Error {
        let unanswered = self.running.iter().any(|running| running.mark.was_sent());
        if unanswered || self.unsettled.is_some() {
            let error = Error::new(ErrorKind::Unknown, "the store has not answered a commit that may have happened")
                .hint("it is settled by reading");
            return match &self.unsettled {
                Some(cause) => error.caused_by(cause.clone()),
                None => error,
            };
        }
        if self.conflict {
            return Error::new(ErrorKind::Conflict, "what the commit was based on has changed");
        }
        match &self.not_done {
            Some(error) => as_commit_says(error),
            None => Error::new(ErrorKind::Unavailable, "no member of the store could be reached in time"),
        }
    }

    fn ended(&mut self, number: u64) -> Option<Running> {
        let place = self.running.iter().position(|running| running.number == number)?;
        Some(self.running.swap_remove(place))
    }
}

/// An error of a step before anything was sent, as one of the kinds that say so.
fn as_commit_says(error: &Error) -> Error {
    if matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::Denied) {
        return error.clone();
    }
    Error::new(ErrorKind::Unavailable, format!("nothing was written: {} ({})", error.what(), error.kind()))
        .caused_by(error.clone())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use odoo_ha_core::store::{Key, Version};

    use super::*;

    fn commit(guards: Vec<Guard>) -> Commit {
        Commit { guards, writes: BTreeMap::from([(Key::leader(), b"l".to_vec())]) }
    }

    fn failure(outcome: Outcome) -> Failure {
        Failure { outcome, error: Error::new(ErrorKind::Unavailable, "so it is"), broken: false }
    }

    #[test]
    fn only_a_version_guard_on_a_written_key_lets_a_commit_be_sent_twice() {
        assert!(lands_once(&commit(vec![Guard::Version(Key::leader(), Version(7))])));
        assert!(lands_once(&commit(vec![Guard::Absent(Key::sync()), Guard::Version(Key::leader(), Version(7))])));
        assert!(!lands_once(&commit(vec![Guard::Version(Key::sync(), Version(7))])));
        assert!(!lands_once(&commit(vec![Guard::Absent(Key::leader())])));
        assert!(!lands_once(&commit(vec![])));
    }

    #[test]
    fn a_commit_that_could_land_twice_is_sent_by_one_try() {
        let permit = Permit::new(&commit(vec![]));
        assert!(permit.take() && !permit.take() && !permit.is_free());
        permit.give_back();
        assert!(permit.is_free() && permit.take());
        let permit = Permit::new(&commit(vec![Guard::Version(Key::leader(), Version(7))]));
        assert!(permit.take() && permit.take() && permit.is_free());
    }

    /// What becomes of two tries, the first of which ended so: an outcome, or still on its way.
    fn conflict_beside(first: Option<Outcome>, sent: bool) -> (Option<ErrorKind>, ErrorKind) {
        let mut tally = Tally::default();
        let (one, mark) = tally.begin(0);
        if sent {
            mark.sending();
        }
        let (two, mark) = tally.begin(1);
        mark.sending();
        if let Some(outcome) = first {
            tally.failed(one, failure(outcome));
        }
        tally.conflict(two);
        (tally.verdict(2, true).map(|error| error.kind()), tally.last_word().kind())
    }

    #[test]
    fn a_conflict_is_one_only_when_no_other_try_can_have_landed() {
        use ErrorKind::{Conflict, Unknown};
        assert_eq!(conflict_beside(None, false), (Some(Conflict), Conflict));
        assert_eq!(conflict_beside(None, true), (None, Unknown));
        assert_eq!(conflict_beside(Some(Outcome::Unsettled), true), (Some(Unknown), Unknown));
        assert_eq!(conflict_beside(Some(Outcome::Unsettled), false), (Some(Conflict), Conflict));
        assert_eq!(conflict_beside(Some(Outcome::NotDone), true), (Some(Conflict), Conflict));
        assert_eq!(conflict_beside(Some(Outcome::Refused), true), (Some(Conflict), Conflict));
    }

    #[test]
    fn what_was_refused_by_all_is_told_at_once_and_what_was_not_sent_is_not_unknown() {
        let mut tally = Tally::default();
        assert_eq!(tally.last_word().kind(), ErrorKind::Unavailable);
        let (one, _) = tally.begin(0);
        assert_eq!(tally.last_word().kind(), ErrorKind::Unavailable);
        tally.failed(one, failure(Outcome::Refused));
        assert!(tally.verdict(2, true).is_none());
        let (two, _) = tally.begin(1);
        tally.failed(two, failure(Outcome::Token));
        assert!(tally.verdict(2, true).is_some());
    }
}
