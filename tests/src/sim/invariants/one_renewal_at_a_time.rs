//! A leader has at most one write to the leader record under way whose fate it cannot know (protocol rule 10): one that is guarded by the version that
//! stands, and whose answer it has not heard. What is guarded by an older version will not land any more.

use odoo_ha_core::store::Key;

use super::super::World;
use super::Invariant;

/// One renewal in flight.
pub(super) struct OneRenewalAtATime;

impl Invariant for OneRenewalAtATime {
    fn name(&self) -> &'static str {
        "one_renewal_at_a_time"
    }

    fn look(&mut self, world: &World) -> Option<String> {
        let mut nodes = world.nodes.iter().filter(|(_, node)| node.renewals.len() > 1 && node.machine.is_some());
        nodes.find_map(|(name, node)| {
            let stands = world.store.entries().get(&Key::leader())?.version;
            let open = node.renewals.values().filter(|version| **version == stands).count();
            (open > 1).then(|| format!("{name} has {open} renewals under way"))
        })
    }
}

#[cfg(test)]
mod tests {
    use odoo_ha_core::machine::CallId;
    use odoo_ha_core::policy::SyncMode;
    use odoo_ha_core::store::Key;

    use super::super::doctored::{breaks, whole};

    #[test]
    fn two_renewals_are_seen() {
        let (mut world, leader, _) = whole(SyncMode::Synchronous);
        let stands = world.store.entries().get(&Key::leader()).expect("there is a leader").version;
        world.node_mut(&leader).renewals = [(CallId(7001), stands), (CallId(7002), stands)].into();
        breaks(&mut world, "one_renewal_at_a_time");
    }
}
