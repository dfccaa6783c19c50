//! The database of a member dies after its vote, before it takes over: it is frozen anew, and elected when it still has what it voted with. (Found by
//! `simulate --profile harsh --first-seed 800137 --seeds 1`, when stores could forget in that profile.)

use odoo_ha_core::machine::StateName;
use odoo_ha_core::policy::SyncMode;

use super::{heals, millis, seconds, whole};

#[test]
fn it_is_frozen_anew_and_elected() {
    for seed in 0..20 {
        let (mut world, leader, others) = whole(2, SyncMode::Synchronous, seed);
        world.kill_agent(&leader);
        world.kill_database(&leader);
        let next = others[0].clone();
        world.run_until("it votes", seconds(20), |world| world.state(&next) == Some(StateName::Voting));
        // The look before the takeover fails, so there is time to die.
        world.node_mut(&next).reads_fail = true;
        world.kill_database(&next);
        world.run(millis(1500));
        world.node_mut(&next).reads_fail = false;
        world.run_until("it leads", seconds(10), |world| world.leader().as_ref() == Some(&next));
        world.start_agent(&leader);
        heals(&mut world);
    }
}
