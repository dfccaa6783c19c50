//! Wishes: of the program that this machine runs in, and of operators, through the store.

use std::collections::BTreeMap;

use super::Machine;
use super::calls::WRITE_TIMEOUT;
use super::input::{Answer, Command};
use crate::error::Failure;
use crate::event::EventKind;
use crate::member::MemberId;
use crate::records::{ElectionRule, RequestKind, RequestOutcome, RequestRecord, encode};
use crate::store::{Commit, Guard, Key};

/// So many answered wishes are remembered, so that a lagging watch does not show one as new.
const MAX_ANSWERED: usize = 64;

impl Machine {
    pub(super) fn command(&mut self, command: Command) {
        match command {
            Command::Request { id, kind } => self.ask(id, kind),
            Command::Reinit => {
                if self.reign.is_some() {
                    self.refuse_request(None, "a leader's data cannot be replaced: switch over first");
                } else {
                    self.reinit = true;
                    self.follow_again_at = self.now;
                }
            }
            Command::Recover => {
                self.recover = true;
                self.refresh();
            }
            Command::SetPolicy(policy) => self.set_own_policy(policy),
            Command::SetTiming(timing) => {
                self.config.timing = timing;
                if let Some(reign) = &mut self.reign {
                    reign.next_renewal = self.now;
                }
            }
            Command::Shutdown { stop_database } => self.asked_to_leave(stop_database),
        }
    }

    fn ask(&mut self, id: String, kind: RequestKind) {
        if !self.store_is_usable() {
            self.refuse_request(Some(id), "the store cannot be reached: try again when it can");
            return;
        }
        if self.asking.is_some() {
            self.refuse_request(Some(id), "another wish is just being told to the store: try again in a moment");
            return;
        }
        let guard = match &self.view.request {
            None => Guard::Absent(Key::request()),
            Some(seen) if seen.record.outcome == RequestOutcome::Pending => {
                let replaces = matches!(kind, RequestKind::Failover { .. } | RequestKind::Resume);
                if !replaces {
                    self.refuse_request(
                        Some(id),
                        "another wish is still being carried out: wait for it, or force a failover",
                    );
                    return;
                }
                Guard::Version(Key::request(), seen.version)
            }
            Some(seen) => Guard::Version(Key::request(), seen.version),
        };
        let record = RequestRecord { header: self.header(), id: id.clone(), kind, outcome: RequestOutcome::Pending };
        let commit = Commit { guards: vec![guard], writes: BTreeMap::from([(Key::request(), encode(&record))]) };
        let call = self.commit(commit, WRITE_TIMEOUT);
        self.asking = Some((call, id));
    }

    pub(super) fn ask_finished(&mut self, result: &Result<Answer, Failure>) {
        let asked = self.asking.take().map(|(_, id)| id);
        if let Err(failure) = result {
            // Unanswered, it may still come to the store; whoever asked looks there.
            if failure.kind.certainly_did_not_happen() {
                self.refuse_request(asked, &format!("the wish could not be written to the store: {failure}"));
            }
        }
        self.refresh();
    }

    fn refuse_request(&mut self, id: Option<String>, why: &str) {
        self.tell(EventKind::RequestRefused { id, why: why.to_owned() }, why.to_owned());
    }

    /// As leader: carries out the operator's wish. Returns whether the state changed.
    pub(super) fn answer_requests(&mut self) -> bool {
        if self.shutdown.is_some() {
            return self.leave_leadership();
        }
        if !self.store_is_usable() {
            return false;
        }
        self.forget_overtaken_answer();
        let Some(request) = self.view.request.as_ref().map(|seen| seen.record.clone()) else { return false };
        let open = request.outcome == RequestOutcome::Pending && !self.answered.contains(&request.id);
        let busy = self.running.is_some() || self.reign.as_ref().is_none_or(|r| r.request.is_some() || !r.announced);
        if !open {
            return false;
        }
        match request.kind {
            RequestKind::Pause => self.set_paused(true),
            RequestKind::Resume => self.set_paused(false),
            RequestKind::Switchover { target } => {
                if !busy {
                    return self.switch_over(target);
                }
            }
            RequestKind::Failover { target, .. } => {
                if !busy {
                    return self.switch_over(Some(target));
                }
            }
        }
        false
    }

