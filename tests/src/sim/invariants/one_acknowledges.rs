//! No two databases acknowledge side by side (design rules 1 and 3; protocol rule 41: an admitted, frozen set has stopped the one before; the
//! asynchronous one stops before its belief ends).
//!
//! Explicitly allowed: what the other one has in its log, too, is answered late. A machine that was suspended hears only when it wakes that all whom its database waits for had
//! flushed a commit long ago; they were asked when they voted, so the new primary has it.

use odoo_ha_core::member::MemberId;

use super::super::{Fact, World};
use super::Invariant;

/// All that is acknowledged in one step is acknowledged by one.
pub(super) struct OneAcknowledges;

impl Invariant for OneAcknowledges {
    fn name(&self) -> &'static str {
        "one_acknowledges"
    }

    fn look(&mut self, world: &World) -> Option<String> {
        let acknowledged = world.facts.iter().filter_map(|fact| match fact {
            Fact::Acknowledged { on, id, .. } => Some((on, *id)),
            _ => None,
        });
        let has = |on: &MemberId, id: u64| world.node(on).database.log.iter().rev().any(|(_, entry)| *entry == id);
        let mut first: Option<(&MemberId, u64)> = None;
        for (on, id) in acknowledged {
            match first {
                Some((other, before)) if other != on && !has(on, before) && !has(other, id) => {
                    return Some(format!("{other} and {on} acknowledge side by side"));
                }
                Some(_) => {}
                None => first = Some((on, id)),
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use odoo_ha_core::policy::SyncMode;

    use super::super::super::Fact;
    use super::super::doctored::{breaks, whole};

    #[test]
    fn two_that_acknowledge_are_seen() {
        let (mut world, leader, others) = whole(SyncMode::Asynchronous);
        world.facts.push(Fact::Acknowledged { on: leader, index: 1, id: u64::MAX });
        world.facts.push(Fact::Acknowledged { on: others[0].clone(), index: 1, id: u64::MAX - 1 });
        breaks(&mut world, "one_acknowledges");
    }
}
