//! The sync record becomes asynchronous only because an operator wished it (design rule 3; protocol rule 16: policy is what the leader strives
//! for, and nothing weakens the promise by itself).

use std::time::Duration;

use odoo_ha_core::policy::SyncMode;
use odoo_ha_core::records::ElectionRule;

use super::super::{Fact, World};
use super::Invariant;

/// A wish that was taken back may still be carried out for so long: an agent was frozen, or a write was late.
const LINGERS: Duration = Duration::from_secs(60);

/// When somebody was last told to be asynchronous.
#[derive(Default)]
pub(super) struct ModeIsWished {
    wished: Option<Duration>,
}

impl Invariant for ModeIsWished {
    fn name(&self) -> &'static str {
        "mode_is_wished"
    }

    fn look(&mut self, world: &World) -> Option<String> {
        let of_all =
            world.records.policy.as_ref().is_some_and(|record| record.policy.sync_mode == SyncMode::Asynchronous);
        if of_all || world.nodes.values().any(|node| node.config.policy.sync_mode == SyncMode::Asynchronous) {
            self.wished = Some(world.now);
        }
        let weakened = world.facts.iter().any(|fact| {
            matches!(fact, Fact::SyncWritten { before: Some(before) } if before.rule == ElectionRule::Synchronous)
                && world.records.sync.as_ref().is_some_and(|now| now.rule == ElectionRule::Asynchronous)
        });
        let wished = self.wished.is_some_and(|at| world.now - at <= LINGERS);
        (weakened && !wished).then(|| "the cluster became asynchronous, which nobody wished".into())
    }
}

#[cfg(test)]
mod tests {
    use odoo_ha_core::policy::SyncMode;
    use odoo_ha_core::records::{ElectionRule, encode};
    use odoo_ha_core::store::Key;

    use super::super::doctored::{breaks, whole};

    #[test]
    fn a_record_that_is_weakened_by_itself_is_seen() {
        let (mut world, _, _) = whole(SyncMode::Synchronous);
        let mut record = world.store.sync_record().expect("there is one");
        record.rule = ElectionRule::Asynchronous;
        record.names.clear();
        record.k = 0;
        record.mark.sequence += 1;
        world.put_raw(Key::sync(), encode(&record));
        breaks(&mut world, "mode_is_wished");
    }
}
