//! Which processes are known to have taken which `synchronous_standby_names` (protocol rule 20).
//!
//! A WAL sender shows nothing of the setting but the priority that it gives itself. So a priority proves that the new value was taken only
//! where every value that the sender may still hold would give it another one: with `ANY k` all priorities are 1, and a sender proves
//! it by being younger than the value.

use std::collections::BTreeSet;

use super::standby_names;
use super::synchronous::Sender;

/// Most earlier values that are remembered before nothing is concluded from priorities any more.
const MAX_EARLIER: usize = 8;

/// Of one postmaster and one value. Made anew with each agent: whatever was set before its time is unknown.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Proof {
    postmaster: i32,
    text: String,
    /// It makes commits wait at all, and has done so without interruption.
    checkpointer: bool,
    senders: BTreeSet<i32>,
    /// What a sender that is not proven may still hold; `None`: anything.
    earlier: Option<Vec<String>>,
    /// Every sender has been shown to have the value.
    complete: bool,
}

/// What was seen just before the new value was set.
#[derive(Debug)]
pub(super) struct Before {
    /// The value then in force for a new session.
    pub(super) text: String,
    /// The senders that were started with it.
    pub(super) young: BTreeSet<i32>,
}

impl Proof {
    /// An order sets this value (again).
    pub(super) fn begin(&mut self, postmaster: i32, before: &Before, text: &str) {
        let continues = self.postmaster == postmaster && self.text == before.text;
        if continues && self.text == text {
            return;
        }
        let earlier = match self.earlier.take() {
            _ if continues && self.complete => Some(vec![before.text.clone()]),
            Some(mut earlier) if continues && earlier.len() < MAX_EARLIER => {
                earlier.push(before.text.clone());
                Some(earlier)
            }
            _ => None,
        };
        let checkpointer = continues && self.checkpointer && !self.text.is_empty();
        *self = Self { postmaster, text: text.to_owned(), checkpointer, earlier, ..Self::default() };
    }

    /// Whether the checkpointer makes commits wait.
    pub(super) const fn checkpointer(&self) -> bool {
        self.checkpointer
    }

    /// A checkpoint that was begun after the value was set has ended.
    pub(super) const fn checkpointer_has_it(&mut self) {
        self.checkpointer = true;
    }

    /// Every sender has the value.
    pub(super) const fn all_senders_have_it(&mut self) {
        self.complete = true;
    }

    /// Whether the sender shows the priority that the value gives it: it has it, or it can never be known by priority.
    pub(super) fn shows_expected(&self, sender: &Sender) -> bool {
        sender.priority == standby_names::priority(&self.text, sender.member.as_ref())
    }

    /// Whether this sender must have taken the value, by what it shows. One that has is remembered.
    pub(super) fn has_taken(&mut self, pid: i32, sender: &Sender, before: &Before) -> bool {
        let expected = standby_names::priority(&self.text, sender.member.as_ref());
        if sender.priority != expected {
            return false;
        }
        // Without a priority it never releases anybody.
        if expected == 0 || self.senders.contains(&pid) {
            return true;
        }
        let is_young = before.young.contains(&pid);
        let was_started_with_it = sender.is_newer || (is_young && before.text == self.text);
        let gives_another = |held: &String| {
            standby_names::parse(held).is_some() && standby_names::priority(held, sender.member.as_ref()) != expected
        };
        let shows_it = was_started_with_it
            || if is_young {
                gives_another(&before.text)
            } else {
                self.earlier.as_ref().is_some_and(|earlier| earlier.iter().all(gives_another))
            };
        if shows_it {
            self.senders.insert(pid);
        }
        shows_it
    }
}

#[cfg(test)]
mod tests {
    use odoo_ha_core::lsn::Lsn;
    use odoo_ha_core::member::MemberId;

    use super::*;

    const ANY_1: &str = "ANY 1 (\"b\", \"c\")";
    const ANY_2: &str = "ANY 2 (\"b\", \"c\")";
    const ALL: &str = "FIRST 2 (\"b\", \"c\")";

    fn sender(name: &str, priority: u32) -> Sender {
        let member = MemberId::new(name).ok();
        Sender { member, priority, flushed: Lsn(0), counts: true, is_newer: false }
    }

    fn before(text: &str, young: &[i32]) -> Before {
        Before { text: text.into(), young: young.iter().copied().collect() }
    }

    /// All senders have `text`, and this agent knows it.
    fn known(text: &str) -> Proof {
        Proof { postmaster: 1, text: text.into(), checkpointer: true, complete: true, ..Proof::default() }
    }

    #[test]
    fn a_quorum_is_proved_by_no_priority() {
        let mut proof = known(ANY_1);
        let seen = before(ANY_1, &[]);
        proof.begin(1, &seen, ANY_2);
        assert!(!proof.has_taken(5, &sender("b", 1), &seen));
        assert!(proof.has_taken(5, &Sender { is_newer: true, ..sender("b", 1) }, &seen));
        assert!(proof.has_taken(5, &sender("b", 1), &seen), "it is remembered");
    }

    #[test]
    fn a_priority_that_an_unfinished_change_left_behind_proves_nothing() {
        let mut proof = known(ANY_1);
        proof.begin(1, &before(ANY_1, &[]), ALL);
        // Nobody has been shown to have it when the next one comes: c may still hold ANY 1, where it has priority 1 as well.
        let seen = before(ALL, &[]);
        proof.begin(1, &seen, ANY_2);
        assert!(!proof.has_taken(6, &sender("c", 1), &seen));
        assert!(proof.has_taken(6, &sender("c", 1), &before(ALL, &[6])), "started with FIRST 2, it had 2");
    }

    #[test]
    fn what_was_set_before_the_agents_time_is_unknown() {
        let mut proof = Proof::default();
        let seen = before("FIRST 1 (\"c\")", &[7]);
        proof.begin(1, &seen, ALL);
        assert!(!proof.has_taken(5, &sender("b", 1), &seen));
        assert!(proof.has_taken(7, &sender("b", 1), &seen));
        assert!(proof.has_taken(8, &sender("d", 0), &seen), "one without priority releases nobody");
        assert!(!proof.has_taken(9, &sender("d", 1), &seen), "one that still counts by another value does");
    }

    #[test]
    fn the_checkpointer_stays_proved_while_somebody_is_named() {
        let mut proof = known(ANY_1);
        proof.begin(1, &before(ANY_1, &[]), ANY_2);
        assert!(proof.checkpointer());
        proof.begin(1, &before(ANY_2, &[]), "");
        proof.begin(1, &before("", &[]), ALL);
        assert!(!proof.checkpointer());
        let mut proof = known(ANY_1);
        proof.begin(2, &before(ANY_1, &[]), ANY_1);
        assert!(!proof.checkpointer(), "another postmaster");
    }
}
