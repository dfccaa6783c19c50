//! Nobody believes for longer than its record gives, counted from when that was written, by the believer's own clock (design rule 1;
//! protocol rules 4 and 11), or than all whom the record lists have let it go on (rule 33). Unlike "at most one believes" this holds for every pair of clocks.
//!
//! After a restored backup nothing is known of records written before; a member is judged again from its next renewal on.

use odoo_ha_core::member::MemberId;

use super::super::World;
use super::super::record_ends::RecordEnds;
use super::Invariant;

/// Belief ends with the record.
#[derive(Default)]
pub(super) struct BeliefWithinTheRecord {
    ends: RecordEnds,
}

impl World {
    fn leads(&self, member: &MemberId) -> bool {
        self.records.leader.as_ref().is_some_and(|record| record.holder.as_ref() == Some(member))
    }
}

impl Invariant for BeliefWithinTheRecord {
    fn name(&self) -> &'static str {
        "belief_within_the_record"
    }

    fn look(&mut self, world: &World) -> Option<String> {
        self.ends.take(world);
        world.beliefs().find_map(|(name, node, until)| {
            let until = until?;
            let over = until <= node.clock.shows(world.now);
            match self.ends.of(name) {
                Some(ends) => {
                    // By the members' leave it may be longer, as long as nobody else has the record.
                    let lifted = (over || world.leads(name)) && self.ends.are_lifted(world, name, until);
                    (until > ends && !lifted)
                        .then(|| format!("{name} believes until {until}, its record ends at {ends}"))
                }
                None => (!self.ends.are_forgotten() && !over)
                    .then(|| format!("{name} believes until {until} and never had the record")),
            }
        })
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
