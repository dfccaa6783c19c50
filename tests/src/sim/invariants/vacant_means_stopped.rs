//! When a leader record is written that nobody holds, the database of whom it was has stopped, or is in recovery, and the address is not there: whoever
//! finds leadership vacant waits for nobody (protocol rules 10, 37 and 42).

use super::super::{Fact, World};
use super::Invariant;

/// Nobody leads: nothing of whoever led is up.
pub(super) struct VacantMeansStopped;

impl Invariant for VacantMeansStopped {
    fn name(&self) -> &'static str {
        "vacant_means_stopped"
    }

    fn look(&mut self, world: &World) -> Option<String> {
        world.facts.iter().find_map(|fact| {
            let Fact::LeaderWritten { before: Some(before) } = fact else { return None };
            if world.records.leader.as_ref().is_none_or(|now| now.holder.is_some()) {
                return None;
            }
            let (name, node) = world.nodes.get_key_value(before.holder.as_ref()?)?;
            let database = &node.database;
            if database.state.runs() && !database.in_recovery {
                return Some(format!("leadership of {name} is vacant, its database is {:?}", database.state));
            }
            node.address.then(|| format!("leadership of {name} is vacant, and the address is there"))
        })
    }
}

#[cfg(test)]
mod tests {
    use odoo_ha_core::policy::SyncMode;
    use odoo_ha_core::records::encode;
    use odoo_ha_core::store::Key;

    use super::super::doctored::{breaks, whole};

    #[test]
    fn a_running_database_of_whom_nobody_leads_is_seen() {
        let (mut world, _, _) = whole(SyncMode::Synchronous);
        let mut record = world.store.leader_record().expect("there is a leader");
        record.mark.sequence += 1;
        record.holder = None;
        world.put_raw(Key::leader(), encode(&record));
        breaks(&mut world, "vacant_means_stopped");
    }
}
