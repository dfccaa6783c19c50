//! Users write to the files of one member, and the services run on one member (design rule 1; protocol rules 35 and 42).
//!
//! Both are taken to end with the agent that started them: what outlives it (units of systemd that are not bound to it) is not shown here.
//! Neither is anything said while clock rates differ by more than the margin, or agents are frozen without a watchdog.

use std::collections::BTreeMap;

use odoo_ha_core::machine::Order;
use odoo_ha_core::member::MemberId;

use super::super::{Fact, World};
use super::Invariant;

/// Who was told to, and in which life of its agent.
#[derive(Default)]
pub(super) struct FilesAndServicesOnce {
    services: BTreeMap<MemberId, u64>,
    files: BTreeMap<MemberId, u64>,
}

impl FilesAndServicesOnce {
    fn ordered(&mut self, member: &MemberId, order: &Order, life: u64) {
        match order {
            Order::StartServices { .. } => {
                self.services.insert(member.clone(), life);
            }
            Order::StopServices => {
                self.services.remove(member);
            }
            Order::LeadFilestore { .. } => {
                self.files.insert(member.clone(), life);
            }
            Order::FollowFilestore { .. } | Order::RestFilestore => {
                self.files.remove(member);
            }
            _ => {}
        }
    }
}

fn two(world: &World, active: &mut BTreeMap<MemberId, u64>, what: &str) -> Option<String> {
    if active.len() < 2 {
        return None;
    }
    active.retain(|name, life| {
        world.nodes.get(name).is_some_and(|node| node.machine.is_some() && node.incarnation == *life)
    });
    let judged = active
        .keys()
        .filter(|name| world.nodes.get(*name).is_some_and(|node| !node.frozen || node.config.watchdog.is_some()));
    let names: Vec<&MemberId> = judged.collect();
    (names.len() > 1).then(|| format!("{what} on {names:?}"))
}

impl Invariant for FilesAndServicesOnce {
    fn name(&self) -> &'static str {
        "files_and_services_once"
    }

    fn look(&mut self, world: &World) -> Option<String> {
        if world.facts.is_empty() {
            return None;
        }
        for fact in &world.facts {
            if let Fact::Ordered { member, order, accepted: true } = fact
                && let Some(node) = world.nodes.get(member)
            {
                self.ordered(member, order, node.incarnation);
            }
        }
        two(world, &mut self.services, "services run")
            .or_else(|| two(world, &mut self.files, "users write to the files"))
    }
}

#[cfg(test)]
mod tests {
    use odoo_ha_core::machine::Order;
    use odoo_ha_core::member::MemberId;
    use odoo_ha_core::policy::SyncMode;
    use odoo_ha_core::term::Term;

    use super::super::super::Fact;
    use super::super::doctored::{breaks, whole};

    fn started(members: &[MemberId], order: &Order) -> Vec<Fact> {
        let of = |member: &MemberId| Fact::Ordered { member: member.clone(), order: order.clone(), accepted: true };
        members.iter().map(of).collect()
    }

    #[test]
    fn services_on_two_are_seen() {
        let (mut world, _, others) = whole(SyncMode::Synchronous);
        world.facts = started(&others, &Order::StartServices { term: Term(1) });
        breaks(&mut world, "files_and_services_once");
    }

    #[test]
    fn files_that_two_lead_are_seen() {
        let (mut world, _, others) = whole(SyncMode::Synchronous);
        world.facts = started(&others, &Order::LeadFilestore { term: Term(1) });
        breaks(&mut world, "files_and_services_once");
    }
}
