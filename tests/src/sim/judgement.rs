//! What is lost, and the story for a person.

use std::fmt::Write as _;

use super::World;

impl World {
    /// How many acknowledged writes the leader lacks.
    pub fn lost(&self) -> usize {
        let Some(leader) = self.leader() else { return self.acknowledged.len() };
        self.acknowledged.without_log(&self.node(&leader).database.log).len()
    }

    /// Fails the test when something was that must never be.
    pub fn assert_sound(&self) {
        assert!(
            self.violations.is_empty(),
            "{}\n{}",
            self.violations.iter().take(5).map(|v| format!("{v}\n")).collect::<String>(),
            self.story()
        );
    }

    /// The same, saying which seed.
    pub fn assert_sound_of(&self, seed: u64) {
        let Some(first) = self.violations.first() else { return };
        panic!("seed {seed}: {first}\n{}", self.story());
    }

    /// What happened, for a person.
    pub fn story(&self) -> String {
        let mut text = String::new();
        for (at, event) in self.events.iter().rev().take(120).rev() {
            let _ = writeln!(text, "{:9.3} {} term {}: {}", at.as_secs_f64(), event.member, event.term, event.sentence);
        }
        text + &self.standing()
    }

    /// How each member stands, for a person.
    pub fn standing(&self) -> String {
        let mut text = String::new();
        for (name, node) in &self.nodes {
            let status = node.machine.as_ref().map(odoo_ha_core::machine::Machine::status);
            let _ = writeln!(
                text,
                "{name}: {:?}, refusal {:?}, database {:?} {} upstream {:?} streaming {} sync {:?}, address {}, services {:?}, files {:?}",
                status.as_ref().map(|s| s.state),
                status.as_ref().and_then(|s| s.refusal.clone()),
                node.database.state,
                node.database.lsn(),
                node.database.upstream,
                node.database.streaming,
                node.database.synchronous,
                node.address,
                node.services.running,
                node.filestore.role,
            );
        }
        let _ = writeln!(text, "at {:.3}", self.now.as_secs_f64());
        text
    }
}
