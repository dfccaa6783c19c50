//! A new database is made only where there was none: not once the cluster had one, and not while another member has data of before
//! (protocol rule 38).
//!
//! What an unfinished beginning left behind is nobody's data.

use odoo_ha_core::database::DatabaseOrder;
use odoo_ha_core::machine::Order;

use super::super::{Fact, World};
use super::Invariant;

/// No database is made beside one that is there.
#[derive(Default)]
pub(super) struct NewDatabasesAreFirst {
    begun: bool,
}

impl Invariant for NewDatabasesAreFirst {
    fn name(&self) -> &'static str {
        "new_databases_are_first"
    }

    fn look(&mut self, world: &World) -> Option<String> {
        let made = world.facts.iter().find_map(|fact| {
            let Fact::Ordered { member, order: Order::Database(DatabaseOrder::Bootstrap(order)), accepted: true } =
                fact
            else {
                return None;
            };
            if self.begun && world.records.system_id.is_none() {
                return Some(format!("{member} makes a new database, and the cluster had one"));
            }
            let beside = world.nodes.iter().find(|(name, node)| {
                *name != member
                    && node.database.state.has_data()
                    && node.database.system_id != Some(super::super::FIRST_SYSTEM)
            });
            let (other, _) = beside.filter(|_| !order.adopt)?;
            Some(format!("{member} makes a new database, and {other} has data"))
        });
        self.begun |= world.records.system_id.is_some();
        made
    }
}

#[cfg(test)]
mod tests {
    use odoo_ha_core::database::{BootstrapOrder, DatabaseOrder};
    use odoo_ha_core::machine::Order;
    use odoo_ha_core::member::SystemId;
    use odoo_ha_core::policy::SyncMode;
    use odoo_ha_core::term::Term;

    use super::super::super::Fact;
    use super::super::doctored::{breaks, whole};

    #[test]
    fn a_database_beside_another_is_seen() {
        let (mut world, leader, others) = whole(SyncMode::Synchronous);
        world.node_mut(&others[0]).database.system_id = Some(SystemId(9));
        let order = Order::Database(DatabaseOrder::Bootstrap(BootstrapOrder { term: Term(1), adopt: false }));
        world.facts.push(Fact::Ordered { member: leader, order, accepted: true });
        breaks(&mut world, "new_databases_are_first");
    }
}
