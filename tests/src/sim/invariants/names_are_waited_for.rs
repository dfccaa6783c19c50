//! Whom the sync record counts, the database of its leader waits for (design rule 3; protocol rule 18: what makes acknowledging easier is
//! recorded first, what makes it harder is in force first).

use odoo_ha_core::database::DatabaseState;
use odoo_ha_core::member::MemberId;
use odoo_ha_core::records::ElectionRule;

use super::super::World;
use super::Invariant;

/// The names of the record are among those of the database.
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
        if record.names.keys().all(|name| waits_for.names(name)) {
            return None;
        }
        let missing: Vec<&MemberId> = record.names.keys().filter(|name| !waits_for.names(name)).collect();
        Some(format!("the record counts {missing:?}, {} waits for {waits_for:?}", record.leader))
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
