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
        if self.clocks_differ {
            self.note_clocks();
        }
    }

    pub(super) fn watch_dogs(&mut self) {
        let names = self.take_names();
        for name in &names {
            self.watch_dog(name);
        }
        self.put_names(names);
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
        let node = self.node(name);
        let acts_before = node.config.watchdog.unwrap_or_default();
        if let Some((Some(deadline), fed_by)) = node.watchdog
            && node.asleep.is_none()
            && deadline <= self.moment(name).since_origin() + acts_before
        {
            self.node_mut(name).watchdog = None;
            if self.node(name).incarnation == fed_by {
                self.kill_agent(name);
            }
            self.stop_services_and_files(name);
            self.kill_database(name);
            if let Some(wait) = self.supervised {
                self.restarts.insert(name.clone(), self.now + wait);
            }
        }
    }
}
