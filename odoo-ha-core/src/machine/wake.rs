//! When the machine wants to be handed the time again, and its picture.

use std::time::Duration;

use super::state::State;
use super::{Machine, StateName, Status};
use crate::database::SynchronousStandbys;
use crate::lsn::Timeline;
use crate::time::Moment;

/// It never sleeps longer than this: what no timer foresaw is found by then.
const LONGEST_SLEEP: Duration = Duration::from_secs(1);

/// The earliest of the moments that lie ahead.
struct Earliest {
    after: Moment,
    at: Option<Moment>,
}

impl Earliest {
    fn push(&mut self, at: Moment) {
        if at > self.after && self.at.is_none_or(|earliest| at < earliest) {
            self.at = Some(at);
        }
    }
}

impl Extend<Moment> for Earliest {
    fn extend<I: IntoIterator<Item = Moment>>(&mut self, moments: I) {
        moments.into_iter().for_each(|at| self.push(at));
    }
}

impl Machine {
    /// When to hand it the time again, at the latest. `None` only when it has stopped.
    pub fn poll_timeout(&self) -> Option<Moment> {
        if matches!(self.state, State::Stopped) {
            return None;
        }
        if !self.actions.is_empty() || !self.events.is_empty() {
            return Some(self.now);
        }
        let timing = &self.config.timing;
        let mut wakes = Earliest { after: self.now, at: None };
        wakes.extend([self.now + LONGEST_SLEEP, self.follow_again_at, self.hold_off_until]);
        wakes.extend(self.faces.wake_at());
        wakes.push(self.upkeep.slots_again_at);
        wakes.extend(self.read_again_at);
        wakes.push(self.publish_again_at);
        wakes.push(self.policy.write_again_at);
        wakes.push(self.remember_again_at);
        wakes.push(self.stop_again_at);
        wakes.extend(self.leaves_unanswered_at());
        if self.observing.is_none() {
            wakes.push(self.next_observation);
        }
        if let Some(reign) = &self.reign {
            wakes.extend(reign.leave.wake_at());
            wakes.extend([reign.give_up_at(), reign.belief_ends(), reign.not_before]);
            if reign.attempts.under_way.is_none() {
                wakes.push(reign.next_renewal);
            }
            wakes.extend(reign.silent.values().map(|silence| silence.since + timing.standby_timeout));
            wakes.push(reign.began + timing.promote_timeout);
        }
        if let Some(leader) = self.view.leader.as_ref().map(|seen| &seen.record) {
            wakes.extend(self.suspicious_at(leader));
            wakes.extend(self.watched.map(|watch| watch.received + leader.ttl()));
        }
        if let State::TakingOver(take_over) = &self.state {
            wakes.push(take_over.again_at);
        }
        if let State::GivingUp(_) | State::HandingOver(_) | State::Voting { .. } = &self.state {
            wakes.push(self.now + Duration::from_millis(50));
        }
        wakes.at
    }

    /// Until when this member believes to lead; `None` when it does not. [`Moment::MAX`] while paused.
    pub fn leads_until(&self) -> Option<Moment> {
        let leads = !matches!(self.state, State::Stopped);
        self.reign.as_ref().filter(|_| leads).map(super::reign::Reign::belief_ends)
    }

    /// What it is doing: the same as in [`status`](Self::status), without a copy of everything else.
    pub fn state(&self) -> StateName {
        self.state.name()
    }

    /// A picture of it.
    pub fn status(&self) -> Status {
        let leads_for = self.reign.as_ref().map(|reign| match reign.belief_ends() {
            Moment::MAX => Duration::MAX,
            ends => ends.since(self.now),
        });
        let leader = self.view.leader.as_ref().map(|seen| seen.record.clone());
        Status {
            cluster: self.config.cluster.clone(),
            member: self.config.me.clone(),
            state: self.state.name(),
            term: self.term(),
            leader: self.view.holder().cloned(),
            leads_for: leads_for.filter(|left| !left.is_zero()),
            leads_until: self.leads_until().filter(|until| *until > self.now),
            address_here: self.faces.address_is_here(),
            paused: leader.as_ref().is_some_and(|leader| leader.paused),
            timeline: leader.as_ref().map_or(Timeline(0), |leader| leader.timeline),
            database: self.database.clone(),
            synchronous: self.view.sync.as_ref().map_or(SynchronousStandbys::Nobody, |seen| seen.record.standbys()),
            leader_record: leader,
            sync_record: self.view.sync.as_ref().map(|seen| seen.record.clone()),
            members: self.view.members.iter().map(|(member, seen)| (member.clone(), seen.record.clone())).collect(),
            request: self.view.request.as_ref().map(|seen| seen.record.clone()),
            policy: self.config.policy,
            policy_refused: self.policy.refused.clone(),
            refusal: self.refusal.clone(),
        }
    }
}
