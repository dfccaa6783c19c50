//! After a jump of its wall clock a leader believes for one renewal and what it takes to stop, unless a renewal that was sent since is confirmed
//! (protocol rule 36).
//!
//! A paused record has no end, jump or not; neither is one judged that ends a pause. What stopping takes goes by the times that were in force at the jump: those
//! of the last record, or those that were set since.

use std::collections::BTreeMap;
use std::time::Duration;

use odoo_ha_core::machine::Machine;
use odoo_ha_core::member::MemberId;
use odoo_ha_core::time::Moment;

use super::super::{Fact, World};
use super::Invariant;

/// An answer that has not come by then does not come any more.
const HEARD: Duration = Duration::from_secs(5);

/// What belief lasts for after a jump.
#[derive(Clone, Copy, Default)]
struct Kept {
    /// One renewal.
    interval: Duration,
    /// What it takes to stop.
    reserved: Duration,
}

impl Kept {
    fn by(machine: &Machine) -> Self {
        let timing = machine.config().timing;
        Self { interval: timing.renew_interval, reserved: timing.stop_budget + timing.clock_margin }
    }

    fn or_longer(self, other: Self) -> Self {
        Self { interval: self.interval.max(other.interval), reserved: self.reserved.max(other.reserved) }
    }
}

/// When the clock of each member jumped, and until when it may believe since.
#[derive(Default)]
pub(super) struct JumpsShortenBelief {
    jumped: BTreeMap<MemberId, (Duration, Moment)>,
    /// What stopping takes by the times of each member's records: of the last one, and of those before whose successor it may not have heard of.
    in_force: BTreeMap<MemberId, Vec<(Duration, Kept)>>,
    /// What stopping takes at most by times with this `ttl`.
    by_ttl: BTreeMap<Duration, Kept>,
    /// When a pause was last begun or ended.
    paused: Option<Duration>,
}

impl Invariant for JumpsShortenBelief {
    fn name(&self) -> &'static str {
        "jumps_shorten_belief"
    }

    fn look(&mut self, world: &World) -> Option<String> {
        for machine in world.nodes.values().filter_map(|node| node.machine.as_ref()) {
            let most = self.by_ttl.entry(machine.config().timing.ttl).or_default();
            *most = most.or_longer(Kept::by(machine));
        }
        for fact in &world.facts {
            match fact {
                Fact::ClockJumped { member, at } => {
                    let Some(machine) = world.nodes.get(member).and_then(|node| node.machine.as_ref()) else {
                        continue;
                    };
                    let paused = world.records.leader.as_ref().is_some_and(|record| record.paused);
                    if paused || self.paused.is_some_and(|paused| world.now - paused < HEARD) {
                        continue;
                    }
                    let in_force = self.in_force.get(member).into_iter().flatten().map(|(_, kept)| *kept);
                    let kept = in_force.fold(Kept::by(machine), Kept::or_longer);
                    self.jumped
                        .insert(member.clone(), (*at, world.moment_of(member, *at) + kept.interval + kept.reserved));
                }
                Fact::LeaderWritten { before } => {
                    let holder = world.records.leader.as_ref().and_then(|record| record.holder.as_ref());
                    let Some(holder) = holder else { continue };
                    let pauses = before
                        .as_ref()
                        .zip(world.records.leader.as_ref())
                        .is_none_or(|(before, now)| before.paused != now.paused);
                    if pauses {
                        self.paused = Some(world.now);
                    }
                    let ttl = world.records.leader.as_ref().map(odoo_ha_core::records::LeaderRecord::ttl);
                    if let Some(kept) = ttl.and_then(|ttl| self.by_ttl.get(&ttl)) {
                        let in_force = self.in_force.entry(holder.clone()).or_default();
                        // Each is in force until the answer to the next one comes.
                        let unheard = in_force.iter().rposition(|(at, _)| world.now - *at > HEARD).unwrap_or(0);
                        in_force.drain(..unheard);
                        in_force.push((world.now, *kept));
                    }
                    let after =
                        |(at, _): &(Duration, Moment)| pauses || world.leader_sent_at().is_none_or(|sent| sent >= *at);
                    if self.jumped.get(holder).is_some_and(after) {
                        self.jumped.remove(holder);
                    }
                }
                _ => {}
            }
        }
        self.jumped.iter().find_map(|(name, (_, ends))| {
            let until = world.nodes.get(name)?.machine.as_ref().and_then(Machine::leads_until)?;
            (until > *ends && until != Moment::MAX)
                .then(|| format!("the clock of {name} jumped, and it believes until {until} without a renewal since"))
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use odoo_ha_core::policy::SyncMode;

    use super::super::super::Fact;
    use super::super::doctored::{breaks, whole};

    #[test]
    fn a_belief_that_a_jump_did_not_shorten_is_seen() {
        let (mut world, leader, _) = whole(SyncMode::Synchronous);
        world.run(Duration::from_secs(10));
        world.node_mut(&leader).cut_from_store = true;
        let at = world.now;
        world.facts.push(Fact::ClockJumped { member: leader, at });
        breaks(&mut world, "jumps_shorten_belief");
    }
}
