//! A machine's own invariants hold (design rule 13's limits, STYLE 9): it looks after every step and steps down; here it is a failure.

use super::super::{Fact, World};
use super::Invariant;

/// No machine says that one of its own rules did not hold.
pub(super) struct MachinesAreWhole;

impl Invariant for MachinesAreWhole {
    fn name(&self) -> &'static str {
        "machines_are_whole"
    }

    fn look(&mut self, world: &World) -> Option<String> {
        world.facts.iter().find_map(|fact| match fact {
            Fact::MachineBroke { member, which } => Some(format!("{member}: {which}")),
            _ => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use odoo_ha_core::policy::SyncMode;

    use super::super::doctored::{breaks, whole};
    use super::Fact;

    #[test]
    fn what_a_machine_says_of_itself_is_heard() {
        let (mut world, leader, _) = whole(SyncMode::Synchronous);
        world.facts.push(Fact::MachineBroke { member: leader, which: "a rule".into() });
        breaks(&mut world, "machines_are_whole");
    }
}
