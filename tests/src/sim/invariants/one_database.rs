//! Nothing of another database is promoted or followed (design rule 5; PostgreSQL: the system identifier is drawn at initdb and kept by every
//! copy).

use super::super::{Fact, World};
use super::Invariant;

/// Who becomes primary or streams has the cluster's system identifier.
pub(super) struct OneDatabase;

impl Invariant for OneDatabase {
    fn name(&self) -> &'static str {
        "one_database"
    }

    fn look(&mut self, world: &World) -> Option<String> {
        let cluster = world.records.system_id?;
        world.facts.iter().find_map(|fact| {
            let Fact::NodeChanged { member, before } = fact else { return None };
            let node = world.nodes.get(member)?;
            let began = before.became_primary(node) || (node.database.streaming && !before.streaming);
            let foreign = began && node.database.system_id != Some(cluster);
            foreign.then(|| {
                format!("{member} has the data of {:?}, the cluster's are {cluster:?}", node.database.system_id)
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use odoo_ha_core::member::SystemId;
    use odoo_ha_core::policy::SyncMode;

    use super::super::doctored::{breaks, whole};

    #[test]
    fn a_foreign_copy_that_streams_is_seen() {
        let (mut world, _, others) = whole(SyncMode::Synchronous);
        world.node_mut(&others[0]).database.streaming = false;
        world.look();
        world.node_mut(&others[0]).database.streaming = true;
        world.node_mut(&others[0]).database.system_id = Some(SystemId(8));
        breaks(&mut world, "one_database");
    }
}
