//! In strict mode a leader never acknowledges alone (design rule 3; protocol rule 19).

use std::time::Duration;

use odoo_ha_core::database::SynchronousStandbys;

use super::super::{Fact, World};
use super::Invariant;

/// After the record says strict, the database is told so within this: the record is written first, and a database that hangs or an agent that is
/// started anew takes a few tries.
const SOON: Duration = Duration::from_secs(15);

/// Since when the record says strict.
#[derive(Default)]
pub(super) struct StrictIsNeverAlone {
    since: Option<Duration>,
}

impl Invariant for StrictIsNeverAlone {
    fn name(&self) -> &'static str {
        "strict_is_never_alone"
    }

    fn look(&mut self, world: &World) -> Option<String> {
        let Some(record) = world.records.sync.as_ref().filter(|record| record.strict) else {
            self.since = None;
            return None;
        };
        let since = *self.since.get_or_insert(world.now);
        if world.now - since <= SOON {
            return None;
        }
        world.facts.iter().find_map(|fact| {
            let Fact::Acknowledged { on, id, .. } = fact else { return None };
            let alone = world.nodes.get(on)?.database.synchronous == SynchronousStandbys::Nobody;
            (alone && *on == record.leader).then(|| format!("{on} acknowledges {id} alone"))
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use odoo_ha_core::database::SynchronousStandbys;
    use odoo_ha_core::policy::SyncMode;

    use super::super::doctored::whole;

    #[test]
    fn a_database_that_waits_for_nobody_is_seen() {
        let (mut world, leader, _) = whole(SyncMode::Strict);
        world.run(Duration::from_secs(16));
        world.assert_sound();
        world.node_mut(&leader).database.synchronous = SynchronousStandbys::Nobody;
        world.run(Duration::from_millis(10));
        assert!(world.violations.iter().any(|violation| violation.invariant == "strict_is_never_alone"));
    }
}
