//! Users write to the files of one member, and the services run on one member (design rule 1; protocol rules 35 and 42).
//!
//! Limits, said so that they are not forgotten. Not judged until they have stopped, or have another role: services and files that fail, hang or are slow
//! when they are told to (nobody waits for them beyond the `ttl`). Nothing is said of a machine that stands still, while the rates of clocks differ by more than the
//! margin, and of a frozen or dead agent without a watchdog.

use odoo_ha_core::member::MemberId;

use super::super::{FilesRole, Node, World};
use super::Invariant;

/// At most one at a time.
pub(super) struct FilesAndServicesOnce;

fn two(world: &World, active: impl Fn(&Node) -> bool) -> Option<(&MemberId, &MemberId)> {
    let mut first = None;
    for (name, node) in &world.nodes {
        let unwatched = (node.frozen || node.machine.is_none()) && node.config.watchdog.is_none();
        // Nothing of a machine that stands still moves.
        if !active(node) || unwatched || node.asleep.is_some() {
            continue;
        }
        if let Some(first) = first {
            return Some((first, name));
        }
        first = Some(name);
    }
    None
}

impl Invariant for FilesAndServicesOnce {
    fn name(&self) -> &'static str {
        "files_and_services_once"
    }

    fn look(&mut self, world: &World) -> Option<String> {
        let services = two(world, |node| node.services.running.is_some() && !node.services.unstoppable);
        let files = two(world, |node| matches!(node.filestore.role, FilesRole::Lead(_)) && !node.filestore.stuck);
        let (what, (one, other)) =
            services.map(|both| ("services run", both)).or(files.map(|both| ("users write to the files", both)))?;
        world.clocks_honest().then(|| format!("{what} on {one} and {other}"))
    }
}

#[cfg(test)]
mod tests {
    use odoo_ha_core::policy::SyncMode;
    use odoo_ha_core::term::Term;

    use super::super::super::FilesRole;
    use super::super::doctored::{breaks, whole};

    #[test]
    fn services_on_two_are_seen() {
        let (mut world, _, others) = whole(SyncMode::Synchronous);
        for name in &others {
            world.node_mut(name).services.running = Some(Term(1));
        }
        breaks(&mut world, "files_and_services_once");
    }

    #[test]
    fn files_that_two_lead_are_seen() {
        let (mut world, _, others) = whole(SyncMode::Synchronous);
        for name in &others {
            world.node_mut(name).filestore.role = FilesRole::Lead(Term(1));
        }
        breaks(&mut world, "files_and_services_once");
    }
}
