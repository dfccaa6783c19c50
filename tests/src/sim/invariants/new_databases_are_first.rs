//! A new database is made only where there was none: not once the cluster had one, and not while another member has data of before
//! (protocol rule 38).
//!
//! What an unfinished beginning left behind is nobody's data.

use odoo_ha_core::database::DatabaseOrder;
use odoo_ha_core::machine::Order;
use odoo_ha_core::member::MemberId;
use odoo_ha_core::records::Origin;

use super::super::{Fact, World};
use super::Invariant;

/// No database is made beside one that is there.
#[derive(Default)]
pub(super) struct NewDatabasesAreFirst {
    begun: bool,
    /// Who was to begin the cluster with data of before.
    adopts: Option<MemberId>,
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
            if let Some(adopts) = self.adopts.as_ref().filter(|_| !order.adopt) {
                return Some(format!("{member} makes a new database, and {adopts} was beginning with its own"));
            }
            let beside = world.nodes.iter().find(|(name, node)| {
                *name != member
                    && node.database.state.has_data()
                    && node.database.system_id != Some(super::super::FIRST_SYSTEM)
            });
            let (other, _) = beside.filter(|_| !order.adopt)?;
            Some(format!("{member} makes a new database, and {other} has data"))
        });
        let leader = world.store.leader_record().filter(|record| record.origin == Origin::Adoption);
        self.adopts = leader.map(|record| record.writer).or(self.adopts.take());
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
    use odoo_ha_core::records::{LeaderRecord, Origin, encode};
    use odoo_ha_core::store::Key;
    use odoo_ha_core::term::Term;

    use super::super::super::Fact;
    use super::super::Invariant;
    use super::super::doctored::{breaks, whole};

    #[test]
    fn a_database_beside_another_is_seen() {
        let (mut world, leader, others) = whole(SyncMode::Synchronous);
        world.node_mut(&others[0]).database.system_id = Some(SystemId(9));
        let order = Order::Database(DatabaseOrder::Bootstrap(BootstrapOrder { term: Term(1), adopt: false }));
        world.facts.push(Fact::Ordered { member: leader, order, accepted: true });
        breaks(&mut world, "new_databases_are_first");
    }

    #[test]
    fn a_database_beside_one_that_was_being_adopted_is_seen() {
        let (mut world, leader, others) = whole(SyncMode::Synchronous);
        let record = LeaderRecord { origin: Origin::Adoption, ..world.store.leader_record().unwrap() };
        world.put_raw(Key::leader(), encode(&record));
        let order = Order::Database(DatabaseOrder::Bootstrap(BootstrapOrder { term: Term(1), adopt: false }));
        let mut judge = super::NewDatabasesAreFirst::default();
        assert_eq!(judge.look(&world), None);
        world.records.system_id = None;
        judge.begun = false;
        world.facts.push(Fact::Ordered { member: others[0].clone(), order, accepted: true });
        let said = judge.look(&world).expect("it is seen");
        assert!(said.contains(&format!("{leader} was beginning")), "{said}");
    }
}
