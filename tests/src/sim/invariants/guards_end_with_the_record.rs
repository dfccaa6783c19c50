//! No database is primary without a watchdog, where there are any, and no watchdog knows an end later than the newest leader record of its member gives,
//! or than all whom it lists have let it go on, by that member's own clock (protocol rules 4, 5, 33 and 34): what is written for a shorter time, or is paused no more, was told to the watchdog before.
//!
//! Only a paused record has no end. After a restored backup nothing is known of records written before. One that an earlier life of the agent fed is excused
//! until it is armed anew: it may wait for as long as that life's record gave.

use odoo_ha_core::database::DatabaseState;
use odoo_ha_core::member::MemberId;
use odoo_ha_core::time::Moment;

use super::super::record_ends::RecordEnds;
use super::super::{Node, World};
use super::Invariant;

/// Watchdogs end with the record.
#[derive(Default)]
pub(super) struct GuardsEndWithTheRecord {
    ends: RecordEnds,
}

impl GuardsEndWithTheRecord {
    fn flaw(&self, world: &World, name: &MemberId, node: &Node) -> Option<String> {
        let Some((deadline, fed_by)) = node.watchdog else {
            let primary = node.database.state == DatabaseState::Primary;
            return primary.then(|| format!("the database of {name} is primary and no watchdog is armed"));
        };
        let Some(ends) = self.ends.of(name) else {
            return (!self.ends.are_forgotten())
                .then(|| format!("the watchdog of {name} is armed, which never had the record"));
        };
        // Who was handed leadership lets go of a watchdog of before, and does nothing until then.
        let does_nothing =
            node.database.state != DatabaseState::Primary && !node.address && node.services.running.is_none();
        if ends == Moment::MAX || does_nothing || fed_by != node.incarnation {
            return None;
        }
        match deadline.map(Moment::from_origin) {
            Some(deadline) => (deadline > ends && !self.ends.are_lifted(world, name, deadline))
                .then(|| format!("the watchdog of {name} waits until {deadline}, its record ends at {ends}")),
            None => Some(format!("the watchdog of {name} knows no end, its record ends at {ends}")),
        }
    }
}

impl Invariant for GuardsEndWithTheRecord {
    fn name(&self) -> &'static str {
        "guards_end_with_the_record"
    }

    fn look(&mut self, world: &World) -> Option<String> {
        self.ends.take(world);
        let mut guarded = world.nodes.iter().filter(|(_, node)| node.config.watchdog.is_some() && !node.gone);
        guarded.find_map(|(name, node)| self.flaw(world, name, node))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use odoo_ha_core::policy::SyncMode;

    use super::super::doctored::{breaks, whole};

    #[test]
    fn a_primary_without_a_watchdog_is_seen() {
        let (mut world, leader, _) = whole(SyncMode::Synchronous);
        world.node_mut(&leader).watchdog = None;
        breaks(&mut world, "guards_end_with_the_record");
    }

    #[test]
    fn a_watchdog_that_waits_too_long_is_seen() {
        let (mut world, leader, _) = whole(SyncMode::Synchronous);
        let node = world.node_mut(&leader);
        let (deadline, fed_by) = node.watchdog.expect("it is armed");
        node.watchdog = Some((deadline.map(|deadline| deadline + Duration::from_secs(3600)), fed_by));
        world.look();
        world.now += Duration::from_millis(50);
        breaks(&mut world, "guards_end_with_the_record");
        world.violations.clear();
        world.node_mut(&leader).watchdog = Some((None, fed_by));
        world.look();
        world.now += Duration::from_millis(50);
        breaks(&mut world, "guards_end_with_the_record");
    }
}
