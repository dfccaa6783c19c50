//! Everything dies at once and comes back in any order: the sync record decides who may lead (protocol rule 39).

use odoo_ha_core::policy::SyncMode;

use super::{heals, seconds, whole};

#[test]
fn who_comes_first_does_not_matter() {
    for seed in 0..20 {
        for mode in [SyncMode::Synchronous, SyncMode::Strict] {
            let (mut world, _, _) = whole(2, mode, seed);
            let names: Vec<_> = world.nodes.keys().cloned().collect();
            for name in &names {
                world.kill_agent(name);
                world.kill_database(name);
            }
            world.run(seconds(seed % 8));
            let first = names[(seed % 2) as usize].clone();
            world.start_agent(&first);
            world.run(seconds(7));
            for name in names.iter().filter(|name| **name != first) {
                world.start_agent(name);
            }
            heals(&mut world);
        }
    }
}

#[test]
fn a_standby_that_lacks_commits_waits_for_the_leader_and_says_so() {
    let (mut world, leader, others) = whole(2, SyncMode::Synchronous, 4);
    world.kill_agent(&others[0]);
    world.kill_database(&others[0]);
    world.run(seconds(10));
    world.kill_agent(&leader);
    world.kill_database(&leader);
    world.start_agent(&others[0]);
    world.run(seconds(20));
    assert_eq!(world.leader(), None, "{}", world.story());
    let status = world.node(&others[0]).machine.as_ref().expect("it lives").status();
    assert!(status.refusal.expect("it says why").contains("only"), "{}", world.story());
    world.start_agent(&leader);
    heals(&mut world);
}
