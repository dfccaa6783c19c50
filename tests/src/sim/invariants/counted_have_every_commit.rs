//! When a commit is acknowledged in a synchronous mode, no sufficient set of votes is without it: of the copies that the sync record counts so few lack
//! it that they cannot elect (design rule 3; protocol rules 12, 18 and 20).

use odoo_ha_core::records::ElectionRule;

use super::super::{Fact, World};
use super::Invariant;

/// At most n - k of the copies that S counts lack an acknowledged commit. A copy that is gone cannot vote.
pub(super) struct CountedHaveEveryCommit;

impl Invariant for CountedHaveEveryCommit {
    fn name(&self) -> &'static str {
        "counted_have_every_commit"
    }

    fn look(&mut self, world: &World) -> Option<String> {
        if world.facts.is_empty() {
            return None;
        }
        let record = world.records.sync.as_ref().filter(|record| record.rule == ElectionRule::Synchronous)?;
        let leader = world.nodes.get(&record.leader)?;
        world.facts.iter().find_map(|fact| {
            let Fact::Acknowledged { on, index, id } = fact else { return None };
            if *on != record.leader || leader.database.data_id != record.leader_data {
                return None;
            }
            let lacks = |(name, data): &(&_, &_)| {
                world.nodes.get(*name).is_some_and(|node| {
                    node.database.data_id.as_ref() == Some(*data)
                        && node.database.log.get(*index) != leader.database.log.get(*index)
                })
            };
            let count = record.names.iter().filter(lacks).count();
            let suffices = count > 0 && count + record.k as usize > record.names.len();
            suffices.then(|| format!("{on} acknowledged {id}, which {count} of {:?} lack", record.names.keys()))
        })
    }
}

#[cfg(test)]
mod tests {
    use odoo_ha_core::policy::SyncMode;

    use super::super::super::Fact;
    use super::super::doctored::{breaks, whole};

    #[test]
    fn a_commit_that_a_counted_one_lacks_is_seen() {
        let (mut world, leader, _) = whole(SyncMode::Synchronous);
        let database = &mut world.node_mut(&leader).database;
        database.append(1_000_000);
        let index = database.log.len() - 1;
        world.facts.push(Fact::Acknowledged { on: leader, index, id: 1_000_000 });
        breaks(&mut world, "counted_have_every_commit");
    }
}
