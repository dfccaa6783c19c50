//! A machine's own invariants hold (design rule 13's limits, STYLE 9): it looks after every step and steps down; here it is a failure.

use super::super::{Deed, World};
use super::Invariant;

/// No machine says that one of its own rules did not hold.
pub(super) struct MachinesAreWhole;

impl Invariant for MachinesAreWhole {
    fn name(&self) -> &'static str {
        "machines_are_whole"
    }

    fn look(&mut self, world: &World) -> Option<String> {
        world.deeds.iter().find_map(|deed| match deed {
            Deed::MachineBroke { member, which } => Some(format!("{member}: {which}")),
            _ => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use odoo_ha_core::policy::SyncMode;

    use super::super::doctored::{breaks, whole};
    use super::Deed;

    #[test]
    fn what_a_machine_says_of_itself_is_heard() {
        let (mut world, leader, _) = whole(SyncMode::Synchronous);
        world.deeds.push(Deed::MachineBroke { member: leader, which: "a rule".into() });
        breaks(&mut world, "machines_are_whole");
    }
}
