//! A member has voted, its data are wiped, its agent restarts: it receives nothing from the leader that it voted against, or commits would be
//! acknowledged on data that its vote does not count (protocol rules 28 and 30).

use odoo_ha_core::machine::StateName;
use odoo_ha_core::policy::SyncMode;
use odoo_ha_tests::sim::{Database, World, member};

use super::{millis, seconds, settled};

#[test]
fn it_does_not_follow_whom_it_voted_against() {
    for seed in 0..20 {
        let world = World::with(2, seed, |config| {
            config.policy.sync_mode = SyncMode::Synchronous;
            config.timing.renew_interval = millis(100);
            config.timing.suspicion = millis(400);
            if config.me == member("b") {
                config.bootstrap = odoo_ha_core::machine::Bootstrap::Never;
            }
        });
        let (mut world, old, others) = settled(world);
        let voter = others[0].clone();
        world.node_mut(&old).cut_from_store = true;
        world.node_mut(&voter).promotion_fails = true;
        world.run_until("a vote", seconds(9), |world| world.state(&voter) == Some(StateName::Voting));
        world.kill_agent(&voter);
        world.node_mut(&voter).database = Database::absent();
        world.start_agent(&voter);
        world.run(seconds(1));
        assert!(world.node(&old).database.state.runs(), "there is nobody to follow");
        assert_eq!(world.node(&voter).database.upstream, None, "seed {seed}\n{}", world.story());
        world.node_mut(&old).cut_from_store = false;
        world.node_mut(&voter).promotion_fails = false;
        super::heals(&mut world);
    }
}
