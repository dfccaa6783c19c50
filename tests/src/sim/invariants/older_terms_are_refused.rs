//! Nothing is accepted from an older term (design rules 5 and 8; STYLE 13: every action bears the term, and every receiver that can remember
//! refuses an older one): the address and the services wherever they are asked for, the files of each member, and each database.

use std::collections::BTreeMap;

use odoo_ha_core::database::DatabaseOrder;
use odoo_ha_core::machine::Order;
use odoo_ha_core::member::MemberId;
use odoo_ha_core::term::Term;

use super::super::{Fact, World};
use super::Invariant;

/// The newest term that each receiver has served.
#[derive(Default)]
pub(super) struct OlderTermsAreRefused {
    address: Term,
    services: Term,
    files: BTreeMap<MemberId, Term>,
    data: BTreeMap<MemberId, Term>,
}

fn term_of(order: &DatabaseOrder) -> Option<Term> {
    match order {
        DatabaseOrder::Bootstrap(order) => Some(order.term),
        DatabaseOrder::StartPrimary(order) => Some(order.term),
        DatabaseOrder::Follow(order) => Some(order.term),
        DatabaseOrder::Promote(order) => Some(order.term),
        DatabaseOrder::SetSynchronous(order) => Some(order.term),
        DatabaseOrder::Observe
        | DatabaseOrder::Checkpoint
        | DatabaseOrder::Stop(_)
        | DatabaseOrder::Freeze
        | DatabaseOrder::KeepSlots(_) => None,
    }
}

impl OlderTermsAreRefused {
    fn accepted(&mut self, member: &MemberId, order: &Order) -> Option<String> {
        let (newest, term) = match order {
            Order::AttachAddress { term } => (&mut self.address, *term),
            Order::StartServices { term } => (&mut self.services, *term),
            Order::LeadFilestore { term } | Order::FollowFilestore { term, .. } => {
                (self.files.entry(member.clone()).or_default(), *term)
            }
            Order::Database(order) => (self.data.entry(member.clone()).or_default(), term_of(order)?),
            _ => return None,
        };
        if term < *newest {
            return Some(format!("{member} did for term {term} what was done for {newest} before: {order:?}"));
        }
        *newest = term;
        None
    }
}

impl Invariant for OlderTermsAreRefused {
    fn name(&self) -> &'static str {
        "older_terms_are_refused"
    }

    fn look(&mut self, world: &World) -> Option<String> {
        let mut broken = None;
        for fact in &world.facts {
            match fact {
                Fact::StoreForgot => *self = Self::default(),
                Fact::Ordered { member, order, accepted: true } => broken = broken.or(self.accepted(member, order)),
                // The disk was lost, and with it what its receiver remembered.
                Fact::NodeChanged { member, .. }
                    if world.nodes.get(member).is_some_and(|node| !node.database.state.has_data()) =>
                {
                    self.data.remove(member);
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
    use odoo_ha_core::term::Term;

    use super::super::super::Fact;
    use super::super::doctored::{breaks, whole};

    #[test]
    fn an_older_term_that_is_served_is_seen() {
        let (mut world, leader, _) = whole(SyncMode::Synchronous);
        for term in [2, 1] {
            let order = Order::LeadFilestore { term: Term(term) };
            world.facts.push(Fact::Ordered { member: leader.clone(), order, accepted: true });
        }
        breaks(&mut world, "older_terms_are_refused");
    }
}
