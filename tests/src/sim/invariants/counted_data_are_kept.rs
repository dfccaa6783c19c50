//! Data that an election counts on are not rewound and not replaced (protocol rule 30): the sync record does not name their copy, and the vote that
//! names it is void.
//!
//! A disk that was lost leaves no data; nobody discarded them.

use odoo_ha_core::database::DatabaseState;

use super::super::glimpse::Glimpse;
use super::super::{Fact, Node, World};
use super::Invariant;

/// What is discarded, nobody counts on.
pub(super) struct CountedDataAreKept;

fn was_discarded(before: &Glimpse, node: &Node) -> bool {
    let follows = node.database.state == DatabaseState::Standby && node.database.upstream.is_some();
    let changed = before.data != node.database.data_id || !before.log_is_kept(node);
    before.data.is_some() && follows && changed
}

impl Invariant for CountedDataAreKept {
    fn name(&self) -> &'static str {
        "counted_data_are_kept"
    }

    fn look(&mut self, world: &World) -> Option<String> {
        world.facts.iter().find_map(|fact| {
            let Fact::NodeChanged { member, before } = fact else { return None };
            let node = world.nodes.get(member)?;
            if !was_discarded(before, node) {
                return None;
            }
            let sync = world.records.sync.as_ref()?;
            let leads = sync.leader == *member && sync.leader_data == before.data;
            if leads || sync.names.get(member) == before.data.as_ref() {
                return Some(format!(
                    "the data {:?} of {member} were discarded and the sync record counts them",
                    before.data
                ));
            }
            let vote = world.records.votes.get(member).filter(|vote| Some(&vote.data) == before.data.as_ref())?;
            let leader = world.records.leader.as_ref()?;
            let binds = vote.against.is_some_and(|against| against.mark >= leader.mark);
            binds.then(|| format!("the data {:?} of {member} were discarded and its vote counts them", before.data))
        })
    }
}

#[cfg(test)]
mod tests {
    use odoo_ha_core::member::DataId;
    use odoo_ha_core::policy::SyncMode;

    use super::super::doctored::{breaks, whole};

    #[test]
    fn a_counted_copy_that_is_replaced_is_seen() {
        let (mut world, _, others) = whole(SyncMode::Synchronous);
        world.node_mut(&others[0]).database.data_id = Some(DataId("another".into()));
        breaks(&mut world, "counted_data_are_kept");
    }

    #[test]
    fn a_counted_copy_that_is_rewound_is_seen() {
        let (mut world, _, others) = whole(SyncMode::Synchronous);
        world.node_mut(&others[0]).database.log.truncate(4);
        breaks(&mut world, "counted_data_are_kept");
    }
}
