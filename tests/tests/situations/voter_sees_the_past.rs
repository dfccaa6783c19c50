//! A voter's watch lags: what it shows after the vote is older than the vote. The voter stays frozen until it has seen a record that is newer
//! than the one it voted against (protocol rule 28: a lagging watch once freed a voter whose vote still counted).

use std::time::Duration;

use odoo_ha_core::member::{ClusterId, MemberId};
use odoo_ha_core::policy::SyncMode;
use odoo_ha_core::records::{VoteRecord, decode};
use odoo_ha_core::store::Key;
use odoo_ha_tests::sim::World;

use super::{heals, millis, seconds, whole};

/// The member's vote names the leader record as it stands: whoever counts votes now counts this one.
fn is_bound(world: &World, name: &MemberId) -> bool {
    let snapshot = world.store.snapshot();
    let cluster = ClusterId::new("world").expect("a good name");
    let key = Key::vote(name);
    let vote = snapshot.entries.get(&key).and_then(|entry| decode::<VoteRecord>(&cluster, &key, &entry.value).ok());
    let leader = world.store.leader_record().map(|record| record.mark);
    vote.and_then(|vote| vote.against).is_some_and(|against| Some(against.mark) == leader)
}

#[test]
fn it_stays_frozen() {
    for seed in 0..20 {
        let (mut world, leader, others) = whole(3, SyncMode::Synchronous, seed);
        // The leader lives, without the store: whoever thaws receives from it again.
        world.node_mut(&leader).cut_from_store = true;
        for (index, other) in others.iter().enumerate() {
            let until = world.now + millis(4000 + seed * 150 + 400 * index as u64);
            world.node_mut(other).watch_stalled_until = until;
        }
        let mut bound = 0;
        for _ in 0..3000 {
            world.run(Duration::from_millis(5));
            for name in others.iter().filter(|name| is_bound(&world, name)) {
                bound += 1;
                assert!(
                    !world.node(name).database.streaming,
                    "seed {seed}: {name} voted and receives\n{}",
                    world.story()
                );
            }
        }
        assert!(bound > 0, "seed {seed}: nobody voted\n{}", world.story());
        world.run(seconds(3));
        world.node_mut(&leader).cut_from_store = false;
        heals(&mut world);
    }
}
