//! Calls to the store and to the memo: what was asked, and what the answers mean.

use std::time::Duration;

use super::action::{Action, CallId, Memo, Order};
use super::input::Answer;
use super::state::State;
use super::view::View;
use super::{Machine, Mark};
use crate::error::{ErrorKind, Failure};
use crate::records::Header;
use crate::store::{Commit, Revision, Snapshot};
use crate::term::{Nonce, Term};
use crate::time::Moment;

/// Longest time of one read of the store.
pub(super) const READ_TIMEOUT: Duration = Duration::from_secs(2);
/// Longest time of one write that is no renewal.
pub(super) const WRITE_TIMEOUT: Duration = Duration::from_secs(3);
/// Longest time to make the memo durable; disks under load need seconds.
const REMEMBER_TIMEOUT: Duration = Duration::from_secs(30);
/// Time between two tries of what failed against the store.
pub(super) const STORE_RETRY: Duration = Duration::from_millis(250);
/// The memo may be this many renewals behind: a restored store is noticed all the same, and the disk is spared.
const MARKS_BETWEEN_MEMOS: u64 = 16;

/// A read under way.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Reading {
    /// What was known when it began: a store that shows less has forgotten.
    mark: Mark,
    revision: Revision,
}

impl Machine {
    pub(super) fn call(&mut self, order: Order, timeout: Duration, not_after: Option<Moment>) -> CallId {
        let id = CallId(self.next_call);
        self.next_call += 1;
        self.actions.push_back(Action { id, order, timeout, not_after });
        id
    }

    pub(super) fn nonce(&mut self) -> Nonce {
        self.next_nonce += 1;
        Nonce { incarnation: self.incarnation, number: self.next_nonce }
    }

    pub(super) fn header(&mut self) -> Header {
        let nonce = self.nonce();
        Header::new(self.config.cluster.clone(), nonce)
    }

    /// This member's clock, as a record states it.
    pub(super) fn clock_ms(&self) -> u64 {
        u64::try_from(self.now.since_origin().as_millis()).unwrap_or(u64::MAX)
    }

    /// Begins a consistent read of the store.
    pub(super) fn read(&mut self) -> CallId {
        let id = self.call(Order::Read, READ_TIMEOUT, None);
        self.reads.insert(id, Reading { mark: self.newest_mark(), revision: self.view.revision });
        self.read_again_at = None;
        id
    }

    /// Begins a read unless one is under way.
    pub(super) fn refresh(&mut self) {
        if self.reads.is_empty() {
            self.read();
        }
    }

    pub(super) fn commit(&mut self, commit: Commit, timeout: Duration) -> CallId {
        self.call(Order::Commit(commit), timeout, None)
    }

    pub(super) fn read_if_due(&mut self) {
        if self.read_again_at.is_some_and(|at| at <= self.now) {
            self.refresh();
        }
    }

    /// Takes the answer to an action to whoever waits for it. An answer that nobody waits for any more is passed over.
    pub(super) fn finished(&mut self, id: CallId, result: Result<Answer, Failure>) {
        if let Some(reading) = self.reads.remove(&id) {
            self.read_finished(id, &reading, result);
        } else if self.remembering.as_ref().is_some_and(|(call, _)| *call == id) {
            self.remember_finished(result);
        } else if self.observing == Some(id) {
            self.observing = None;
            self.observed(id, result);
        } else if self.running.as_ref().is_some_and(|running| running.id == id) {
            self.order_finished(result);
        } else if self.reign.as_ref().and_then(|r| r.attempts.under_way.as_ref()).is_some_and(|a| a.id == id) {
            self.renewal_finished(result);
        } else if self.publishing.as_ref().is_some_and(|(call, _)| *call == id) {
            self.publish_finished(&result);
        } else if self.asking.as_ref().is_some_and(|(call, _)| *call == id) {
            self.ask_finished(&result);
        } else if self.policy.waits_for(id) {
            self.policy_written(&result);
        } else if self.waits_for_member(id) {
            self.member_answered(id, &result);
        } else if self.faces.waits_for(id) {
            self.face_finished(id, &result);
        } else {
            self.candidacy_finished(id, result);
        }
    }

    fn read_finished(&mut self, id: CallId, began: &Reading, result: Result<Answer, Failure>) {
        match result {
            Ok(Answer::Snapshot(snapshot)) => {
                if let Some(reign) = &mut self.reign {
                    reign.store_is_silent = false;
                }
                self.take_snapshot(began, &snapshot);
                self.read_answered(id, true);
            }
            Ok(_) => {
                self.broken_invariant = Some("a read was answered with something else".into());
                self.read_answered(id, false);
            }
            Err(failure) => {
                if !self.view_known || failure.kind == ErrorKind::Denied || failure.kind == ErrorKind::Malformed {
                    self.refuse(format!("the store cannot be read: {failure}"));
                }
                self.read_again_at = Some(self.after(STORE_RETRY));
                self.read_answered(id, false);
            }
        }
    }

