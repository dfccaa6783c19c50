//! Nobody believes for longer than its record gives, counted from when that was written, by the believer's own clock (design rule 1;
//! protocol rules 4 and 11), or than all whom the record lists have let it go on (rule 33). Unlike "at most one believes" this holds for every pair of clocks.
//!
//! After a restored backup nothing is known of records written before; a member is judged again from its next renewal on.

use std::collections::BTreeMap;

use odoo_ha_core::member::MemberId;
use odoo_ha_core::time::Moment;

use super::super::{Fact, World};
use super::Invariant;

/// When each member's right ends, by its own clock.
#[derive(Default)]
pub(super) struct BeliefWithinTheRecord {
    ends: BTreeMap<MemberId, Moment>,
    /// The store went back once: who is not known may have had a record that is gone.
    forgot: bool,
}

impl Invariant for BeliefWithinTheRecord {
    fn name(&self) -> &'static str {
        "belief_within_the_record"
    }

    fn look(&mut self, world: &World) -> Option<String> {
        let mut restored = false;
        for fact in &world.facts {
            match fact {
                Fact::StoreForgot => {
                    self.ends.clear();
                    self.forgot = true;
                    restored = true;
                }
                Fact::LeaderWritten { .. } if !restored => {
                    let Some(record) = &world.records.leader else { continue };
                    let Some(holder) = record.holder.as_ref().filter(|name| world.nodes.contains_key(*name)) else {
                        continue;
                    };
                    let ends = if record.paused { Moment::MAX } else { world.moment(holder) + record.ttl() };
                    self.ends.insert(holder.clone(), ends);
                }
                _ => {}
            }
        }
        for (name, node, until) in world.beliefs() {
            let Some(until) = until else { continue };
            match self.ends.get(name) {
                Some(ends) if until > *ends && !world.is_let_go_on(name, until) => {
                    return Some(format!("{name} believes until {until}, its record ends at {ends}"));
                }
                None if !self.forgot && until > node.clock.shows(world.now) => {
                    return Some(format!("{name} believes until {until} and never had the record"));
                }
                Some(_) | None => {}
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use odoo_ha_core::policy::SyncMode;

    use super::super::doctored::whole;

    #[test]
    fn a_belief_without_a_record_is_seen() {
        let (mut world, leader, others) = whole(SyncMode::Asynchronous);
        let twin = world.node(&leader).machine.clone();
        world.node_mut(&others[0]).machine = twin;
        world.look();
        assert!(world.violations.iter().any(|violation| violation.invariant == "belief_within_the_record"));
    }
}
