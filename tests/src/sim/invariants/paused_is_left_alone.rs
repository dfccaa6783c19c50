//! Leadership that was written under pause is taken only by force (protocol rule 5).

use super::super::{Fact, World};
use super::Invariant;

/// Nobody takes over from a paused record but by the commit that says that it was asked to.
#[derive(Default)]
pub(super) struct PausedIsLeftAlone;

impl Invariant for PausedIsLeftAlone {
    fn name(&self) -> &'static str {
        "paused_is_left_alone"
    }

    fn look(&mut self, world: &World) -> Option<String> {
        world.facts.iter().find_map(|fact| {
            let Fact::LeaderWritten { before: Some(before) } = fact else { return None };
            let (winner, _) = world.records.taken_over(Some(before))?;
            (before.paused && !world.records.taken_by_force())
                .then(|| format!("{winner} took over from {}, which was written under pause", before.mark))
        })
    }
}

#[cfg(test)]
mod tests {
    use odoo_ha_core::policy::SyncMode;
    use odoo_ha_core::records::{LeaderRecord, Origin};

    use super::super::super::Fact;
    use super::super::doctored::{breaks_among_others, whole};

    #[test]
    fn a_takeover_of_a_paused_cluster_is_seen() {
        let (mut world, _, others) = whole(SyncMode::Synchronous);
        let now = world.records.leader.clone().expect("there is a leader");
        let before = LeaderRecord { paused: true, ..now.clone() };
        let mut taken = LeaderRecord { origin: Origin::Takeover, holder: Some(others[0].clone()), ..now };
        taken.mark.term = taken.mark.term.next();
        world.records.leader = Some(taken);
        world.facts.push(Fact::LeaderWritten { before: Some(before) });
        breaks_among_others(&mut world, "paused_is_left_alone");
    }
}
