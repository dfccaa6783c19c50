//! Whom the sync record counts, the database of its leader waits for (design rule 3; protocol rule 18: what makes acknowledging easier is
//! recorded first, what makes it harder is in force first).

use std::collections::BTreeSet;

use odoo_ha_core::database::{DatabaseState, SynchronousStandbys};
use odoo_ha_core::records::ElectionRule;

use super::super::World;
use super::Invariant;

/// Of every commit that the database acknowledges, as many of the record's names have it as the record says.
pub(super) struct NamesAreWaitedFor;

impl Invariant for NamesAreWaitedFor {
    fn name(&self) -> &'static str {
        "names_are_waited_for"
    }

    fn look(&mut self, world: &World) -> Option<String> {
        let record = world.records.sync.as_ref().filter(|record| record.rule == ElectionRule::Synchronous)?;
        let node = world.nodes.get(&record.leader)?;
        if node.database.state != DatabaseState::Primary {
            return None;
        }
        let waits_for = &node.database.synchronous;
        let (k, names) = match waits_for {
            SynchronousStandbys::Nobody => (0, &BTreeSet::new()),
            SynchronousStandbys::AllOf(names) => (names.len(), names),
            SynchronousStandbys::AnyOf { k, names } => (*k as usize, names),
        };
        // In the worst case those that acknowledge are, as far as can be, those that do not count.
        let others = names.iter().filter(|name| !record.names.contains_key(*name)).count();
        let (by_record, counted) = (record.k, record.names.keys());
        (by_record > 0 && k < others + by_record as usize).then(|| {
            format!("the record counts on {by_record} of {counted:?}, {} waits for {waits_for:?}", record.leader)
        })
    }
}

#[cfg(test)]
mod tests {
    use odoo_ha_core::database::SynchronousStandbys;
    use odoo_ha_core::policy::SyncMode;

    use super::super::doctored::{breaks, whole};

    #[test]
    fn a_database_that_waits_for_fewer_is_seen() {
        let (mut world, leader, others) = whole(SyncMode::Synchronous);
        world.node_mut(&leader).database.synchronous = SynchronousStandbys::all_of([others[0].clone()].into());
        breaks(&mut world, "names_are_waited_for");
    }
}
