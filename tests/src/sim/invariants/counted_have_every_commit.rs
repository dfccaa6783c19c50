//! When a commit is acknowledged in a synchronous mode, no sufficient set of votes is without it: of the copies that the sync record counts so few lack
//! it that they cannot elect (design rule 3; protocol rules 12, 18 and 20).

use std::collections::BTreeMap;

use odoo_ha_core::records::{ElectionRule, SyncRecord};

use super::super::{Fact, World};
use super::Invariant;

/// At most n - k of the copies that S counts lack an acknowledged commit. A copy that is gone cannot vote.
pub(super) struct CountedHaveEveryCommit;

/// Where any k acknowledge: an older commit that enough votes under this record could be without.
fn missed_by_any(world: &World, record: &SyncRecord) -> Option<String> {
    let n = record.names.len();
    if record.k as usize == n {
        return None;
    }
    let mut lacking: BTreeMap<u64, usize> = BTreeMap::new();
    for (name, data) in &record.names {
        let Some(node) = world.nodes.get(name).filter(|node| node.database.data_id.as_ref() == Some(data)) else {
            continue;
        };
        for id in world.promised.without_log(&node.database.log).iter() {
            *lacking.entry(id).or_default() += 1;
        }
    }
    let (id, count) = lacking.into_iter().find(|(_, count)| count + record.k as usize > n)?;
    Some(format!(
        "{id} was acknowledged, and {count} of {:?} lack it, of which {} are to have it",
        record.names.keys(),
        record.k
    ))
}

impl Invariant for CountedHaveEveryCommit {
    fn name(&self) -> &'static str {
        "counted_have_every_commit"
    }

    fn look(&mut self, world: &World) -> Option<String> {
        if world.facts.is_empty() {
            return None;
        }
        let record = world.records.sync.as_ref().filter(|record| record.rule == ElectionRule::Synchronous)?;
        if world.facts.iter().any(|fact| matches!(fact, Fact::SyncWritten { .. }))
            && let Some(missed) = missed_by_any(world, record)
        {
            return Some(missed);
        }
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
