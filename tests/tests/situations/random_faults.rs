//! Whatever happens, in whatever order: faults by chance, then peace, then everything must be well.
//!
//! What happens is drawn and done as `simulate` does it (`tests/src/sim/plan.rs`, `profile.rs`); the seeds are the same.

use odoo_ha_core::policy::SyncMode;
use odoo_ha_tests::sim::{Plan, Profile, run};

/// The seeds of a run: some, or as many as `ODOO_HA_SEEDS` asks for, from `ODOO_HA_FIRST_SEED` on.
fn seeds(usual: u64) -> std::ops::Range<u64> {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let first = number("ODOO_HA_FIRST_SEED").unwrap_or(0);
    first..first + number("ODOO_HA_SEEDS").unwrap_or(usual)
}

fn walk(profile: &str, members: Option<usize>, mode: Option<SyncMode>, usual: u64) {
    let profile = Profile::named(profile).expect("a profile that is");
    for seed in seeds(usual) {
        let mut plan = Plan::new(seed, profile, members);
        plan.mode = mode.unwrap_or(plan.mode);
        if let Some(broken) = run(&plan, true).broken {
            panic!(
                "seed {seed}, step {}: {} is broken: {}\n{}",
                broken.step, broken.invariant, broken.what, broken.timeline
            );
        }
    }
}

#[test]
fn two_members_synchronous() {
    walk("usual", Some(2), Some(SyncMode::Synchronous), 6);
}

#[test]
fn three_members_synchronous() {
    walk("usual", Some(3), Some(SyncMode::Synchronous), 6);
}

#[test]
fn three_members_strict() {
    walk("strict", Some(3), None, 4);
}

#[test]
fn three_members_asynchronous() {
    walk("asynchronous", Some(3), None, 6);
}

#[test]
fn everything_at_once() {
    walk("harsh", None, None, 3);
}
