//! A fast shutdown that did not end in time is called off: the database is stopped for certain or started again before another fast shutdown is asked
//! for (protocol rule 40).

use std::collections::BTreeMap;

use odoo_ha_core::database::{DatabaseOrder, StopMode};
use odoo_ha_core::machine::Order;
use odoo_ha_core::member::MemberId;

use super::super::{Fact, World};
use super::Invariant;

/// Whose last fast shutdown did not end, and in which life of its agent it was asked for.
#[derive(Default)]
pub(super) struct ShutdownsAreCalledOff {
    hung: BTreeMap<MemberId, u64>,
}

impl Invariant for ShutdownsAreCalledOff {
    fn name(&self) -> &'static str {
        "shutdowns_are_called_off"
    }

    fn look(&mut self, world: &World) -> Option<String> {
        world.facts.iter().find_map(|fact| {
            let Fact::Ordered { member, order: Order::Database(order), accepted } = fact else { return None };
            let lives = world.nodes.get(member)?.incarnation;
            match order {
                DatabaseOrder::Stop(StopMode::Fast) if !accepted => {
                    let again = self.hung.insert(member.clone(), lives) == Some(lives);
                    again.then(|| format!("the shutdown of {member} did not end, and was asked for again"))
                }
                DatabaseOrder::Stop(_) | DatabaseOrder::StartPrimary(_) => {
                    self.hung.remove(member);
                    None
                }
                _ => None,
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use odoo_ha_core::database::{DatabaseOrder, StopMode};
    use odoo_ha_core::machine::Order;
    use odoo_ha_core::policy::SyncMode;

    use super::super::super::Fact;
    use super::super::doctored::{breaks, whole};

    #[test]
    fn a_shutdown_that_is_asked_for_again_is_seen() {
        let (mut world, leader, _) = whole(SyncMode::Synchronous);
        let order = Order::Database(DatabaseOrder::Stop(StopMode::Fast));
        let fact = Fact::Ordered { member: leader, order, accepted: false };
        world.facts.push(fact.clone());
        world.facts.push(fact);
        breaks(&mut world, "shutdowns_are_called_off");
    }
}
