//! At most one member believes to lead (design rule 1; protocol rules 10, 11 and 42; the inequality is checked where times are configured).
//!
//! Holds while clock rates differ by less than the margin, and with a suspicion as long as the `ttl`: a shorter one takes the database before
//! the old belief has ended, and what hangs on belief waits instead. A frozen agent counts until its belief ends. Excused is one from whom
//! leadership was taken by force while the cluster was paused, which has no end by itself: an operator said so in words (protocol rule 5).

use std::collections::BTreeSet;

use odoo_ha_core::member::MemberId;

use super::super::{Fact, World};
use super::Invariant;

/// At most one believes.
#[derive(Default)]
pub(super) struct OneBelieves {
    /// Somebody's suspicion was shorter than its `ttl` once: that belief may outlast the times that allowed it.
    short: bool,
    excused: BTreeSet<MemberId>,
}

impl Invariant for OneBelieves {
    fn name(&self) -> &'static str {
        "one_believes"
    }

    fn look(&mut self, world: &World) -> Option<String> {
        self.short |= world.nodes.values().any(|node| node.config.timing.suspicion != node.config.timing.ttl);
        if self.short {
            return None;
        }
        for fact in &world.facts {
            if let (Fact::LeaderWritten { before: Some(before) }, Some(now)) = (fact, &world.records.leader)
                && before.paused
                && before.holder != now.holder
            {
                self.excused.extend(before.holder.clone());
            }
        }
        let mut first: Option<&MemberId> = None;
        let mut second = None;
        for (name, node, until) in world.beliefs() {
            let believes = until.is_some_and(|until| until > node.clock.shows(world.now));
            if !believes {
                if !self.excused.is_empty() {
                    self.excused.remove(name);
                }
            } else if !self.excused.contains(name) {
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
