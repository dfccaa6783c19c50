//! The winner's database dies between the election and its promotion.

use odoo_ha_core::machine::StateName;
use odoo_ha_core::policy::SyncMode;

use super::{heals, seconds, whole};

#[test]
fn it_is_started_again_and_promoted() {
    let (mut world, leader, others) = whole(2, SyncMode::Synchronous, 1);
    world.kill_agent(&leader);
    world.kill_database(&leader);
    let next = others[0].clone();
    world.run_until("elected", seconds(30), |world| world.state(&next) == Some(StateName::Promoting));
    world.kill_database(&next);
    world.run_until("it serves", seconds(5), |world| world.leader().as_ref() == Some(&next));
    world.start_agent(&leader);
    heals(&mut world);
}
