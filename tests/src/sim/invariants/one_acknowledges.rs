//! No two databases acknowledge side by side (design rules 1 and 3; protocol rule 41: an admitted, frozen set has stopped the one before; the
//! asynchronous one stops before its belief ends).

use super::super::{Fact, World};
use super::Invariant;

/// All that is acknowledged in one step is acknowledged by one.
pub(super) struct OneAcknowledges;

impl Invariant for OneAcknowledges {
    fn name(&self) -> &'static str {
        "one_acknowledges"
    }

    fn look(&mut self, world: &World) -> Option<String> {
        let mut first = None;
        for fact in &world.facts {
            let Fact::Acknowledged { on, .. } = fact else { continue };
            match first {
                Some(first) if first != on => return Some(format!("{first} and {on} acknowledge side by side")),
                Some(_) | None => first = Some(on),
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
        world.facts.push(Fact::Acknowledged { on: leader, index: 1, id: 1 });
        world.facts.push(Fact::Acknowledged { on: others[0].clone(), index: 1, id: 1 });
        breaks(&mut world, "one_acknowledges");
    }
}
