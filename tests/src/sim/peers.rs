//! Members that ask one another whether a leader may go on without the store.

use std::collections::BTreeSet;
use std::time::Duration;

use odoo_ha_core::error::{ErrorKind, Failure};
use odoo_ha_core::failsafe::{Question, Reply};
use odoo_ha_core::machine::{Action, Answer, CallId, Input};
use odoo_ha_core::member::MemberId;
use odoo_ha_core::time::Moment;

use super::World;
use super::happenings::Happening;

/// What a message takes besides its link's delay.
const TRANSIT: Duration = Duration::from_millis(1);

/// A question that was not answered yet.
#[derive(Clone, Debug)]
pub(super) struct Asking {
    by: MemberId,
    incarnation: u64,
    id: CallId,
    question: Question,
    sent: Duration,
}

/// Who accepted a leader's last round of questions, as the world saw it.
#[derive(Clone, Debug)]
pub(super) struct Leave {
    round: (u64, u64),
    /// By the asker's own clock.
    ends: Moment,
    accepted: BTreeSet<MemberId>,
}

impl World {
    /// A question goes its way; it ends by its time whatever becomes of it.
    pub(super) fn ask_member(
        &mut self,
        by: &MemberId,
        incarnation: u64,
        action: &Action,
        question: &Question,
        sent: Duration,
    ) {
        self.order += 1;
        let ticket = self.order;
        let asking = Asking { by: by.clone(), incarnation, id: action.id, question: question.clone(), sent };
        self.asking.insert(ticket, asking);
        let left = (sent + action.timeout).saturating_sub(self.now);
        self.after(left, Happening::NobodyAnswered(ticket));
        if self.reaches(by, &question.to) {
            let transit = self.message_takes(by, &question.to);
            let hears = self.node(&question.to).incarnation;
            let input = Input::Questioned { ticket, question: question.clone() };
            self.after(transit, Happening::Input(question.to.clone(), hears, input));
        }
    }

    /// A reply goes its way back.
    pub(super) fn answer_member(&mut self, by: &MemberId, ticket: u64, reply: &Reply) {
        let Some(asking) = self.asking.get(&ticket).cloned() else { return };
        if *reply == Reply::Accepted {
            self.note_leave(by, &asking);
        }
        if self.reaches(by, &asking.by) {
            self.asking.remove(&ticket);
            let transit = self.message_takes(by, &asking.by);
            let input = Input::Finished { id: asking.id, result: Ok(Answer::Asked(reply.clone())) };
            self.after(transit, Happening::Input(asking.by, asking.incarnation, input));
        }
    }

    fn note_leave(&mut self, member: &MemberId, asking: &Asking) {
        let ends = self.moment_of(&asking.by, asking.sent) + asking.question.ttl();
        let round = asking.question.round;
        let leaves = self.leaves.entry(asking.by.clone()).or_default();
        // An earlier round is what it believes by until this one is complete.
        let now = self.nodes.get(&asking.by).map(|node| node.clock.shows(self.now));
        leaves.retain(|leave| now.is_none_or(|now| leave.ends > now));
        if leaves.last().is_none_or(|leave| leave.round != round) {
            leaves.push(Leave { round, ends, accepted: BTreeSet::new() });
        }
        if let Some(leave) = leaves.last_mut() {
            leave.accepted.insert(member.clone());
        }
    }

    /// Whether all of these have let this leader go on until then, by its own clock.
    pub(super) fn is_let_go_on(&self, leader: &MemberId, all: &BTreeSet<MemberId>, until: Moment) -> bool {
        // Where nobody may take over, nobody need be asked.
        let leaves = self.leaves.get(leader).into_iter().flatten();
        all.is_empty() || leaves.filter(|leave| leave.accepted.is_superset(all)).any(|leave| until <= leave.ends)
    }

    pub(super) fn nobody_answered(&mut self, ticket: u64) {
        let Some(asking) = self.asking.remove(&ticket) else { return };
        let result = Err(Failure::new(ErrorKind::Unavailable, "no answer in time"));
        self.happen(Happening::Input(asking.by, asking.incarnation, Input::Finished { id: asking.id, result }));
    }

    fn message_takes(&mut self, from: &MemberId, to: &MemberId) -> Duration {
        let link = self.network.link(from, to).clone();
        let lost = link.loss > 0 && self.chance(1000) < u64::from(link.loss);
        TRANSIT + link.delay + if lost { Duration::from_millis(200) } else { Duration::ZERO }
    }
}
