//! Nobody freezes its database on a suspicion that the store has not confirmed since: between suspecting and freezing a read was answered (protocol
//! rule 25).

use std::collections::BTreeMap;
use std::time::Duration;

use odoo_ha_core::member::MemberId;

use super::super::{Fact, World};
use super::Invariant;

/// When each member last suspected, and last heard from the store.
#[derive(Default)]
pub(super) struct FreezesAreConfirmed {
    suspected: BTreeMap<MemberId, Duration>,
    heard: BTreeMap<MemberId, Duration>,
}

impl Invariant for FreezesAreConfirmed {
    fn name(&self) -> &'static str {
        "freezes_are_confirmed"
    }

    fn look(&mut self, world: &World) -> Option<String> {
        world.facts.iter().find_map(|fact| match fact {
            Fact::ReadAnswered { member } => {
                self.heard.insert(member.clone(), world.now);
                None
            }
            Fact::StateChanged { member, to, .. } if to == "suspecting" => {
                self.suspected.insert(member.clone(), world.now);
                None
            }
            Fact::StateChanged { member, to, cause } if to == "freezing" && cause == "StillSilent" => {
                let suspected = self.suspected.get(member)?;
                let confirmed = self.heard.get(member).is_some_and(|heard| heard > suspected);
                (!confirmed).then(|| format!("{member} freezes, and heard nothing from the store since it suspects"))
            }
            _ => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use odoo_ha_core::policy::SyncMode;

    use super::super::super::Fact;
    use super::super::doctored::{breaks, whole};

    #[test]
    fn a_freeze_without_a_look_is_seen() {
        let (mut world, _, others) = whole(SyncMode::Synchronous);
        for (to, cause) in [("suspecting", "LeaderSilent"), ("freezing", "StillSilent")] {
            let (to, cause) = (to.to_owned(), cause.to_owned());
            world.facts.push(Fact::StateChanged { member: others[0].clone(), to, cause });
        }
        breaks(&mut world, "freezes_are_confirmed");
    }
}
