//! A database becomes primary only in a term for which its member held the leader record, and a term has one holder (design rule 5; protocol
//! rules 6, 7 and 15).
//!
//! After a restored backup the store has forgotten whose its terms were; holders are counted anew from there.

use std::collections::{BTreeMap, BTreeSet};

use odoo_ha_core::member::MemberId;
use odoo_ha_core::term::Term;

use super::super::{Fact, World};
use super::Invariant;

/// Who held which term.
#[derive(Default)]
pub(super) struct PrimariesHaveTheTerm {
    holder: BTreeMap<Term, MemberId>,
    held: BTreeSet<(Term, MemberId)>,
}

impl Invariant for PrimariesHaveTheTerm {
    fn name(&self) -> &'static str {
        "primaries_have_the_term"
    }

    fn look(&mut self, world: &World) -> Option<String> {
        let mut broken = None;
        for fact in &world.facts {
            match fact {
                Fact::StoreForgot => self.holder.clear(),
                Fact::LeaderWritten { .. } => {
                    let Some(record) = &world.records.leader else { continue };
                    let Some(holder) = &record.holder else { continue };
                    let term = record.mark.term;
                    if let Some(other) = self.holder.get(&term) {
                        if other != holder {
                            broken = Some(format!("term {term} was {other}'s and is {holder}'s"));
                        }
                        continue;
                    }
                    self.holder.insert(term, holder.clone());
                    self.held.insert((term, holder.clone()));
                }
                Fact::NodeChanged { member, before } => {
                    let Some(node) = world.nodes.get(member) else { continue };
                    let term = node.database.term;
                    if before.became_primary(node) && !self.held.contains(&(term, member.clone())) {
                        broken = Some(format!("{member} is primary in term {term}, which it never held"));
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
    use odoo_ha_core::database::DatabaseState;
    use odoo_ha_core::policy::SyncMode;
    use odoo_ha_core::records::encode;
    use odoo_ha_core::store::Key;
    use odoo_ha_core::term::Term;

    use super::super::doctored::{breaks, breaks_among_others, whole};

    #[test]
    fn a_promotion_without_the_term_is_seen() {
        let (mut world, _, others) = whole(SyncMode::Synchronous);
        let database = &mut world.node_mut(&others[0]).database;
        database.state = DatabaseState::Primary;
        database.streaming = false;
        database.term = Term(9);
        database.timeline = 9;
        breaks_among_others(&mut world, "primaries_have_the_term");
    }

    #[test]
    fn a_term_of_two_is_seen() {
        let (mut world, _, others) = whole(SyncMode::Synchronous);
        let mut record = world.store.leader_record().expect("there is a leader");
        record.mark.sequence += 1;
        record.holder = Some(others[0].clone());
        world.put_raw(Key::leader(), encode(&record));
        breaks(&mut world, "primaries_have_the_term");
    }
}
