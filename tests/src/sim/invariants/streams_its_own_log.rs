//! A copy that streams has nothing that its upstream lacks (design rule 9; protocol rules 14 and 31: a diverged copy is rewound or made anew, and
//! one that streams over a divergence is silently wrong).

use odoo_ha_core::database::DatabaseState;

use super::super::{Fact, World};
use super::Invariant;

/// Who streams is a beginning of its upstream. The whole log is compared when streaming begins; after that the last record is enough.
pub(super) struct StreamsItsOwnLog;

impl Invariant for StreamsItsOwnLog {
    fn name(&self) -> &'static str {
        "streams_its_own_log"
    }

    fn look(&mut self, world: &World) -> Option<String> {
        for (name, node) in &world.nodes {
            if !node.database.streaming {
                continue;
            }
            let upstream = node.database.upstream.as_ref().and_then(|upstream| world.nodes.get(upstream));
            let Some(upstream) = upstream.filter(|up| up.database.state == DatabaseState::Primary) else { continue };
            let end = node.database.log.len();
            if end > 0 && upstream.database.log.get(end - 1) != node.database.log.last() {
                return Some(format!("{name} streams and its last record at {end} is not its upstream's"));
            }
        }
        world.facts.iter().find_map(|fact| {
            let Fact::NodeChanged { member, before } = fact else { return None };
            let node = world.nodes.get(member).filter(|node| node.database.streaming && !before.streaming)?;
            let upstream = world.nodes.get(node.database.upstream.as_ref()?)?;
            let serves = upstream.database.state == DatabaseState::Primary;
            let diverged = serves && !upstream.database.log.starts_with(&node.database.log);
            diverged.then(|| format!("{member} streams from {:?} and has diverged", node.database.upstream))
        })
    }
}

#[cfg(test)]
mod tests {
    use odoo_ha_core::policy::SyncMode;

    use super::super::doctored::{breaks, whole};

    #[test]
    fn a_diverged_copy_that_streams_is_seen() {
        let (mut world, _, others) = whole(SyncMode::Synchronous);
        world.node_mut(&others[0]).database.streaming = false;
        world.look();
        let database = &mut world.node_mut(&others[0]).database;
        database.log[3].0 += 7;
        database.streaming = true;
        breaks(&mut world, "streams_its_own_log");
    }

    #[test]
    fn a_record_that_the_upstream_lacks_is_seen() {
        let (mut world, leader, others) = whole(SyncMode::Synchronous);
        world.node_mut(&others[0]).database.append(77);
        world.node_mut(&leader).database.append(78);
        breaks(&mut world, "streams_its_own_log");
    }
}
