//! What only a leader may do is begun only by one that believes to lead: promoting and starting a database, changing whom it waits for, attaching the
//! address, starting services (protocol rules 11, 34 and 35). Who finds itself in the leader record renews first, and acts when answered.
//!
//! What it believes is judged by `belief_within_the_record`.

use super::super::{Fact, World};
use super::Invariant;

/// Nobody acts without belief.
pub(super) struct ActsWithinBelief;

impl Invariant for ActsWithinBelief {
    fn name(&self) -> &'static str {
        "acts_within_belief"
    }

    fn look(&mut self, world: &World) -> Option<String> {
        world.facts.iter().find_map(|fact| {
            let Fact::Begun { member, order, believes: false } = fact else { return None };
            Some(format!("{member} does what only a leader may, and does not believe to lead: {order:?}"))
        })
    }
}

#[cfg(test)]
mod tests {
    use odoo_ha_core::machine::Order;
    use odoo_ha_core::policy::SyncMode;
    use odoo_ha_core::term::Term;

    use super::super::super::Fact;
    use super::super::doctored::{breaks, whole};

    #[test]
    fn one_that_acts_without_belief_is_seen() {
        let (mut world, _, others) = whole(SyncMode::Synchronous);
        let order = Order::AttachAddress { term: Term(1) };
        world.facts.push(Fact::Begun { member: others[0].clone(), order, believes: false });
        breaks(&mut world, "acts_within_belief");
    }
}
