//! The address is on one member at most, and only on one that leads safely: its belief has not ended and its database is primary (design rule 8;
//! protocol rules 14, 32, 34, 35 and 42).
//!
//! A frozen agent without a watchdog keeps it past its belief, and so does one that cannot take it down, which is said where watchdogs are configured. A database that dies takes the address
//! with it as soon as its agent hears of it.

use std::collections::BTreeMap;
use std::time::Duration;

use odoo_ha_core::database::DatabaseState;
use odoo_ha_core::machine::{Order, StateName};
use odoo_ha_core::member::MemberId;
use odoo_ha_core::time::Moment;

use super::super::{Fact, Node, World};
use super::Invariant;

/// An agent that runs takes the address down within this after its database has died or stopped: it looks at its database each second, and a
/// detach takes some milliseconds.
const NOTICED: Duration = Duration::from_millis(1500);

/// A belief that ends by its time has been prepared for. One that ends at once, because its holder sees that another leads, is followed by the address
/// within this; so is an attach that was called off and happens all the same.
const TAKEN_DOWN: Duration = Duration::from_millis(100);

/// A detach that failed is tried again after this.
const TRIED_AGAIN: Duration = Duration::from_millis(200);

/// Since when whoever has the address has no primary beside it, or no belief.
#[derive(Default)]
pub(super) struct AddressIsSafe {
    without: BTreeMap<MemberId, Duration>,
    /// With how slow its address has been since.
    unbelieved: BTreeMap<MemberId, (Duration, Duration)>,
}

/// An agent that has left is a process that is gone, and its address with it.
fn has_left(node: &Node) -> bool {
    node.machine.as_ref().is_some_and(|machine| machine.state() == StateName::Stopped)
}

impl AddressIsSafe {
    fn unbelieved_at(&mut self, world: &World, name: &MemberId, node: &Node, until: Option<Moment>) -> Option<String> {
        let (since, slow) = self.unbelieved.entry(name.clone()).or_insert((world.now, Duration::ZERO));
        *slow = node.slow_attach.max(*slow);
        let (since, slow) = (*since, *slow);
        let at_once = until.is_none_or(|until| until == Moment::ORIGIN);
        if node.detach_fails && node.config.watchdog.is_some() {
            // What cannot be taken down is tried again and again; and it goes with its agent, when the watchdog acts.
            self.unbelieved.insert(name.clone(), (world.now + TRIED_AGAIN, Duration::ZERO));
            return None;
        }
        // A late attach is slow as well, and so is what takes it down.
        if at_once && world.now.saturating_sub(since) <= TAKEN_DOWN + slow {
            return None;
        }
        (!has_left(node))
            .then(|| format!("the address is on {name}, which believes until {until:?}, frozen: {}", node.frozen))
    }

    fn unsafe_at(&mut self, world: &World, name: &MemberId, node: &Node, until: Option<Moment>) -> Option<String> {
        // Frozen in the moment in which its belief became shorter, it has not told its watchdog. That goes by the end that it knew, which is no later than
        // the record's: another invariant.
        let known = node.watchdog.filter(|_| node.frozen).and_then(|(deadline, _)| deadline).map(Moment::from_origin);
        let until = until.max(known);
        let believes = until.is_some_and(|until| until > node.clock.shows(world.now));
        let may_sleep = (node.frozen || node.detach_fails) && node.config.watchdog.is_none();
        if believes || may_sleep {
            self.unbelieved.remove(name);
        } else if let Some(text) = self.unbelieved_at(world, name, node, until) {
            return Some(text);
        }
        // An address that cannot be taken down stays for as long as that lasts; leadership is not released meanwhile.
        if node.database.state == DatabaseState::Primary || node.frozen || node.detach_fails {
            self.without.remove(name);
            return None;
        }
        let since = *self.without.entry(name.clone()).or_insert(world.now);
        let long = world.now - since > NOTICED && !has_left(node);
        long.then(|| format!("the address is on {name}, whose database is {:?}", node.database.state))
    }
}

impl Invariant for AddressIsSafe {
    fn name(&self) -> &'static str {
        "address_is_safe"
    }

    fn look(&mut self, world: &World) -> Option<String> {
        let mut first: Option<&MemberId> = None;
        for (name, node, until) in world.beliefs() {
            if !node.address {
                if !self.without.is_empty() || !self.unbelieved.is_empty() {
                    self.without.remove(name);
                    self.unbelieved.remove(name);
                }
                continue;
            }
            if let Some(first) = first {
                return Some(format!("the address is on {first} and on {name}"));
            }
            first = Some(name);
            if let Some(text) = self.unsafe_at(world, name, node, until) {
                return Some(text);
            }
        }
        world.facts.iter().find_map(|fact| {
            let Fact::Ordered { member, order: Order::AttachAddress { term }, accepted: true } = fact else {
                return None;
            };
            let database = &world.nodes.get(member)?.database;
            // One that has just died may be attached to: nobody knows yet.
            let serves = database.state != DatabaseState::Standby && database.term == *term;
            (!serves)
                .then(|| format!("{member} takes the address for term {term}, its database is {:?}", database.state))
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use odoo_ha_core::machine::Order;
    use odoo_ha_core::policy::SyncMode;
    use odoo_ha_core::term::Term;

    use super::super::super::Fact;
    use super::super::doctored::{breaks, breaks_among_others, whole};

    #[test]
    fn an_address_on_two_is_seen() {
        let (mut world, _, others) = whole(SyncMode::Synchronous);
        world.node_mut(&others[0]).address = true;
        breaks(&mut world, "address_is_safe");
    }

    #[test]
    fn an_address_on_one_that_does_not_lead_is_seen() {
        let (mut world, leader, others) = whole(SyncMode::Synchronous);
        world.node_mut(&leader).address = false;
        world.node_mut(&others[0]).address = true;
        world.run(Duration::from_millis(200));
        breaks(&mut world, "address_is_safe");
    }

    #[test]
    fn an_address_that_comes_before_the_promotion_is_seen() {
        let (mut world, _, others) = whole(SyncMode::Synchronous);
        let order = Order::AttachAddress { term: Term(1) };
        world.facts.push(Fact::Ordered { member: others[0].clone(), order, accepted: true });
        breaks_among_others(&mut world, "address_is_safe");
    }
}
