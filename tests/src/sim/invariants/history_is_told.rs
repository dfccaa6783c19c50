//! The history has the row of a reign before the address is attached in it and before the sync record gains a member of it (protocol rule 14).
//!
//! A restored backup has lost the rows of later reigns; they are not missed then.

use odoo_ha_core::machine::Order;
use odoo_ha_core::member::MemberId;
use odoo_ha_core::term::Term;

use super::super::{Fact, World};
use super::Invariant;

/// The row is there first.
#[derive(Default)]
pub(super) struct HistoryIsTold {
    forgot: bool,
}

fn has_row(world: &World, term: Term, leader: &MemberId) -> bool {
    let history = world.store.history_record();
    history.is_some_and(|history| history.rows.iter().any(|row| row.term == term && row.leader == *leader))
}

impl Invariant for HistoryIsTold {
    fn name(&self) -> &'static str {
        "history_is_told"
    }

    fn look(&mut self, world: &World) -> Option<String> {
        // What the store has lost is lost for what happened at the same moment, too.
        self.forgot |= world.store_forgot();
        let mut broken = None;
        for fact in &world.facts {
            match fact {
                Fact::StoreForgot => self.forgot = true,
                Fact::Ordered { member, order: Order::AttachAddress { term }, accepted: true }
                    if !self.forgot && !has_row(world, *term, member) =>
                {
                    broken = Some(format!("{member} has the address in term {term}, which the history does not know"));
                }
                Fact::SyncWritten { before: Some(before) } => {
                    let Some(now) = &world.records.sync else { continue };
                    let gained = now.names.keys().find(|name| !before.names.contains_key(*name));
                    let same_reign = now.leader == before.leader && now.mark.term == before.mark.term;
                    if let Some(gained) = gained
                        && same_reign
                        && !self.forgot
                        && !has_row(world, now.mark.term, &now.leader)
                    {
                        broken = Some(format!(
                            "{gained} is counted in term {}, which the history does not know",
                            now.mark.term
                        ));
                    }
                }
                _ => {}
            }
        }
        broken
    }
}

#[cfg(test)]
mod tests {
    use odoo_ha_core::machine::Order;
    use odoo_ha_core::policy::SyncMode;
    use odoo_ha_core::records::encode;
    use odoo_ha_core::store::Key;

    use super::super::super::Fact;
    use super::super::doctored::{breaks, whole};

    #[test]
    fn an_address_before_its_row_is_seen() {
        let (mut world, leader, _) = whole(SyncMode::Synchronous);
        let term = world.node(&leader).database.term;
        let mut history = world.store.history_record().expect("there is a history");
        history.rows.clear();
        world.put_raw(Key::history(), encode(&history));
        world.facts.push(Fact::Ordered { member: leader, order: Order::AttachAddress { term }, accepted: true });
        breaks(&mut world, "history_is_told");
    }
}
