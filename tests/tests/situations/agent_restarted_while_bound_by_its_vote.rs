//! A member votes, its agent restarts, and the old leader comes back into sight: the vote still binds (protocol rule 28).

use odoo_ha_core::machine::StateName;
use odoo_ha_core::policy::SyncMode;

use super::{heals, seconds, whole};

#[test]
fn it_stays_frozen_until_it_has_seen_a_newer_record() {
    for seed in 0..20 {
        let (mut world, old, others) = whole(3, SyncMode::Synchronous, seed);
        // The leader goes silent; one voter cannot win while the other is away, for it is not the best or not enough.
        world.node_mut(&old).cut_from_store = true;
        let votes = |world: &odoo_ha_tests::sim::World, name: &odoo_ha_core::member::MemberId| {
            matches!(world.state(name), Some(StateName::Voting | StateName::TakingOver))
        };
        world.run_until("a vote", seconds(8), |world| others.iter().any(|name| votes(world, name)));
        let voter = others.iter().find(|name| votes(&world, name)).cloned().expect("one has voted");
        let term = world.node(&voter).database.term;
        world.kill_agent(&voter);
        world.start_agent(&voter);
        // Long enough to begin to follow whomever it would follow.
        for _ in 0..200 {
            world.run(super::millis(5));
            let node = world.node(&voter);
            let newer = node.machine.as_ref().is_some_and(|machine| machine.status().term > term);
            let thawed = node.database.upstream.is_some() || node.database.streaming;
            assert!(newer || !thawed, "it follows although its vote binds\n{}", world.story());
        }
        world.node_mut(&old).cut_from_store = false;
        heals(&mut world);
    }
}
