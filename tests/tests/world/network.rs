//! Links between nodes.

use odoo_ha_core::policy::SyncMode;

use super::{heals, millis, seconds, whole};

#[test]
fn log_takes_as_long_as_the_link_says_and_so_do_answers() {
    let (mut world, leader, others) = whole(2, SyncMode::Synchronous, 1);
    world.network.usual.delay = millis(100);
    world.run(seconds(2));
    world.measure();
    let before = world.acknowledged.len();
    world.run(seconds(10));
    // Four commits wait at most, for one way there and one back.
    let commits = world.acknowledged.len() - before;
    assert!((100..=210).contains(&commits), "{commits}");
    let (ahead, told) =
        (world.node(&others[0]).database.flushed, world.standbys_of(&leader)[&others[0]].flushed.0 as usize);
    assert!(told <= ahead && world.node(&leader).database.flushed >= ahead);
    heals(&mut world);
}

#[test]
fn what_the_primary_was_not_told_is_not_acknowledged() {
    let (mut world, leader, others) = whole(2, SyncMode::Synchronous, 2);
    world.network.notice = seconds(10);
    world.run(seconds(1));
    world.cut_link(&others[0], &leader);
    world.run(millis(100));
    let before = world.acknowledged.len();
    let told = world.standbys_of(&leader)[&others[0]].flushed.0 as usize;
    assert!(world.node(&others[0]).database.flushed > told, "it has log that the primary does not know of");
    world.run(millis(500));
    assert_eq!(world.acknowledged.len(), before);
    assert!(world.node(&others[0]).database.streaming, "nobody has noticed yet");
    heals(&mut world);
}

#[test]
fn a_cut_is_noticed_after_the_silence_that_is_allowed() {
    let (mut world, leader, others) = whole(2, SyncMode::Asynchronous, 3);
    world.network.notice = seconds(3);
    world.run(seconds(1));
    world.cut_link(&leader, &others[0]);
    world.run(millis(2900));
    assert!(world.node(&others[0]).database.streaming);
    world.run(millis(200));
    assert!(!world.node(&others[0]).database.streaming);
    heals(&mut world);
}

#[test]
fn lost_messages_arrive_later_and_in_order() {
    let (mut world, _, _) = whole(3, SyncMode::Synchronous, 4);
    world.network.usual.loss = 300;
    let before = world.acknowledged.len();
    world.run(seconds(10));
    assert!(world.acknowledged.len() > before + 50, "{}", world.acknowledged.len() - before);
    heals(&mut world);
}

#[test]
fn a_partition_separates_both_ways() {
    let (mut world, leader, others) = whole(3, SyncMode::Synchronous, 5);
    world.partition(std::slice::from_ref(&leader));
    for other in &others {
        assert!(!world.reaches(&leader, other) && !world.reaches(other, &leader));
    }
    assert!(world.talk(&others[0], &others[1]));
    world.run(seconds(20));
    heals(&mut world);
}
