//! Leadership is handed over when the old leader's database has exited, and to one that has its log to the last record (protocol rule 40).

use odoo_ha_core::records::Origin;

use super::super::{Fact, World};
use super::Invariant;

/// Who hands over has stopped, who is handed over to has everything.
pub(super) struct HandedOverWhole;

impl Invariant for HandedOverWhole {
    fn name(&self) -> &'static str {
        "handed_over_whole"
    }

    fn look(&mut self, world: &World) -> Option<String> {
        world.facts.iter().find_map(|fact| {
            let Fact::LeaderWritten { before: Some(before) } = fact else { return None };
            let now = world.records.leader.as_ref().filter(|now| now.mark.term > before.mark.term)?;
            let Origin::HandOver { from, shutdown } = &now.origin else { return None };
            if now.writer != *from {
                // Long since taken up: a store came back that knew of it.
                return None;
            }
            let (old, new) = (world.nodes.get(from)?, world.nodes.get(now.holder.as_ref()?)?);
            if old.database.state.runs() && !old.database.in_recovery {
                return Some(format!("{from} hands over, its database is {:?}", old.database.state));
            }
            let end = usize::try_from(shutdown.0).unwrap_or(usize::MAX);
            let has_it = old.database.log.len() == end
                && (end == 0 || new.database.log.get(end - 1) == old.database.log.get(end - 1));
            (!has_it).then(|| {
                format!(
                    "{from} hands over at {end} of {}, {:?} ends at {}",
                    old.database.lsn(),
                    now.holder,
                    new.database.lsn()
                )
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use odoo_ha_core::policy::SyncMode;
    use odoo_ha_core::records::{Origin, encode};
    use odoo_ha_core::store::Key;

    use super::super::doctored::{breaks, whole};

    #[test]
    fn one_that_hands_over_while_it_serves_is_seen() {
        let (mut world, leader, others) = whole(SyncMode::Synchronous);
        let mut record = world.store.leader_record().expect("there is a leader");
        record.mark.term = record.mark.term.next();
        record.origin = Origin::HandOver { from: leader.clone(), shutdown: world.node(&leader).database.lsn() };
        (record.holder, record.writer) = (Some(others[0].clone()), leader.clone());
        world.put_raw(Key::leader(), encode(&record));
        breaks(&mut world, "handed_over_whole");
    }
}
