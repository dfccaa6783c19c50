//! Once faults stop, the cluster heals within a bound: somebody serves, and every other member streams from there.

use std::time::Duration;

use odoo_ha_core::database::DatabaseState;
use odoo_ha_core::member::MemberId;

use super::World;

/// The violation's name.
pub(super) const HEALS: &str = "heals";

/// After the last fault everybody streams again within this, with a `ttl` of up to ten seconds: an old belief ends (10 s), a winner that
/// could not promote waits for its turn (30 s, the longest wait of a machine), an election and a promotion (5 s), a standby that gets nothing is decided
/// anew after one `ttl` (10 s), and follows (5 s).
pub const HEALS_WITHIN: Duration = Duration::from_secs(60);

impl World {
    /// Lets time pass until the cluster is whole; no faults may be left, and nobody may have paused it. Says how long it took; longer than the bound
    /// is a violation.
    pub fn heals_within(&mut self, bound: Duration) -> Option<Duration> {
        let began = self.now;
        if self.reach(bound, |world| world.whole() && world.all_stream()) {
            self.read_at_last();
            return Some(self.now - began);
        }
        let text = format!("not whole {bound:?} after the last fault: {}", self.what_is_amiss());
        self.violate(HEALS, text);
        None
    }

    /// All members but the leader stream from it.
    pub fn all_stream(&self) -> bool {
        let Some(leader) = self.leader() else { return false };
        self.nodes.iter().all(|(name, node)| node.gone || *name == leader || self.has_its_log_from(name, &leader))
    }

    /// When all is well every client reads once more: what was acknowledged is there.
    pub(super) fn read_at_last(&mut self) {
        if let Some(leader) = self.leader() {
            self.read_now(&leader);
        }
    }

    fn what_is_amiss(&self) -> String {
        let Some(leader) = self.leader() else { return "nobody serves".into() };
        let dry: Vec<&MemberId> = self
            .nodes
            .iter()
            .filter(|(name, node)| {
                **name != leader && !(node.database.state == DatabaseState::Standby && node.database.streaming)
            })
            .map(|(name, _)| name)
            .collect();
        format!("{leader} serves, {dry:?} do not stream, synchronous are {:?}", self.node(&leader).database.synchronous)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use odoo_ha_core::policy::SyncMode;

    use super::super::invariants::doctored::{breaks, whole};
    use super::{HEALS, HEALS_WITHIN};

    #[test]
    fn a_cluster_that_does_not_heal_is_seen() {
        let (mut world, _, others) = whole(SyncMode::Synchronous);
        world.node_mut(&others[0]).cut_from_peers = true;
        world.run(Duration::from_millis(10));
        assert_eq!(world.heals_within(Duration::from_secs(20)), None);
        breaks(&mut world, HEALS);
    }

    #[test]
    fn one_that_heals_says_how_long_it_took() {
        let (mut world, leader, _) = whole(SyncMode::Synchronous);
        world.kill_database(&leader);
        world.run(Duration::from_millis(10));
        let took = world.heals_within(HEALS_WITHIN);
        assert!(took.is_some_and(|took| took > Duration::ZERO), "{took:?}");
        world.assert_sound();
    }
}
