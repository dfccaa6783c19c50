//! The most advanced voter votes and then vanishes: the others elect their own best (protocol rule 13).

use odoo_ha_core::machine::StateName;
use odoo_ha_core::policy::SyncMode;

use super::{heals, seconds, whole};

#[test]
fn the_rest_elect_their_own() {
    for seed in 0..20 {
        let (mut world, old, others) = whole(3, SyncMode::Synchronous, seed);
        world.kill_agent(&old);
        world.kill_database(&old);
        world.run_until("a vote", seconds(8), |world| {
            others.iter().any(|name| world.state(name) == Some(StateName::Voting))
        });
        let voter = others.iter().find(|name| world.state(name) == Some(StateName::Voting)).cloned();
        let voter = voter.expect("one has voted");
        world.kill_agent(&voter);
        world.kill_database(&voter);
        world.run_until("the other leads", seconds(12), |world| {
            world.leader().is_some_and(|leader| leader != voter && leader != old)
        });
        world.start_agent(&voter);
        world.start_agent(&old);
        heals(&mut world);
    }
}
