//! What is counted of a run.

use std::collections::BTreeSet;
use std::time::Duration;

use odoo_ha_core::event::{Event, EventKind};
use odoo_ha_core::member::MemberId;
use odoo_ha_core::term::Term;

/// Counts of one run, or of many together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Elections after which another member served in a new term.
    pub failovers: u64,
    /// Hand-overs after which another member served in a new term.
    pub switchovers: u64,
    /// Elections after which the same member served again, in a new term.
    pub re_elections: u64,
    /// Databases of leaders that were restarted in place, in the same term.
    pub restarts: u64,
    /// Faults that happened.
    pub faults: u64,
    /// What operators wished.
    pub wishes: u64,
    /// Times that the cluster was left in peace, and became whole.
    pub peaces: u64,
    /// The longest time that this took.
    pub longest_heal: Duration,
    /// Writes that clients were told are saved.
    pub saved: u64,
    /// Calls of roles that drivers made; machines alone make none.
    pub calls: u64,
    /// How long the worlds lived by their own clocks.
    pub lived: Duration,
}

impl Tally {
    /// Both together.
    pub fn add(&mut self, other: &Self) {
        self.failovers += other.failovers;
        self.switchovers += other.switchovers;
        self.re_elections += other.re_elections;
        self.restarts += other.restarts;
        self.faults += other.faults;
        self.wishes += other.wishes;
        self.peaces += other.peaces;
        self.longest_heal = self.longest_heal.max(other.longest_heal);
        self.saved += other.saved;
        self.calls += other.calls;
        self.lived += other.lived;
    }
}

/// Tells from the members' events how leadership moved.
#[derive(Clone, Debug, Default)]
pub(super) struct Counter {
    served: Option<(Term, MemberId)>,
    elected: BTreeSet<Term>,
}

impl Counter {
    /// Takes one more event.
    pub(super) fn take(&mut self, event: &Event, tally: &mut Tally) {
        match &event.kind {
            EventKind::LeaderElected { .. } => {
                self.elected.insert(event.term);
            }
            EventKind::DatabaseRestarted => tally.restarts += 1,
            EventKind::Serving => {
                let new = self.served.as_ref().is_none_or(|(term, _)| *term < event.term);
                if !new {
                    return;
                }
                let before = self.served.replace((event.term, event.member.clone()));
                // The first to serve began the cluster.
                let Some((_, before)) = before else { return };
                let elected = self.elected.contains(&event.term);
                self.elected = self.elected.split_off(&event.term);
                match (elected, before == event.member) {
                    (true, false) => tally.failovers += 1,
                    (true, true) => tally.re_elections += 1,
                    (false, _) => tally.switchovers += 1,
                }
            }
            _ => {}
        }
    }
}
