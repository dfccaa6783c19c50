//! Leadership is resumed by the record only by a member that remembers to have led in that very term (protocol rule 6), and a leader is followed only by
//! one that remembers its term: a store that forgets must not lead back.

use odoo_ha_core::database::DatabaseOrder;
use odoo_ha_core::machine::Order;
use odoo_ha_core::records::Origin;

use super::super::{Fact, World};
use super::Invariant;

/// What is acted on is remembered.
pub(super) struct ResumesByMemory;

impl Invariant for ResumesByMemory {
    fn name(&self) -> &'static str {
        "resumes_by_memory"
    }

    fn look(&mut self, world: &World) -> Option<String> {
        world.facts.iter().find_map(|fact| match fact {
            Fact::LeaderWritten { before: Some(before) } => {
                let now = world.records.leader.as_ref()?;
                let holder = now.holder.as_ref().filter(|holder| before.holder.as_ref() == Some(*holder))?;
                let another_life = now.header.nonce.incarnation != before.header.nonce.incarnation;
                let same_reign = now.mark.term == before.mark.term && before.writer == *holder && now.writer == *holder;
                // Handed over to it and not yet taken up, its data say enough.
                let handed = matches!(before.origin, Origin::HandOver { .. }) && !before.serving;
                let led = world.nodes.get(holder)?.memo.led;
                (another_life && same_reign && !handed && led != now.mark.term)
                    .then(|| format!("{holder} resumes term {} and remembers to have led in {led}", now.mark.term))
            }
            Fact::Ordered { member, order: Order::Database(DatabaseOrder::Follow(order)), accepted: true } => {
                let known = world.nodes.get(member)?.memo.mark.term;
                (known < order.term).then(|| format!("{member} follows in term {} and remembers {known}", order.term))
            }
            _ => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use odoo_ha_core::policy::SyncMode;
    use odoo_ha_core::records::encode;
    use odoo_ha_core::store::Key;
    use odoo_ha_core::term::Term;

    use super::super::doctored::{breaks_among_others, whole};

    #[test]
    fn a_leader_without_a_memory_is_seen() {
        let (mut world, leader, _) = whole(SyncMode::Synchronous);
        let mut record = world.store.leader_record().expect("there is a leader");
        record.mark.sequence += 1;
        record.header.nonce.incarnation += 1;
        world.node_mut(&leader).memo.led = Term(0);
        world.put_raw(Key::leader(), encode(&record));
        breaks_among_others(&mut world, "resumes_by_memory");
    }
}
