//! When each member's right ends by the leader records that it had, by its own clock.

use std::collections::{BTreeMap, BTreeSet};

use odoo_ha_core::member::MemberId;
use odoo_ha_core::time::Moment;

use super::{Fact, World};

/// When each member's right ends, by its own clock; [`Moment::MAX`]: it has no end, the record is paused.
#[derive(Default)]
pub(super) struct RecordEnds {
    ends: BTreeMap<MemberId, Moment>,
    /// Whom each member's last record lists to be asked without the store.
    listed: BTreeMap<MemberId, BTreeSet<MemberId>>,
    /// The store went back once: who is not known may have had a record that is gone.
    forgot: bool,
}

impl RecordEnds {
    /// Takes what was written since the last look.
    pub(super) fn take(&mut self, world: &World) {
        let mut restored = false;
        for fact in &world.facts {
            match fact {
                Fact::StoreForgot => {
                    self.ends.clear();
                    (self.forgot, restored) = (true, true);
                }
                Fact::LeaderWritten { .. } if !restored => self.take_record(world),
                _ => {}
            }
        }
    }

    fn take_record(&mut self, world: &World) {
        let Some(record) = &world.records.leader else { return };
        let Some(holder) = record.holder.as_ref().filter(|name| world.nodes.contains_key(*name)) else { return };
        let ends = if record.paused { Moment::MAX } else { world.moment(holder) + record.ttl() };
        self.ends.insert(holder.clone(), ends);
        match &record.failsafe {
            Some(listed) => self.listed.insert(holder.clone(), listed.clone()),
            None => self.listed.remove(holder),
        };
    }

    /// Whether all whom its last record lists have let this member go on until then.
    pub(super) fn are_lifted(&self, world: &World, member: &MemberId, until: Moment) -> bool {
        self.listed.get(member).is_some_and(|listed| world.is_let_go_on(member, listed, until))
    }

    /// `None` where it never had the record.
    pub(super) fn of(&self, member: &MemberId) -> Option<Moment> {
        self.ends.get(member).copied()
    }

    /// Whether records may be gone.
    pub(super) const fn are_forgotten(&self) -> bool {
        self.forgot
    }
}
