//! Data of another database take no part in the cluster: they are not told to follow, do not vote and do not lead (protocol rule 38).

use odoo_ha_core::database::DatabaseOrder;
use odoo_ha_core::machine::Order;

use super::super::{Fact, World};
use super::Invariant;

/// Nobody counts on another cluster's data.
pub(super) struct ForeignDataStayAway;

impl Invariant for ForeignDataStayAway {
    fn name(&self) -> &'static str {
        "foreign_data_stay_away"
    }

    fn look(&mut self, world: &World) -> Option<String> {
        let ours = world.records.system_id?;
        let foreign = |name| {
            let database = &world.nodes.get(name)?.database;
            database.system_id.filter(|there| *there != ours && database.state.has_data())
        };
        world.facts.iter().find_map(|fact| match fact {
            Fact::Voted { member } => {
                let there = foreign(member)?;
                let vote = world.records.votes.get(member)?;
                let own = world.nodes.get(member)?.database.data_id.as_ref() == Some(&vote.data);
                own.then(|| format!("{member} votes with data of {there}, the cluster's are {ours}"))
            }
            Fact::Ordered { member, order: Order::Database(DatabaseOrder::Follow(order)), .. } if !order.reclone => {
                let there = foreign(member)?;
                Some(format!("{member} is to follow with data of {there}, the cluster's are {ours}"))
            }
            Fact::LeaderWritten { .. } => {
                let holder = world.records.leader.as_ref()?.holder.as_ref()?;
                let there = foreign(holder)?;
                let own = world.records.sync.as_ref()?.leader_data == world.nodes.get(holder)?.database.data_id;
                own.then(|| format!("{holder} leads with data of {there}, the cluster's are {ours}"))
            }
            _ => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use odoo_ha_core::member::SystemId;
    use odoo_ha_core::policy::SyncMode;

    use super::super::super::Fact;
    use super::super::doctored::{breaks_among_others, whole};

    #[test]
    fn a_leader_with_data_of_another_cluster_is_seen() {
        let (mut world, leader, _) = whole(SyncMode::Synchronous);
        world.node_mut(&leader).database.system_id = Some(SystemId(9));
        let before = world.records.leader.clone();
        world.facts.push(Fact::LeaderWritten { before });
        breaks_among_others(&mut world, "foreign_data_stay_away");
    }
}
