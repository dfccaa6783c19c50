//! After a jump of its wall clock a leader believes for one renewal and what it takes to stop, unless a renewal that was sent since is confirmed
//! (protocol rule 36).
//!
//! A paused record has no end, jump or not. A renewal that was under way at the jump and writes another `ttl`, or ends a pause, is excused: known and
//! open, see "Known and open" in `docs/testing.md`.

use std::collections::BTreeMap;
use std::time::Duration;

use odoo_ha_core::machine::Machine;
use odoo_ha_core::member::MemberId;
use odoo_ha_core::time::Moment;

use super::super::{Fact, World};
use super::Invariant;

/// An answer that has not come by then does not come any more.
const HEARD: Duration = Duration::from_secs(5);

/// When the clock of each member jumped, and until when it may believe since.
#[derive(Default)]
pub(super) struct JumpsShortenBelief {
    jumped: BTreeMap<MemberId, (Duration, Moment)>,
    /// When a record with other times was last written.
    changed: Option<Duration>,
}

impl Invariant for JumpsShortenBelief {
    fn name(&self) -> &'static str {
        "jumps_shorten_belief"
    }

    fn look(&mut self, world: &World) -> Option<String> {
        for fact in &world.facts {
            match fact {
                Fact::ClockJumped { member, at } => {
                    let Some(machine) = world.nodes.get(member).and_then(|node| node.machine.as_ref()) else {
                        continue;
                    };
                    let paused = world.records.leader.as_ref().is_some_and(|record| record.paused);
                    if paused || self.changed.is_some_and(|changed| world.now - changed < HEARD) {
                        continue;
                    }
                    let timing = machine.config().timing;
                    let kept = timing.renew_interval + timing.stop_budget + timing.clock_margin;
                    self.jumped.insert(member.clone(), (*at, world.moment_of(member, *at) + kept));
                }
                Fact::LeaderWritten { before } => {
                    let holder = world.records.leader.as_ref().and_then(|record| record.holder.as_ref());
                    let Some(holder) = holder else { continue };
                    let other_times = before
                        .as_ref()
                        .zip(world.records.leader.as_ref())
                        .is_none_or(|(before, now)| before.ttl_ms != now.ttl_ms || before.paused != now.paused);
                    if other_times {
                        self.changed = Some(world.now);
                    }
                    let after = |(at, _): &(Duration, Moment)| {
                        other_times || world.leader_sent_at().is_none_or(|sent| sent >= *at)
                    };
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
