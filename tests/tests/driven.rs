//! Whole clusters of the real driver, by virtual time: whatever goes wrong, nothing that must never be is seen, and the cluster is
//! whole again.

use odoo_ha_tests::sim::driven::{Options, Outcome, Profile, run};

/// The seeds of a run: some, or as many as `ODOO_HA_SEEDS` asks for, from `ODOO_HA_FIRST_SEED` on.
fn seeds(usual: u64) -> std::ops::Range<u64> {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let first = number("ODOO_HA_FIRST_SEED").unwrap_or(0);
    first..first + number("ODOO_HA_SEEDS").unwrap_or(usual)
}

fn assert_sound(outcome: &Outcome) {
    assert!(
        outcome.is_sound(),
        "seed {}: {:#?}\n{}\nonce more: ODOO_HA_FIRST_SEED={} ODOO_HA_SEEDS=1 cargo test -p odoo-ha-tests --test driven harsh",
        outcome.seed,
        outcome.violations,
        outcome.timeline.join("\n"),
        outcome.seed
    );
}

#[test]
fn a_calm_cluster_of_each_size() {
    for members in 1..=5 {
        let outcome =
            run(members, &Options { members: Some(members as usize), profile: Profile::Calm, ..Options::default() });
        assert_sound(&outcome);
        assert_eq!(outcome.failovers, 0);
    }
}

#[test]
fn harsh() {
    let began = std::time::Instant::now();
    let (mut failovers, mut calls, mut writes, mut simulated) = (0, 0, 0, std::time::Duration::ZERO);
    for seed in seeds(40) {
        let outcome = run(seed, &Options::default());
        assert_sound(&outcome);
        failovers += outcome.failovers;
        calls += outcome.calls;
        writes += outcome.acknowledged;
        simulated += outcome.simulated;
    }
    println!(
        "{failovers} failovers, {calls} calls, {writes} writes in {simulated:?}, simulated in {:?}",
        began.elapsed()
    );
    assert!(failovers > 0, "nothing happened");
}

#[test]
fn the_same_seed_is_the_same_run() {
    for seed in [3, 7, 11] {
        let (one, other) = (run(seed, &Options::default()), run(seed, &Options::default()));
        assert_eq!(one.timeline, other.timeline);
        assert_eq!(one.digest, other.digest);
        assert_ne!(one.digest, run(seed + 1, &Options::default()).digest);
    }
}
