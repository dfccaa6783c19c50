//! Terms only grow: in the store, in what each member remembers, and beside each copy of the data (design rules 5 and 6; protocol rules 6
//! and 7).
//!
//! Explicitly allowed: the store goes back when a backup of it is restored; then what a member remembers may go back once, when an operator
//! says that the store is right (`recover`). A memory that is empty was lost with its disk, which no machine did.

use std::collections::BTreeSet;

use odoo_ha_core::member::MemberId;
use odoo_ha_core::term::{Mark, Term};

use super::super::glimpse::Glimpse;
use super::super::{Fact, World};
use super::Invariant;

/// The newest mark that the store showed, and whose memory may go back.
#[derive(Default)]
pub(super) struct TermsGrow {
    newest: Mark,
    sync: Mark,
    may_go_back: BTreeSet<MemberId>,
}

impl TermsGrow {
    fn node_changed(&mut self, world: &World, member: &MemberId, before: &Glimpse) -> Option<String> {
        let node = world.nodes.get(member)?;
        let (mark, led) = (node.memo.mark, node.memo.led);
        let lost = mark == Mark::default() && led == Term(0);
        if (mark < before.mark || led < before.led) && !lost && !self.may_go_back.remove(member) {
            return Some(format!("{member} remembered {} and {}, now {mark} and {led}", before.mark, before.led));
        }
        let same_copy = before.data.is_some() && before.data == node.database.data_id;
        if same_copy && node.database.term < before.term {
            return Some(format!("the data of {member} went from term {} to {}", before.term, node.database.term));
        }
        None
    }
}

impl Invariant for TermsGrow {
    fn name(&self) -> &'static str {
        "terms_grow"
    }

    fn look(&mut self, world: &World) -> Option<String> {
        let mut broken = None;
        for fact in &world.facts {
            match fact {
                Fact::StoreForgot => {
                    self.newest = Mark::default();
                    self.sync = Mark::default();
                    self.may_go_back = world.nodes.keys().cloned().collect();
                }
                Fact::LeaderWritten { .. } => {
                    let Some(record) = &world.records.leader else { continue };
                    if record.mark <= self.newest {
                        broken = Some(format!("the leader record went from {} to {}", self.newest, record.mark));
                    }
                    self.newest = record.mark;
                }
                Fact::SyncWritten { .. } => {
                    let Some(record) = &world.records.sync else { continue };
                    if record.mark <= self.sync {
                        broken = Some(format!("the sync record went from {} to {}", self.sync, record.mark));
                    }
                    self.sync = record.mark;
                }
                Fact::NodeChanged { member, before } => {
                    broken = broken.or(self.node_changed(world, member, before));
                }
                _ => {}
            }
        }
        broken
    }
}

#[cfg(test)]
mod tests {
    use odoo_ha_core::policy::SyncMode;
    use odoo_ha_core::records::encode;
    use odoo_ha_core::store::Key;
    use odoo_ha_core::term::{Mark, Term};

    use super::super::doctored::{breaks, whole};

    #[test]
    fn a_leader_record_that_goes_back_is_seen() {
        let (mut world, _, _) = whole(SyncMode::Synchronous);
        let mut record = world.store.leader_record().expect("there is a leader");
        record.mark.sequence -= 1;
        world.put_raw(Key::leader(), encode(&record));
        breaks(&mut world, "terms_grow");
    }

    #[test]
    fn a_memory_that_goes_back_is_seen() {
        let (mut world, _, others) = whole(SyncMode::Synchronous);
        world.node_mut(&others[0]).memo.mark = Mark { term: Term(0), sequence: 1 };
        breaks(&mut world, "terms_grow");
    }

    #[test]
    fn data_of_an_older_term_are_seen() {
        let (mut world, _, others) = whole(SyncMode::Synchronous);
        world.node_mut(&others[0]).database.term = Term(0);
        breaks(&mut world, "terms_grow");
    }
}
