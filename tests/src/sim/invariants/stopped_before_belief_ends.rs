//! A leader whose belief ends by its time has stopped its database before: others may start theirs then, and a watchdog is for agents that cannot
//! (protocol rule 37, design rule 2).
//!
//! Excused is an agent that stood still, until it has had the time to stop, and a database that cannot be stopped or whose disk is slow.

use std::collections::BTreeMap;
use std::time::Duration;

use odoo_ha_core::database::DatabaseState;
use odoo_ha_core::machine::Machine;
use odoo_ha_core::member::MemberId;
use odoo_ha_core::time::Moment;

use super::super::{Node, World};
use super::Invariant;

/// Since when each agent that still leads by its own state can act.
#[derive(Default)]
pub(super) struct StoppedBeforeBeliefEnds {
    able: BTreeMap<MemberId, (u64, Duration)>,
}

fn can_stop(node: &Node) -> bool {
    !node.frozen && node.asleep.is_none() && !node.stop_hangs && node.disk.slow <= 1 && !node.disk.full
}

impl Invariant for StoppedBeforeBeliefEnds {
    fn name(&self) -> &'static str {
        "stopped_before_belief_ends"
    }

    fn look(&mut self, world: &World) -> Option<String> {
        for (name, node) in &world.nodes {
            let until = node.machine.as_ref().filter(|_| can_stop(node)).and_then(Machine::leads_until);
            let Some(until) = until.filter(|until| *until != Moment::ORIGIN) else {
                self.able.remove(name);
                continue;
            };
            let since = match self.able.get(name) {
                Some((lives, since)) if *lives == node.incarnation => *since,
                _ => {
                    self.able.insert(name.clone(), (node.incarnation, world.now));
                    world.now
                }
            };
            let timing = &node.config.timing;
            let had_time = world.now - since >= timing.stop_budget + timing.clock_margin;
            if had_time && until <= world.moment(name) && node.database.state == DatabaseState::Primary {
                return Some(format!("{name} believed until {until}, and its database is primary still"));
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use odoo_ha_core::policy::SyncMode;

    use super::super::doctored::{breaks_among_others, whole};

    #[test]
    fn a_database_that_runs_on_is_seen() {
        let (mut world, leader, _) = whole(SyncMode::Synchronous);
        let term = world.node(&leader).database.term;
        world.node_mut(&leader).cut_from_store = true;
        world.node_mut(&leader).watchdog = None;
        world.look();
        // Nobody tells its agent that time has passed.
        world.now += Duration::from_secs(20);
        assert_eq!(world.node(&leader).database.term, term);
        breaks_among_others(&mut world, "stopped_before_belief_ends");
    }
}