    /// Who takes a switchover: the one named if it can, else the best that can.
    pub(super) fn switchover_target(&self, named: Option<&MemberId>) -> Result<MemberId, String> {
        let electable = self.electable_others();
        let streaming = self.streaming_standbys();
        let fit = |member: &MemberId| electable.contains(member) && streaming.contains(member);
        match named {
            Some(member) if member == self.me() => Err(format!("{member} leads already")),
            Some(member) if !self.view.members.contains_key(member) => Err(format!("{member} is not a member")),
            Some(member) if fit(member) => Ok(member.clone()),
            Some(member) => {
                let from = self.view.members.get(member).and_then(|seen| seen.record.tags.replicate_from.as_ref());
                let synchronous = self.view.sync.as_ref().is_some_and(|s| s.record.rule == ElectionRule::Synchronous);
                Err(if let Some(from) = from {
                    format!(
                        "{member} is tagged to stream from {from} and is not counted: lift its tag replicate_from first"
                    )
                } else if synchronous && streaming.contains(member) {
                    format!("{member} is not a synchronous standby: wait until it is, or lift its tags")
                } else {
                    format!("{member} does not stream from the leader: bring it back first")
                })
            }
            None => {
                let score = |member: &&MemberId| {
                    let record = self.view.members.get(*member).map(|seen| &seen.record);
                    record.map(|r| (r.tags.failover_priority, std::cmp::Reverse(r.penalty)))
                };
                electable
                    .iter()
                    .filter(|member| fit(member))
                    .max_by_key(score)
                    .cloned()
                    .ok_or_else(|| "nobody can take over: no standby has all of the data".to_owned())
            }
        }
    }

    fn switch_over(&mut self, named: Option<MemberId>) -> bool {
        match self.switchover_target(named.as_ref()) {
            Ok(target) => self.begin_hand_over(target),
            Err(_) if !self.looked_since_asked() => {
                // The last look at the standbys may be older than the wish.
                false
            }
            Err(why) => {
                let id = self.view.request.as_ref().map(|seen| seen.record.id.clone());
                self.refuse_request(id, &why);
                self.answer_request(RequestOutcome::Refused(why));
                false
            }
        }
    }

    /// Whether the database was looked at after the open wish was first seen; sees to it that it is.
    fn looked_since_asked(&mut self) -> bool {
        let Some(id) = self.view.request.as_ref().map(|seen| seen.record.id.clone()) else { return true };
        match &self.asked {
            Some((asked, at)) if *asked == id => self.observed_at > *at,
            _ => {
                self.asked = Some((id, self.now));
                self.next_observation = self.now;
                false
            }
        }
    }

    /// Whether an operator's wish to resume is still to be carried out.
    pub(super) fn resume_is_wished(&self) -> bool {
        self.view.request.as_ref().is_some_and(|seen| {
            let request = &seen.record;
            request.kind == RequestKind::Resume
                && request.outcome == RequestOutcome::Pending
                && !self.answered.contains(&request.id)
        })
    }

    fn set_paused(&mut self, paused: bool) {
        let resumed = self.reign.as_ref().filter(|reign| reign.paused && !paused);
        let ends = resumed.map(|reign| self.after(self.config.timing.ttl.min(reign.timing.ttl)));
        if ends.is_some_and(|ends| !self.watchdog_ends_by(ends)) {
            // Before leadership has an end again, whatever guards this node must know one, and none later (protocol rule 5). While the wish is
            // open, it is told one whenever it is told anything.
            self.feed_watchdog();
            return;
        }
        let now = self.now;
        if let Some(reign) = &mut self.reign {
            reign.paused = paused;
            reign.next_renewal = now;
        }
        let sentence = if paused { "automatic failover is suspended" } else { "automatic failover is resumed" };
        self.tell(EventKind::PauseChanged { paused }, sentence.to_owned());
        self.answer_request(RequestOutcome::Done);
    }

    /// Writes the outcome of the open wish with the next write to the leader record.
    pub(super) fn answer_request(&mut self, outcome: RequestOutcome) {
        let header = self.header();
        let Some(request) = self.view.request.as_ref().map(|seen| seen.record.clone()) else { return };
        if request.outcome != RequestOutcome::Pending {
            return;
        }
        if self.answered.len() == MAX_ANSWERED {
            self.answered.pop_first();
        }
        self.answered.insert(request.id.clone());
        let now = self.now;
        if let Some(reign) = &mut self.reign {
            reign.request = Some(RequestRecord { header, outcome, ..request });
            reign.next_renewal = now;
        }
    }

    /// An answer is written in the place of the open wish that it answers. If another wish stands there by now, nobody waits for it any more, and that one is
    /// carried out.
    pub(super) fn forget_overtaken_answer(&mut self) {
        let Some(answer) = self.reign.as_ref().and_then(|reign| reign.request.as_ref()) else { return };
        let readable = !self.view.broken.contains_key(&Key::request());
        let stands = self.view.request.as_ref().filter(|_| readable).map(|seen| &seen.record);
        if !stands.is_some_and(|wish| wish.id == answer.id && wish.outcome == RequestOutcome::Pending)
            && let Some(reign) = &mut self.reign
        {
            reign.request = None;
        }
    }
}
