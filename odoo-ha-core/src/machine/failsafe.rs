//! Failsafe: a leader that does not reach the store asks every member whether it may go on (protocol rule 33).
//!
//! The leader record lists whom its holder will ask, and only those may take over from that version. If **all** of them accept, none of them
//! suspects, freezes or votes for a `ttl` from when it was asked, so nobody can take over; belief counts from before the first question. One that
//! refuses or does not answer leaves things as they are: belief ends when it must. What commits wait for is not weakened meanwhile, as that would be
//! recorded in the store first.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::Machine;
use super::action::{CallId, Order};
use super::input::Answer;
use super::reign::{Ends, Purpose, Reign};
use super::state::State;
use super::{Cause, Moment};
use crate::error::Failure;
use crate::event::EventKind;
use crate::failsafe::{Question, Reply};
use crate::member::MemberId;
use crate::policy::Timing;
use crate::records::LeaderRecord;
use crate::term::Mark;

/// Shortest time between two rounds of questions, and shortest time for one.
const SHORTEST_ROUND: Duration = Duration::from_millis(200);

/// One round of questions under way.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Round {
    /// Before the first question was sent: belief counts from here.
    sent: Moment,
    ttl: Duration,
    open: BTreeMap<CallId, MemberId>,
}

/// What a leader knows of the members' leave to go on.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub(super) struct Leave {
    round: Option<Round>,
    next_at: Option<Moment>,
    /// All accepted: asked when, for how long.
    granted: Option<(Moment, Duration)>,
    /// It was said that leadership goes on by the members' leave.
    said: bool,
}

impl Leave {
    /// The end of belief by the members' leave, if they gave it, and when they were asked for it.
    pub(super) fn ends(&self, timing: &Timing) -> Option<(Moment, Ends)> {
        self.granted.map(|(sent, ttl)| (sent, Ends::at(sent + ttl, timing)))
    }

    /// The wall clock jumped: what was asked before confirms nothing for longer than this.
    pub(super) fn clock_jumped(&mut self, now: Moment, kept: Duration) {
        self.round = None;
        self.next_at = Some(now);
        if let Some((sent, ttl)) = &mut self.granted {
            *sent = (*sent).min((now + kept).before(*ttl));
        }
    }

    pub(super) fn wake_at(&self) -> Option<Moment> {
        self.next_at
    }
}

/// What a member has promised a leader that asked.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Hold {
    leader: MemberId,
    mark: Mark,
    round: (u64, u64),
    until: Moment,
}

impl Machine {
    /// Whom the next version of the leader record lists: everybody who might take over. `None` where there is no way to ask.
    pub(super) fn whom_to_ask(&self) -> Option<BTreeSet<MemberId>> {
        self.config.peer.as_ref()?;
        let present = self.view.members.iter().filter(|(_, seen)| !seen.record.leaving).map(|(member, _)| member);
        let counted = self.view.sync.iter().flat_map(|seen| seen.record.names.keys());
        Some(present.chain(counted).filter(|member| *member != self.me()).cloned().collect())
    }

    /// As leader: asks the members while the store does not confirm leadership.
    pub(super) fn ask_members_if_due(&mut self) {
        if !matches!(self.state, State::Leading) {
            return;
        }
        let Some(due) = self.reign.as_ref().and_then(Reign::members_asked_at) else { return };
        let Some(reign) = &mut self.reign else { return };
        let waits = reign.leave.round.as_ref().is_some_and(|round| !round.open.is_empty());
        if due > self.now || waits || reign.leave.next_at.is_some_and(|at| at > self.now) {
            reign.leave.next_at = reign.leave.next_at.filter(|at| *at > self.now).or(Some(due));
            return;
        }
        let (Some(members), ttl) = (reign.listed(), reign.shortest_ttl()) else { return };
        self.rounds_asked += 1;
        let rounds = self.rounds_asked;
        let pause = reign.timing.renew_interval.max(SHORTEST_ROUND);
        reign.leave.next_at = Some(self.now + pause);
        let mark = reign.leader.mark;
        let mut open = BTreeMap::new();
        for member in members {
            let question = Question {
                cluster: self.config.cluster.clone(),
                from: self.config.me.clone(),
                to: member.clone(),
                mark,
                ttl_ms: ttl.as_millis() as u64,
                round: (self.incarnation, rounds),
            };
            let at = self.view.members.get(&member).and_then(|seen| seen.record.peer.clone());
            let id = self.call(Order::AskMember { at, question }, pause, None);
            open.insert(id, member);
        }
        let nobody = open.is_empty();
        if let Some(reign) = &mut self.reign {
            reign.leave.round = Some(Round { sent: self.now, ttl, open });
        }
        if nobody {
            self.leave_is_granted();
        }
    }

    pub(super) fn waits_for_member(&self, id: CallId) -> bool {
        let round = self.reign.as_ref().and_then(|reign| reign.leave.round.as_ref());
        round.is_some_and(|round| round.open.contains_key(&id))
    }

    /// A member has answered, or has not.
    pub(super) fn member_answered(&mut self, id: CallId, result: &Result<Answer, Failure>) {
        let Some(round) = self.reign.as_mut().and_then(|reign| reign.leave.round.as_mut()) else { return };
        let Some(member) = round.open.remove(&id) else { return };
        let why = match result {
            Ok(Answer::Asked(Reply::Accepted)) if round.open.is_empty() => {
                self.leave_is_granted();
                return;
            }
            Ok(Answer::Asked(Reply::Accepted)) => return,
            Ok(Answer::Asked(Reply::Refused(why))) => format!("{member} does not let this leader go on: {why}"),
            Ok(_) => {
                self.broken_invariant = Some("a question was answered with something else".into());
                return;
            }
            Err(failure) => format!("{member} did not say whether this leader may go on: {failure}"),
        };
        // Whoever else answers does not matter: all must accept.
        if let Some(reign) = &mut self.reign {
            reign.leave.round = None;
        }
        self.trouble(why);
    }

