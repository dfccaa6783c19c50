//! At most one member believes to lead (design rule 1; protocol rules 10, 11 and 42; the inequality is checked where times are configured).
//!
//! Holds while clock rates differ by less than the margin. A frozen agent counts until its belief ends. Excused, until it is elected anew, is one from
//! whom leadership was taken after a suspicion shorter than its `ttl`, which may be where the sync record says synchronous: that takes the
//! database before the old belief has ended, and what hangs on belief waits instead. Excused, too, is one from whom it was taken by force while
//! the cluster was paused, which has no end by itself: an operator said so in words (protocol rule 5).
//!
//! A store that forgets a renewal before anybody else has seen it lets others count from the one before: for as long as a renewal takes, both may believe.

use std::collections::BTreeSet;
use std::time::Duration;

use odoo_ha_core::member::MemberId;
use odoo_ha_core::records::ElectionRule;
use odoo_ha_core::time::Moment;

use super::super::{Fact, Node, World};
use super::Invariant;

/// At most one believes.
#[derive(Default)]
pub(super) struct OneBelieves {
    excused: BTreeSet<MemberId>,
    /// Who believed when the store forgot, and has not renewed since.
    forgotten: BTreeSet<MemberId>,
}

/// Longest way of a renewal that somebody may not have heard of.
const ON_ITS_WAY: Duration = Duration::from_millis(500);

impl OneBelieves {
    /// Whether a belief is about to end that rests on a renewal which the store forgot.
    fn rests_on_what_is_forgotten(&self, node: &Node, name: &MemberId, until: Moment, now: Moment) -> bool {
        let interval = node.config.timing.renew_interval;
        self.forgotten.contains(name) && until.since(now) <= interval + ON_ITS_WAY
    }
}

impl Invariant for OneBelieves {
    fn name(&self) -> &'static str {
        "one_believes"
    }

    fn look(&mut self, world: &World) -> Option<String> {
        for fact in &world.facts {
            if matches!(fact, Fact::StoreForgot) {
                self.forgotten = world.beliefs().map(|(name, ..)| name.clone()).collect();
            }
            let Fact::LeaderWritten { before: Some(before) } = fact else { continue };
            let Some(now) = &world.records.leader else { continue };
            if let Some(holder) = &now.holder {
                self.forgotten.remove(holder);
            }
            let rule = world.facts.iter().find_map(|fact| match fact {
                Fact::SyncWritten { before: Some(before) } => Some(before.rule),
                _ => None,
            });
            let short = before.suspicion() < before.ttl() && rule == Some(ElectionRule::Synchronous);
            if let Some(holder) = &now.holder
                && before.holder != now.holder
            {
                self.excused.remove(holder);
            }
            if before.holder != now.holder && (before.paused || short) {
                self.excused.extend(before.holder.clone());
            }
        }
        let mut first: Option<&MemberId> = None;
        let mut second = None;
        for (name, node, until) in world.beliefs() {
            let now = node.clock.shows(world.now);
            let believes =
                until.is_some_and(|until| until > now && !self.rests_on_what_is_forgotten(node, name, until, now));
            if believes && !self.excused.contains(name) {
                second = second.or(first.map(|first| (first, name)));
                first = Some(name);
            }
        }
        let (first, second) = second.filter(|_| world.clocks_honest())?;
        Some(format!("{first} and {second} both believe to lead"))
    }
}

#[cfg(test)]
mod tests {
    use odoo_ha_core::policy::SyncMode;

    use super::super::Invariant;
    use super::super::doctored::whole;
    use super::OneBelieves;

    #[test]
    fn two_that_believe_are_seen() {
        let (mut world, leader, others) = whole(SyncMode::Synchronous);
        // The leader's machine runs on another node, too, which has the clock of the first.
        let twin = world.node(&leader).machine.clone();
        world.node_mut(&others[0]).machine = twin;
        world.note_beliefs();
        let seen = OneBelieves::default().look(&world);
        assert!(seen.is_some_and(|text| text.contains("both believe")));
        world.look();
        assert!(world.violations.iter().any(|violation| violation.invariant == "one_believes"));
    }

    #[test]
    fn clocks_beyond_the_margin_are_not_judged() {
        let (mut world, leader, others) = whole(SyncMode::Synchronous);
        let twin = world.node(&leader).machine.clone();
        world.node_mut(&others[0]).machine = twin;
        world.set_clock(&others[1], 50_000);
        world.note_beliefs();
        assert_eq!(OneBelieves::default().look(&world), None);
    }
}
