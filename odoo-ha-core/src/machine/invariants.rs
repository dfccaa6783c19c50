//! What must hold after every step, in release builds too. A broken one makes the machine step down first (DESIGN: better no leader than
//! two) and is loud.

use super::Machine;
use super::reign::SyncStep;
use super::state::State;
use crate::database::DatabaseOrder;
use crate::records::ElectionRule;
use crate::term::Mark;

impl Machine {
    /// Checks all of them; `before` is what was remembered at the beginning of the step.
    pub(super) fn check_invariants(&mut self, before: Mark) {
        if self.broken_invariant.is_none() {
            self.broken_invariant = self.first_broken(before).map(str::to_owned);
        }
        if self.broken_invariant.is_some() && self.reign.is_some() && self.step_down_if_due() {
            self.duties();
        }
        if let Some(broken) = self.broken_invariant.take() {
            // Not leading: nothing to step down from, but it must be heard of.
            let sentence = format!("a rule did not hold: {broken}");
            self.tell(crate::event::EventKind::InvariantBroken { which: broken }, sentence);
        }
    }

    /// The first rule that does not hold.
    fn first_broken(&self, before: Mark) -> Option<&'static str> {
        [
            (self.terms_only_grow(before), "what was remembered went back (rule: terms only grow)"),
            (self.only_a_reign_leads(), "a leading state without a reign, or the reverse"),
            (
                self.nothing_is_up_without_belief(),
                "the address or a service is up without safe leadership (rules 1 and 8)",
            ),
            (self.orders_carry_the_term(), "a promotion or start without the durable term (rule 5)"),
            (self.frozen_stays_frozen(), "a bound voter was told to follow (protocol rule 28)"),
            (self.discards_are_free(), "data that an election counts on were to be discarded (protocol rule 30)"),
            (
                self.record_is_no_stronger_than_database(),
                "the sync record names whom the database does not wait for (rule 3)",
            ),
        ]
        .into_iter()
        .find(|(holds, _)| !holds)
        .map(|(_, which)| which)
    }

    fn terms_only_grow(&self, before: Mark) -> bool {
        self.recover || self.memo_wanted.mark >= before || self.stale.is_none() && self.memo_wanted.intent.is_none()
    }

    fn only_a_reign_leads(&self) -> bool {
        let leads = match &self.state {
            State::Resuming | State::Bootstrapping | State::Promoting | State::Leading | State::HandingOver(_) => true,
            State::GivingUp(_) => return true,
            State::Joining
            | State::Following
            | State::Suspecting { .. }
            | State::Freezing { .. }
            | State::Voting { .. }
            | State::TakingOver(_)
            | State::Leaving { .. } => false,
            State::Stopped => return true,
        };
        leads == self.reign.is_some()
    }

    fn nothing_is_up_without_belief(&self) -> bool {
        if !self.faces.may_be_up() {
            return true;
        }
        self.reign.as_ref().is_some_and(|reign| !reign.lost && reign.belief_ends() > self.now)
    }

    fn orders_carry_the_term(&self) -> bool {
        let Some(running) = &self.running else { return true };
        let term = match &running.order {
            DatabaseOrder::Promote(order) => order.term,
            DatabaseOrder::StartPrimary(order) => order.term,
            DatabaseOrder::Bootstrap(order) => order.term,
            DatabaseOrder::Observe
            | DatabaseOrder::Checkpoint
            | DatabaseOrder::Stop(_)
            | DatabaseOrder::Follow(_)
            | DatabaseOrder::Freeze
            | DatabaseOrder::SetSynchronous(_)
            | DatabaseOrder::KeepSlots(_) => return true,
        };
        self.memo.led == term
    }

    fn frozen_stays_frozen(&self) -> bool {
        let frozen = matches!(self.state, State::Voting { .. } | State::TakingOver(_)) && self.view.cluster.is_some();
        let follows = self.running.as_ref().is_some_and(|r| matches!(r.order, DatabaseOrder::Follow(_)));
        !(frozen && follows)
    }

    fn discards_are_free(&self) -> bool {
        let discards = self.running.as_ref().is_some_and(
            |running| matches!(&running.order, DatabaseOrder::Follow(order) if order.may_discard && running.since == self.now),
        );
        let counted = self.view.sync.as_ref().is_some_and(|seen| seen.record.names.contains_key(&self.config.me));
        !(discards && counted)
    }

    fn record_is_no_stronger_than_database(&self) -> bool {
        let (Some(reign), Some(sync)) = (&self.reign, &self.view.sync) else { return true };
        let serves = matches!(self.state, State::Leading) && !reign.needs_start;
        if !serves || sync.record.rule == ElectionRule::Asynchronous || sync.record.leader != self.config.me {
            return true;
        }
        let settled = matches!(reign.sync_step, SyncStep::Settled | SyncStep::Loosening);
        match &reign.standbys_in_force {
            Some(in_force) if settled => sync.record.is_covered_by(in_force),
            Some(_) | None => true,
        }
    }
}
