//! Users write to the files of one member, and the services run on one member (design rule 1; protocol rules 35 and 42).
//!
//! Both are taken to end with the agent that started them: what outlives it (units of systemd that are not bound to it) is not shown here.
//! Neither is anything said while clock rates differ by more than the margin, or agents are frozen without a watchdog.

use odoo_ha_core::member::MemberId;

use super::super::{FilesRole, Node, World};
use super::Invariant;

/// At most one of each.
pub(super) struct FilesAndServicesOnce;

fn two<'a>(world: &'a World, active: impl Fn(&Node) -> bool) -> Option<(&'a MemberId, &'a MemberId)> {
    // A frozen agent without a watchdog cannot take anything down, and nobody does it in its place.
    let judged = |node: &Node| !node.frozen || node.config.watchdog.is_some();
    let mut names = world.nodes.iter().filter(|(_, node)| active(node) && judged(node)).map(|(name, _)| name);
    Some((names.next()?, names.next()?))
}

impl Invariant for FilesAndServicesOnce {
    fn name(&self) -> &'static str {
        "files_and_services_once"
    }

    fn look(&mut self, world: &World) -> Option<String> {
        if !world.clocks_honest() {
            return None;
        }
        if let Some((one, other)) = two(world, |node| node.services.running.is_some()) {
            return Some(format!("services run on {one} and {other}"));
        }
        let (one, other) = two(world, |node| matches!(node.filestore.role, FilesRole::Lead(_)))?;
        Some(format!("users write to the files on {one} and {other}"))
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
