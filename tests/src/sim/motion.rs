//! What moves by itself: replication, the client, watchdogs.

use odoo_ha_core::member::MemberId;

use super::World;

impl World {
    /// What moves by itself: replication, the client, watchdogs.
    pub(super) fn tick(&mut self) {
        self.replicate();
        self.acknowledge();
        if self.writing {
            self.write();
        }
        self.watch_dogs();
        if self.backups.is_some() {
            self.back_up();
        }
        if self.clocks_differ {
            self.note_clocks();
        }
    }

    pub(super) fn watch_dogs(&mut self) {
        let unfed = self.nodes.iter().filter(|(_, node)| node.is_unfed(self.now));
        let unfed: Vec<MemberId> = unfed.map(|(name, _)| name.clone()).collect();
        for name in unfed {
            self.watch_dog(&name);
        }
        if self.restarts.is_empty() {
            return;
        }
        let awake = |name: &MemberId| self.node(name).asleep.is_none();
        let due = self.restarts.iter().filter(|(name, at)| **at <= self.now && awake(name));
        let due: Vec<MemberId> = due.map(|(name, _)| name.clone()).collect();
        for name in due {
            self.restarts.remove(&name);
            if self.node(&name).machine.is_none() {
                self.start_agent(&name);
            }
        }
    }

    /// A node's watchdog acts when nobody fed it in time.
    pub(super) fn watch_dog(&mut self, name: &MemberId) {
        let now = self.now;
        let node = self.node_mut(name);
        let Some((_, fed_by)) = node.watchdog.filter(|_| node.is_unfed(now)) else { return };
        node.watchdog = None;
        if node.incarnation == fed_by {
            self.kill_agent(name);
        }
        self.stop_services_and_files(name);
        self.kill_database(name);
        if let Some(wait) = self.supervised {
            self.restarts.insert(name.clone(), now + wait);
        }
    }
}
