//! Nobody acts on a store that shows less than is written down beside its own data (protocol rule 6; design rule 5): the leader and sync
//! records of such a store are left alone until an operator says otherwise.
//!
//! A member that was started anew may have written down up to 16 renewals less than it saw; it is judged by what it wrote.

use super::super::{Fact, World};
use super::Invariant;

/// Who writes to a forgetful store knows no better.
pub(super) struct ForgetfulStoreIsRefused;

impl Invariant for ForgetfulStoreIsRefused {
    fn name(&self) -> &'static str {
        "forgetful_store_is_refused"
    }

    fn look(&mut self, world: &World) -> Option<String> {
        world.facts.iter().find_map(|fact| {
            let Fact::ForgetfulStoreWritten { member, remembered, shown } = fact else { return None };
            (remembered > shown)
                .then(|| format!("{member} remembers {remembered} and acted on a store that shows {shown}"))
        })
    }
}

#[cfg(test)]
mod tests {
    use odoo_ha_core::policy::SyncMode;
    use odoo_ha_core::term::Mark;

    use super::super::super::Fact;
    use super::super::doctored::{breaks, whole};

    #[test]
    fn a_forgetful_store_that_is_written_to_is_seen() {
        let (mut world, leader, _) = whole(SyncMode::Synchronous);
        let remembered = world.node(&leader).memo.mark;
        let fact = Fact::ForgetfulStoreWritten { member: leader, remembered, shown: Mark::default() };
        world.facts.push(fact);
        breaks(&mut world, "forgetful_store_is_refused");
    }
}
