//! A timeline belongs to one reign, for ever (design rule 5; protocol rule 31; PostgreSQL 15: two primaries that chose the same number had the
//! same history file, and `pg_rewind` saw nothing to do).
//!
//! The first timeline is every new database's: a bootstrap that died before it was of use is followed by another. A standby that is promoted has
//! a timeline of its own, never the first.

use std::collections::BTreeMap;

use odoo_ha_core::database::DatabaseState;
use odoo_ha_core::member::MemberId;
use odoo_ha_core::term::Term;

use super::super::{Fact, World};
use super::Invariant;

/// The timeline of a new database.
const FIRST: u32 = 1;

/// Whose each timeline is.
#[derive(Default)]
pub(super) struct TimelinesAreOwned {
    owner: BTreeMap<u32, (Term, MemberId)>,
}

impl Invariant for TimelinesAreOwned {
    fn name(&self) -> &'static str {
        "timelines_are_owned"
    }

    fn look(&mut self, world: &World) -> Option<String> {
        let mut broken = None;
        for fact in &world.facts {
            let Fact::NodeChanged { member, before } = fact else { continue };
            let Some(database) = world.nodes.get(member).map(|node| &node.database) else { continue };
            if database.state != DatabaseState::Primary || before.state == DatabaseState::Primary {
                continue;
            }
            let own = (database.term, member.clone());
            let timeline = database.timeline;
            let owner = self.owner.entry(timeline).or_insert_with(|| own.clone());
            if *owner != own && (timeline != FIRST || before.state == DatabaseState::Standby) {
                broken = Some(format!(
                    "{member} is primary of term {} on timeline {timeline}, which is {}'s of term {}",
                    own.0, owner.1, owner.0
                ));
            }
            let beside = world.nodes.iter().find(|(name, node)| {
                *name != member && node.database.state == DatabaseState::Primary && node.database.timeline == timeline
            });
            if let Some((other, _)) = beside {
                broken = Some(format!("{member} and {other} are primary on timeline {timeline}"));
            }
        }
        broken
    }
}

#[cfg(test)]
mod tests {
    use odoo_ha_core::database::DatabaseState;
    use odoo_ha_core::policy::SyncMode;

    use super::super::doctored::whole;

    #[test]
    fn two_primaries_on_one_timeline_are_seen() {
        let (mut world, leader, others) = whole(SyncMode::Synchronous);
        let timeline = world.node(&leader).database.timeline;
        let database = &mut world.node_mut(&others[0]).database;
        database.state = DatabaseState::Primary;
        database.timeline = timeline;
        world.look();
        assert!(world.violations.iter().any(|violation| violation.invariant == "timelines_are_owned"));
    }
}
