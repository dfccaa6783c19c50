//! What is going to happen in one world, all of it drawn from the seed before the world begins.
//!
//! Each step has dice of its own, so that leaving one out changes nothing that is drawn for the others: whom it hits is decided when it
//! happens. That is what makes a plan that broke something easy to shorten.

use std::time::Duration;

use odoo_ha_core::policy::{SyncMode, Timing};

use super::operator::draw_timing;
use super::{Clocks, Dice, FaultKind, Profile, WishKind};

/// What is done in a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    /// Something breaks.
    Fault(FaultKind),
    /// An operator wishes something.
    Wish(WishKind),
    /// One member is mended.
    Mend,
    /// Everything is mended.
    Heal,
    /// Everything is mended, and nothing more happens until the cluster is whole.
    Peace,
}

/// One step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// Its place in the whole plan, from 1.
    pub number: usize,
    /// What is done.
    pub deed: Deed,
    /// What is drawn for it.
    pub dice: u64,
    /// How long the world goes on before the next.
    pub wait: Duration,
}

/// What is going to happen in one world.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Whence everything follows.
    pub seed: u64,
    /// By which weights.
    pub profile: &'static Profile,
    /// So many members begin.
    pub nodes: usize,
    /// How they protect commits.
    pub mode: SyncMode,
    /// Their times.
    pub timing: Timing,
    /// By how many millionths each clock is fast.
    pub clocks: Vec<i64>,
    /// Somebody writes to every primary, not only through the address.
    pub direct_writers: bool,
    /// The seed of the world itself: how long what takes.
    pub world: u64,
    /// The seed of what is out of the ordinary in it.
    pub oddities: u64,
    /// One after the other.
    pub steps: Vec<Step>,
}

/// How far a clock is off within the margin, in millionths: two of them differ by less than the margin of a fiftieth.
const WITHIN: u64 = 9_950;

/// How far it is off beyond the margin.
const BEYOND: u64 = 333_000;

/// Longest time after a deed, in thousandths of the ttl.
const AFTER_A_DEED: u64 = 800;

impl Plan {
    /// The plan that follows from a seed; with another number of members, if one is given.
    pub fn new(seed: u64, profile: &'static Profile, nodes: Option<usize>) -> Self {
        let mut dice = Dice::new(seed ^ name_number(profile.name));
        let drawn = dice.between(profile.nodes.0 as u64, profile.nodes.1 as u64);
        let nodes = nodes.unwrap_or(usize::try_from(drawn).unwrap_or(profile.nodes.0));
        let mode = dice.weighted(profile.modes).unwrap_or_default();
        let timing = draw_timing(&mut dice, profile.ttl.0, profile.ttl.1);
        let off = match profile.clocks {
            Clocks::Beyond => BEYOND,
            Clocks::Within if dice.one_in(2) => WITHIN,
            Clocks::Within => 0,
        };
        let mut clock_dice = Dice::new(dice.roll());
        let clocks = (0..nodes).map(|_| clock_dice.below(2 * off + 1).cast_signed() - off.cast_signed()).collect();
        let direct_writers = dice.one_in(2);
        let world = dice.roll();
        let steps = steps(profile, timing.ttl, &mut dice);
        let oddities = dice.roll();
        Self { seed, profile, nodes, mode, timing, clocks, direct_writers, world, oddities, steps }
    }
}

fn steps(profile: &Profile, ttl: Duration, dice: &mut Dice) -> Vec<Step> {
    let ttl = u64::try_from(ttl.as_millis()).unwrap_or_default();
    let mut steps: Vec<Step> = Vec::new();
    let mut push = |deed, dice: &mut Dice, longest: u64| {
        let wait = Duration::from_millis(dice.below(longest * ttl / 1000 + 1));
        steps.push(Step { number: steps.len() + 1, deed, dice: dice.roll(), wait });
    };
    for round in 1..=profile.rounds {
        for _ in 0..dice.between(1, profile.deeds) {
            let wish = dice.below(100) < profile.wishes_percent;
            let wish = if wish { dice.weighted(profile.wishes).map(Deed::Wish) } else { None };
            let Some(deed) = wish.or_else(|| dice.weighted(profile.faults).map(Deed::Fault)) else { continue };
            push(deed, dice, AFTER_A_DEED);
        }
        if round == profile.rounds || dice.one_in(profile.peace_once_in) {
            push(Deed::Peace, dice, AFTER_A_DEED);
        } else {
            let deed = if dice.one_in(2) { Deed::Heal } else { Deed::Mend };
            push(deed, dice, profile.after_a_round);
        }
    }
    steps
}

/// So that two profiles have nothing in common under the same seed.
fn name_number(name: &str) -> u64 {
    name.bytes().fold(0, |number: u64, byte| number.wrapping_mul(0x0100_0000_01B3) ^ u64::from(byte)) << 20
}
