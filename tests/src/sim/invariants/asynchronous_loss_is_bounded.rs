//! In asynchronous mode no more is lost than `maximum_lag_on_failover` and what was in flight since the old leader last published its position
//! (design rule 4; protocol rule 16).
//!
//! Judged twice: by positions, when the elected becomes primary; and by what clients were told: everything that was acknowledged up to the
//! published position less the allowed lag is there. A loss that an operator accepted in words is excused.

use odoo_ha_core::member::MemberId;
use odoo_ha_core::records::{ElectionRule, Origin};
use odoo_ha_core::term::Term;

use super::super::{Fact, World};
use super::Invariant;

/// What must be there after the takeover that is under way.
#[derive(Default)]
pub(super) struct AsynchronousLossIsBounded {
    /// What clients were told is saved, since the mode is asynchronous: where, and which.
    told: Vec<(usize, u64)>,
    /// In which term the elected must have how much.
    floor: Option<(Term, usize)>,
}

impl AsynchronousLossIsBounded {
    fn lacks(&mut self, world: &World, member: &MemberId) -> Option<String> {
        let database = &world.nodes.get(member)?.database;
        let (_, floor) = self.floor.take_if(|(term, _)| *term == database.term)?;
        let has = |(index, id): &(usize, u64)| database.log.get(*index).is_some_and(|(_, there)| there == id);
        let lost = self.told.iter().filter(|told| told.0 < floor && !has(told)).count();
        let short = database.log.len() < floor;
        self.told.retain(has);
        (short || lost > 0).then(|| {
            format!(
                "{member} was promoted at {} and lacks {lost} acknowledged commits before {floor}",
                database.log.len()
            )
        })
    }
}

impl Invariant for AsynchronousLossIsBounded {
    fn name(&self) -> &'static str {
        "asynchronous_loss_is_bounded"
    }

    fn look(&mut self, world: &World) -> Option<String> {
        if world.facts.is_empty() {
            return None;
        }
        if world.records.sync.as_ref().is_none_or(|record| record.rule == ElectionRule::Synchronous) {
            self.told.clear();
            self.floor = None;
            return None;
        }
        let mut broken = None;
        for fact in &world.facts {
            match fact {
                Fact::Acknowledged { index, id, .. } => self.told.push((*index, *id)),
                Fact::LeaderWritten { before: Some(before) } => {
                    let Some(now) = &world.records.leader else { continue };
                    if now.mark.term > before.mark.term && now.origin == Origin::Takeover {
                        let winner = now.holder.as_ref().and_then(|holder| world.nodes.get(holder));
                        let allowed = winner.map_or(0, |node| node.config.policy.maximum_lag_on_failover);
                        let floor = before.lsn.0.saturating_sub(allowed) as usize;
                        let excused = world.records.taken_with_loss(Some(before)).is_some();
                        self.floor = (!excused).then_some((now.mark.term, floor));
                    }
                }
                Fact::NodeChanged { member, before } => {
                    let promoted = world.nodes.get(member).is_some_and(|node| before.became_primary(node));
                    if promoted {
                        broken = broken.or(self.lacks(world, member));
                    }
                }
                _ => {}
            }
        }
        broken
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use odoo_ha_core::policy::SyncMode;

    use super::super::super::World;
    use super::super::doctored::breaks_among_others;

    #[test]
    fn one_that_is_too_far_behind_and_promoted_is_seen() {
        let mut world = World::with(2, 3, |config| {
            config.policy.sync_mode = SyncMode::Asynchronous;
            config.policy.maximum_lag_on_failover = 10;
        });
        world.run_until("a whole cluster", Duration::from_secs(30), World::whole);
        let leader = world.leader().expect("a whole cluster has a leader");
        let other = world.nodes.keys().find(|name| **name != leader).cloned().expect("there are two");
        world.run(Duration::from_secs(2));
        world.kill_agent(&leader);
        world.kill_database(&leader);
        // It loses log after it has voted and was elected, which no machine allows.
        let elected =
            |world: &World| world.records.leader.as_ref().is_some_and(|record| record.holder.as_ref() == Some(&other));
        world.run_until("the other is elected", Duration::from_secs(15), elected);
        world.assert_sound();
        world.node_mut(&other).database.log.truncate(20);
        world.look();
        world.violations.clear();
        let term = world.records.leader.as_ref().map(|record| record.mark.term).expect("it was elected");
        let database = &mut world.node_mut(&other).database;
        database.state = odoo_ha_core::database::DatabaseState::Primary;
        database.term = term;
        database.timeline = 2;
        breaks_among_others(&mut world, "asynchronous_loss_is_bounded");
    }
}