    fn take_snapshot(&mut self, began: &Reading, snapshot: &Snapshot) {
        if snapshot.revision < self.view.revision && snapshot.revision >= began.revision {
            // The watch has overtaken this read; what it shows is known.
            self.view_known = true;
            return;
        }
        // A write of this member's own may have overtaken it too: the view has what that wrote, and never goes back (protocol rule 18: the
        // database would be loosened by a record that is no longer true).
        let mut seen = View::default();
        seen.replace(&self.config.cluster, snapshot);
        let mark = seen.leader.as_ref().map(|leader| leader.record.mark).unwrap_or_default();
        let unreadable = seen.leader.is_none() && seen.unusable().is_some();
        let known = self.view.leader.as_ref().map(|leader| leader.record.mark).unwrap_or_default();
        if !self.recover && self.stale.is_none() && !unreadable && mark >= began.mark && mark < known {
            self.view_known = true;
            return;
        }
        let disbelieved = self.stale.is_some();
        if self.recover {
            self.recover = false;
            self.stale = None;
            self.memo_wanted.mark = mark;
            self.memo_wanted.intent = None;
            // Terms that are forgotten will be given anew, to whomever: what this member did in the first ones says nothing of the second.
            let before = Term(mark.term.0.saturating_sub(1));
            for term in [&mut self.memo_wanted.led, &mut self.memo_wanted.alone] {
                *term = if *term > mark.term { before } else { *term };
            }
            self.bound = None;
            if let Some(reign) = &mut self.reign
                && seen.leader.as_ref().map(|leader| leader.version) != Some(reign.version)
            {
                // Its own record is gone, by the operator's word: nothing of this reign can be renewed or released.
                reign.lost = true;
            }
        } else if mark < began.mark && !unreadable {
            self.stale = Some(format!(
                "the store shows leader record {mark}, older than {} which this member has seen: it was restored from a \
                 backup or wiped; nothing is done on its word. Bring the right store back, or confirm this one with `recover`",
                began.mark
            ));
            // Not to be taken for true by the next read, nor after a restart.
            self.memo_wanted.mark = self.memo_wanted.mark.max(began.mark);
            if self.view.leader.is_some() {
                // What was seen before it forgot is nearer to the truth: whatever is still decided is decided by that (protocol rules 6 and 18).
                self.view_known = true;
                self.look_at_leader();
                return;
            }
        } else {
            self.stale = None;
        }
        if self.stale.is_none() && seen.leader.is_none() && self.view.leader.is_some() {
            // A leader record that was readable and no longer is: what was known stays, and stays watched.
            seen.leader = self.view.leader.clone();
        }
        let before = std::mem::replace(&mut self.view, seen);
        self.view_known = true;
        if disbelieved && self.stale.is_none() {
            self.believe_again(&before);
        }
        self.look_at_leader();
    }

    /// Renewals that came while the store was not believed are not known, nor the `ttl` that they gave: silence counts from now, and as long as any
    /// `ttl` that this member knows (protocol rules 4 and 11).
    fn believe_again(&mut self, before: &View) {
        let ttl = |view: &View| view.leader.as_ref().map_or(Duration::ZERO, |leader| leader.record.ttl());
        let longest = ttl(before).max(self.config.timing.ttl);
        let since = self.after(longest.saturating_sub(ttl(&self.view)));
        self.watch_from(since);
    }

    /// Notices a new version of the leader record, from after this receipt.
    pub(super) fn look_at_leader(&mut self) {
        self.watch_leader();
        if let Some(why) = self.stale.clone().or_else(|| self.view.unusable().map(str::to_owned)) {
            self.refuse(why);
        }
        self.look_for_own_effect();
    }

    /// The store was forgetting, or holds what cannot be used: nothing is decided by it.
    pub(super) fn store_is_usable(&self) -> bool {
        self.view_known && self.stale.is_none() && self.view.unusable().is_none()
    }

    pub(super) fn remember_if_due(&mut self) {
        // A reign that is lost may be one that the store forgot, by the operator's word.
        if let Some(reign) = self.reign.as_ref().filter(|reign| !reign.lost) {
            let mark = reign.leader.mark;
            let due = mark.term > self.memo_wanted.mark.term
                || mark.sequence >= self.memo_wanted.mark.sequence + MARKS_BETWEEN_MEMOS;
            if due {
                self.memo_wanted.mark = self.memo_wanted.mark.max(mark);
            }
            if reign.not_before <= self.now && self.memo_wanted.led == reign.term {
                self.memo_wanted.alone = reign.term;
            }
        }
        // A standby's, too: a store that forgot who was counted must not make it leader.
        if let (true, Some(leader), Some(sync)) = (self.store_is_usable(), &self.view.leader, &self.view.sync) {
            let (mark, counted) = (leader.record.mark, sync.record.mark);
            let known = self.memo_wanted.mark;
            if counted > known || (mark.term == known.term && mark.sequence >= known.sequence + MARKS_BETWEEN_MEMOS) {
                self.memo_wanted.mark = known.max(mark);
            }
        }
        if self.memo_wanted == self.memo || self.remembering.is_some() || self.remember_again_at > self.now {
            return;
        }
        let memo = Memo { cluster: Some(self.config.cluster.clone()), ..self.memo_wanted.clone() };
        self.memo_wanted = memo.clone();
        let id = self.call(Order::Remember(memo.clone()), REMEMBER_TIMEOUT, None);
        self.remembering = Some((id, memo));
    }

    fn remember_finished(&mut self, result: Result<Answer, Failure>) {
        let Some((_, memo)) = self.remembering.take() else { return };
        match result {
            Ok(_) => self.memo = memo,
            Err(failure) => {
                self.remember_again_at = self.after(STORE_RETRY);
                self.trouble(format!("what must be remembered cannot be written beside the data: {failure}"));
            }
        }
    }

    /// A read that somebody waits for has ended, and the view is as new as it (if it succeeded).
    fn read_answered(&mut self, id: CallId, succeeded: bool) {
        match &mut self.state {
            State::Suspecting { read, .. } if *read == id => self.suspicion_read(succeeded),
            State::Freezing { .. } => self.confirm_read(id, succeeded),
            State::Voting { recheck: Some(recheck), .. } if recheck.read == Some(id) => {
                if succeeded {
                    recheck.read = None;
                } else {
                    self.recheck_failed();
                }
            }
            State::TakingOver(_) => self.takeover_read(id, succeeded),
            State::Following => self.follower_read(id, succeeded),
            _ => self.settle_read(id, succeeded),
        }
    }
}