    fn leave_is_granted(&mut self) {
        let Some(reign) = &mut self.reign else { return };
        let Some(round) = reign.leave.round.take() else { return };
        reign.leave.granted = Some((round.sent, round.ttl));
        let first = !std::mem::replace(&mut reign.leave.said, true);
        self.feed_watchdog();
        if first {
            let sentence = "the store does not answer; every member lets this leader go on without it";
            self.tell(EventKind::Failsafe { active: true }, sentence.into());
        }
    }

    /// The store has confirmed leadership again.
    pub(super) fn store_confirms(&mut self) {
        let Some(reign) = &mut self.reign else { return };
        if reign.leave.granted.is_some_and(|(asked, _)| reign.confirmed.is_none_or(|confirmed| confirmed < asked)) {
            // One that was on its way when the members were asked has landed: they were asked about that one, too.
            return;
        }
        // From here on the new version rules: it may list whom nobody asked, and give less time.
        let said = std::mem::take(&mut reign.leave).said;
        if said {
            self.tell(EventKind::Failsafe { active: false }, "the store answers again".into());
        }
    }

    /// As a member: a leader asks whether it may go on.
    pub(super) fn questioned(&mut self, ticket: u64, question: &Question) {
        let reply = match self.why_not(question) {
            Some(why) => Reply::Refused(why),
            None => {
                self.hold = Some(Hold {
                    leader: question.from.clone(),
                    mark: question.mark,
                    round: question.round,
                    until: self.after(question.ttl()),
                });
                if matches!(self.state, State::Suspecting { .. }) {
                    self.go(State::Following, Cause::LeaderAsked);
                }
                Reply::Accepted
            }
        };
        self.call(Order::AnswerMember { ticket, reply }, SHORTEST_ROUND, None);
    }

    /// Why the asker may not go on, if it may not. It is told to whoever asks, so it tells nothing but terms and states.
    fn why_not(&self, question: &Question) -> Option<String> {
        let why = |text: &str| Some(text.to_owned());
        if question.cluster != self.config.cluster || question.to != *self.me() {
            return why("the question is for another member or cluster");
        }
        if question.ttl() < Timing::MIN_TTL || question.ttl() > Timing::MAX_TTL {
            return why("the ttl of the question is out of bounds");
        }
        let known = self.newest_mark().term;
        if known > question.mark.term {
            return Some(format!("term {known} is newer than {}", question.mark.term));
        }
        if let Some(leader) = self.view.leader.as_ref().map(|seen| &seen.record)
            && leader.mark.term == question.mark.term
            && leader.holder.as_ref() != Some(&question.from)
        {
            return why("leadership was left or handed over");
        }
        let bound = [self.bound, self.memo_wanted.intent, self.memo.intent].into_iter().flatten();
        if bound.map(|bound| bound.mark).max().is_some_and(|mark| mark >= question.mark) {
            return why("this member votes against it");
        }
        if self.hold.as_ref().is_some_and(|hold| hold.leader == question.from && hold.round >= question.round) {
            return why("the question was asked before");
        }
        match self.state {
            State::Joining | State::Following | State::Suspecting { .. } | State::Leaving { .. } => None,
            State::Freezing { .. }
            | State::Voting { .. }
            | State::TakingOver(_)
            | State::Resuming
            | State::Bootstrapping
            | State::Promoting
            | State::Leading
            | State::HandingOver(_)
            | State::GivingUp(_)
            | State::Stopped => Some(format!("this member is {}", self.state.name())),
        }
    }

    /// Until when this member has promised the holder of this record to do nothing against it.
    pub(super) fn held_until(&self, leader: &LeaderRecord) -> Option<Moment> {
        let hold = self.hold.as_ref()?;
        let same = leader.holder.as_ref() == Some(&hold.leader) && leader.mark.term == hold.mark.term;
        same.then_some(hold.until)
    }
}

impl Reign {
    /// When the members are asked, if the store has not confirmed leadership by then: half-way to giving up. `None`: never, as it stands.
    fn members_asked_at(&self) -> Option<Moment> {
        let confirmed = self.confirmed.filter(|_| !self.lost && !self.paused && !self.leader.paused)?;
        let last = self.leave.granted.map_or(confirmed, |(sent, _)| sent.max(confirmed));
        let only_renewals = self.attempts.all().all(|attempt| attempt.purpose == Purpose::Renew);
        if !only_renewals || self.attempts.were_forgotten() {
            return None;
        }
        let reserved = self.timing.stop_budget + self.timing.clock_margin;
        Some(last + self.shortest_ttl().saturating_sub(reserved) / 2)
    }

    /// Everybody who may take over from a version that is, or may be, in the store.
    fn listed(&self) -> Option<BTreeSet<MemberId>> {
        let mut all = self.leader.failsafe.clone()?;
        for attempt in self.attempts.all() {
            all.extend(attempt.leader.failsafe.clone()?);
        }
        Some(all)
    }

    fn shortest_ttl(&self) -> Duration {
        self.attempts.all().map(|attempt| attempt.leader.ttl()).fold(self.leader.ttl(), Duration::min)
    }
}
