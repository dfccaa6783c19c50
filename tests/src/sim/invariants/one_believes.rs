//! At most one member believes to lead (design rule 1; protocol rules 10, 11 and 42; the inequality is checked where times are configured).
//!
//! Holds while clock rates differ by less than the margin. A frozen agent counts until its belief ends. Excused, until it is elected anew, is one from
//! whom leadership was taken after a suspicion shorter than its `ttl`, which may be where the sync record says synchronous: that takes the
//! database before the old belief has ended, and what hangs on belief waits instead. Excused, too, is one from whom it was taken by force while
//! the cluster was paused, which has no end by itself: an operator said so in words (protocol rule 5).

use std::collections::BTreeSet;

use odoo_ha_core::member::MemberId;
use odoo_ha_core::records::ElectionRule;

use super::super::{Fact, World};
use super::Invariant;

/// At most one believes.
#[derive(Default)]
pub(super) struct OneBelieves {
    excused: BTreeSet<MemberId>,
}

impl Invariant for OneBelieves {
    fn name(&self) -> &'static str {
        "one_believes"
    }

    fn look(&mut self, world: &World) -> Option<String> {
        for fact in &world.facts {
            let Fact::LeaderWritten { before: Some(before) } = fact else { continue };
            let Some(now) = &world.records.leader else { continue };
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
            let believes = until.is_some_and(|until| until > node.clock.shows(world.now));
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
