//! An unanswered write is settled by its effect: nobody gives leadership up as lost while the leader record is one that it wrote itself, in this
//! life and this term (protocol rule 8).
//!
//! Excused is a paused leader: without an end it may send more renewals than are remembered. Excused for a while is who was told to believe the store (`recover`): that ends the reign whatever the store shows.

use std::collections::BTreeMap;
use std::time::Duration;

use odoo_ha_core::member::MemberId;

use super::super::world::drawn;
use super::super::{Fact, World};
use super::Invariant;

/// What `recover` ended is given up within this.
const RECOVERS: Duration = Duration::from_secs(10);

/// Who was told to believe the store, and when.
#[derive(Default)]
pub(super) struct OwnWritesAreKnown {
    told: BTreeMap<MemberId, Duration>,
}

impl Invariant for OwnWritesAreKnown {
    fn name(&self) -> &'static str {
        "own_writes_are_known"
    }

    fn look(&mut self, world: &World) -> Option<String> {
        world.facts.iter().find_map(|fact| match fact {
            Fact::ToldToRecover { member } => {
                self.told.insert(member.clone(), world.now);
                None
            }
            Fact::StateChanged { member, to, cause } if to == "giving_up" && cause == "LeadershipLost" => {
                let record = world.records.leader.as_ref()?;
                let lives = world.nodes.get(member)?.incarnation;
                let own = record.holder.as_ref() == Some(member)
                    && record.writer == *member
                    && record.header.nonce.incarnation == drawn(member, lives);
                let excused = self.told.get(member).is_some_and(|at| world.now - *at < RECOVERS);
                (own && !excused && !record.paused)
                    .then(|| format!("{member} gives leadership up as lost, the record {} is its own", record.mark))
            }
            _ => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use odoo_ha_core::policy::SyncMode;

    use super::super::super::Fact;
    use super::super::doctored::{breaks, whole};

    #[test]
    fn a_leader_that_does_not_know_its_record_is_seen() {
        let (mut world, leader, _) = whole(SyncMode::Synchronous);
        let (to, cause) = ("giving_up".to_owned(), "LeadershipLost".to_owned());
        world.facts.push(Fact::StateChanged { member: leader, to, cause });
        breaks(&mut world, "own_writes_are_known");
    }
}
