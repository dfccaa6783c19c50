//! No data directory is started, and nothing streams into it, after a rewind or a copy that did not end (design rule 9; PostgreSQL's
//! documentation of `pg_rewind`: a target that failed half-way is to be made anew).

use super::super::{Fact, World};
use super::Invariant;

/// Who runs has data that are whole.
pub(super) struct BrokenDataStayDown;

impl Invariant for BrokenDataStayDown {
    fn name(&self) -> &'static str {
        "broken_data_stay_down"
    }

    fn look(&mut self, world: &World) -> Option<String> {
        world.facts.iter().find_map(|fact| {
            let Fact::NodeChanged { member, .. } = fact else { return None };
            let database = &world.nodes.get(member)?.database;
            let started = database.broken.filter(|_| database.state.runs());
            started.map(|broken| format!("{member} runs as {:?} after a failed {broken:?}", database.state))
        })
    }
}

#[cfg(test)]
mod tests {
    use odoo_ha_core::database::DatabaseState;
    use odoo_ha_core::policy::SyncMode;

    use super::super::super::HalfWay;
    use super::super::doctored::{breaks, whole};

    #[test]
    fn a_start_after_a_failed_rewind_is_seen() {
        let (mut world, _, others) = whole(SyncMode::Synchronous);
        let database = &mut world.node_mut(&others[0]).database;
        database.state = DatabaseState::StoppedCleanly;
        database.streaming = false;
        database.broken = Some(HalfWay::Rewind);
        world.look();
        world.assert_sound();
        world.node_mut(&others[0]).database.state = DatabaseState::Standby;
        breaks(&mut world, "broken_data_stay_down");
    }
}
