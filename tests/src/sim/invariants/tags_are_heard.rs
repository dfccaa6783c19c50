//! Who is tagged `nofailover` is neither elected nor handed leadership, and is never counted; who is tagged `nosync`, or cascades
//! (`replicate_from`), is never counted (protocol rules 13 and 29). What an operator asks for by name and by force is excused.

use odoo_ha_core::records::Origin;

use super::super::{Fact, World};
use super::Invariant;

/// Tags are heard.
pub(super) struct TagsAreHeard;

impl Invariant for TagsAreHeard {
    fn name(&self) -> &'static str {
        "tags_are_heard"
    }

    fn look(&mut self, world: &World) -> Option<String> {
        world.facts.iter().find_map(|fact| match fact {
            Fact::LeaderWritten { before: Some(before) } => {
                let now = world.records.leader.as_ref().filter(|now| now.mark.term > before.mark.term)?;
                let holder =
                    now.holder.as_ref().filter(|_| !matches!(now.origin, Origin::Bootstrap | Origin::Adoption))?;
                let tagged = world.nodes.get(holder)?.config.tags.nofailover;
                (tagged && !world.records.taken_by_force()).then(|| format!("{holder} is tagged nofailover and leads"))
            }
            Fact::SyncWritten { before } => {
                let now = world.records.sync.as_ref()?;
                let gained = now.names.keys().find(|name| {
                    let node = world.nodes.get(*name);
                    node.map(|node| &node.config.tags).is_some_and(|tags| {
                        // Not by the method that the machine asks, so that a mistake in it is seen.
                        tags.nosync || tags.nofailover || tags.replicate_from.is_some()
                    }) && before
                        .as_ref()
                        .is_none_or(|before| !before.names.contains_key(*name) && before.leader != **name)
                });
                gained.map(|name| format!("{name} is counted, its tags forbid it"))
            }
            _ => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use odoo_ha_core::policy::SyncMode;
    use odoo_ha_core::records::{LeaderRecord, Origin};

    use super::super::super::Fact;
    use super::super::doctored::{breaks_among_others, whole};

    #[test]
    fn a_leader_that_must_not_lead_is_seen() {
        let (mut world, leader, others) = whole(SyncMode::Synchronous);
        let before = world.records.leader.clone().expect("there is a leader");
        let origin = Origin::HandOver { from: leader, shutdown: odoo_ha_core::lsn::Lsn(0) };
        let mut now = LeaderRecord { origin, holder: Some(others[0].clone()), ..before.clone() };
        now.mark.term = now.mark.term.next();
        world.records.leader = Some(now);
        world.node_mut(&others[0]).config.tags.nofailover = true;
        world.facts.push(Fact::LeaderWritten { before: Some(before) });
        breaks_among_others(&mut world, "tags_are_heard");
    }

    #[test]
    fn a_member_that_must_not_be_counted_is_seen() {
        let (mut world, _, others) = whole(SyncMode::Synchronous);
        world.node_mut(&others[0]).config.tags.nosync = true;
        world.facts.push(Fact::SyncWritten { before: None });
        breaks_among_others(&mut world, "tags_are_heard");
    }

    #[test]
    fn a_cascading_member_that_is_counted_is_seen() {
        let (mut world, leader, others) = whole(SyncMode::Synchronous);
        world.node_mut(&others[0]).config.tags.replicate_from = Some(leader);
        world.facts.push(Fact::SyncWritten { before: None });
        breaks_among_others(&mut world, "tags_are_heard");
    }
}
