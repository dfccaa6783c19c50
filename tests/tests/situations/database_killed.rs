//! The leader's database dies while its node lives.

use std::time::Duration;

use odoo_ha_core::policy::SyncMode;
use odoo_ha_tests::world::World;

#[test]
fn a_synchronous_standby_takes_over_at_once() {
    for seed in 0..50 {
        let mut world = World::new(2, SyncMode::Synchronous, seed);
        world.run_until("a whole cluster", Duration::from_secs(20), World::whole);
        let old = world.leader().expect("it is whole");
        world.run(Duration::from_millis(300 + seed * 7));
        world.measure();
        world.kill_database(&old);
        world.run_until("another leads", Duration::from_secs(2), |world| {
            world.leader().is_some_and(|leader| leader != old)
        });
        world.run_until("whole again", Duration::from_secs(5), World::whole);
        assert!(world.longest_gap < Duration::from_secs(1), "seed {seed}: {:?}\n{}", world.longest_gap, world.story());
        assert_eq!(world.lost(), 0);
        world.assert_sound();
    }
}
