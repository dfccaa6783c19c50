//! Whatever happens, in whatever order: faults by chance, then peace, then everything must be well.

use std::time::Duration;

use odoo_ha_core::member::MemberId;
use odoo_ha_core::policy::SyncMode;
use odoo_ha_tests::world::{Answerless, World};

fn pick(world: &mut World) -> MemberId {
    let names: Vec<MemberId> = world.nodes.keys().cloned().collect();
    let index = world.chance(names.len() as u64) as usize;
    names[index].clone()
}

fn one_fault(world: &mut World) {
    let name = pick(world);
    let alive = world.node(&name).machine.is_some();
    match world.chance(11) {
        0 | 1 => world.kill_database(&name),
        2 => {
            world.kill_agent(&name);
            world.kill_database(&name);
        }
        3 => world.kill_agent(&name),
        4 => world.freeze_agent(&name),
        5 => world.node_mut(&name).cut_from_store = true,
        6 => world.node_mut(&name).cut_from_peers = true,
        7 if alive => world.switchover(&name, None),
        8 => {
            world.answerless.entry(name).or_default().push(Answerless::Done);
        }
        9 => {
            world.answerless.entry(name).or_default().push(Answerless::NotDone);
        }
        _ => {
            let late = 100 + world.chance(4000);
            world.answerless.entry(name).or_default().push(Answerless::Later(late));
        }
    }
}

fn heal(world: &mut World) {
    let names: Vec<MemberId> = world.nodes.keys().cloned().collect();
    for name in names {
        let node = world.node_mut(&name);
        node.cut_from_store = false;
        node.cut_from_peers = false;
        if node.machine.is_none() {
            world.start_agent(&name);
        } else if node.frozen {
            world.thaw_agent(&name);
        }
    }
    world.answerless.clear();
}

/// The seeds of a run: some, or as many as `ODOO_HA_SEEDS` asks for, from `ODOO_HA_FIRST_SEED` on.
fn seeds(usual: u64) -> std::ops::Range<u64> {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let first = number("ODOO_HA_FIRST_SEED").unwrap_or(0);
    first..first + number("ODOO_HA_SEEDS").unwrap_or(usual)
}

fn walk(members: usize, mode: SyncMode, seed: u64) {
    let mut world = World::new(members, mode, seed);
    world.supervised = Some(Duration::from_secs(1));
    world.run_until("a whole cluster", Duration::from_secs(30), World::whole);
    for _ in 0..6 {
        for _ in 0..=world.chance(3) {
            one_fault(&mut world);
            let wait = Duration::from_millis(world.chance(3000));
            world.run(wait);
        }
        if world.chance(2) == 0 {
            heal(&mut world);
        }
        let wait = Duration::from_millis(world.chance(12_000));
        world.run(wait);
        if !world.violations.is_empty() {
            break;
        }
    }
    heal(&mut world);
    world.assert_sound_of(seed);
    world.run_until(&format!("healed, seed {seed}"), Duration::from_secs(60), World::whole);
    if mode != SyncMode::Asynchronous {
        assert_eq!(world.lost(), 0, "seed {seed}");
    }
    world.assert_sound_of(seed);
}

#[test]
fn two_members_synchronous() {
    for seed in seeds(150) {
        walk(2, SyncMode::Synchronous, seed);
    }
}

#[test]
fn three_members_synchronous() {
    for seed in seeds(100) {
        walk(3, SyncMode::Synchronous, seed);
    }
}

#[test]
fn three_members_strict() {
    for seed in seeds(60) {
        walk(3, SyncMode::Strict, seed);
    }
}

#[test]
fn three_members_asynchronous() {
    for seed in seeds(100) {
        walk(3, SyncMode::Asynchronous, seed);
    }
}
