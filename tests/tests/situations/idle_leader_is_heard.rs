//! Nothing happens but renewals: each changes the bytes of the leader record. A store may keep the version of what is rewritten with equal
//! bytes (Consul does), and a healthy leader would look silent (protocol rule 2).

use odoo_ha_core::policy::SyncMode;
use odoo_ha_core::store::Key;

use super::{heals, millis, whole};

#[test]
fn every_renewal_differs_from_the_one_before() {
    for seed in 0..5 {
        let (mut world, leader, _) = whole(2, SyncMode::Synchronous, seed);
        world.writing = false;
        let mut values = Vec::new();
        let mut version = None;
        for _ in 0..2000 {
            world.run(millis(5));
            let entry = world.store.snapshot().entries.get(&Key::leader()).cloned().expect("it is never deleted");
            if version.replace(entry.version) != Some(entry.version) {
                values.push(entry.value);
            }
        }
        let written = values.len();
        values.dedup();
        assert!(written >= 10 && values.len() == written, "{} of {written} differ", values.len());
        assert_eq!(world.leader(), Some(leader), "{}", world.story());
        world.writing = true;
        heals(&mut world);
    }
}
