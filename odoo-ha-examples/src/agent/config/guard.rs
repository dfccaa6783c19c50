//! `[guard]`: the process that outlives the agent and stops the database in time.

use std::path::PathBuf;
use std::time::Duration;

use odoo_ha_backends::guard::GuardConfig;
use serde::{Deserialize, Serialize};

/// What a guard needs at least, without and with commands.
const LEAST_BEFORE: [Duration; 2] = [Duration::from_millis(300), Duration::from_millis(450)];

/// The guard.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GuardSection {
    /// Without it, a leader whose agent dies or freezes goes on until something else stops it.
    pub enabled: bool,
    /// Where agent and guard meet. Default: the data directory with `.guard` appended.
    pub runtime_dir: Option<PathBuf>,
    /// How long before the end of leadership it begins to act; a short `stop_budget` leaves it less, so that a leader can give up
    /// in good order before.
    #[serde(with = "humantime_serde")]
    pub acts_before: Duration,
    /// A program with its arguments that drops the address of a node whose agent is dead. Default with `[address.linux]`: `ip` does.
    pub drop_address: Option<Vec<String>>,
    /// A program with its arguments that stops the services of such a node.
    pub stop_services: Option<Vec<String>>,
}

impl Default for GuardSection {
    fn default() -> Self {
        Self {
            enabled: true,
            runtime_dir: None,
            acts_before: Duration::from_millis(600),
            drop_address: None,
            stop_services: None,
        }
    }
}

impl GuardSection {
    /// `None` when it is not wanted.
    pub(crate) fn config(&self, data_dir: &std::path::Path, stop_budget: Duration) -> Option<GuardConfig> {
        // It kills the agent, too: a leader that gives up in good order must be done by then.
        let commands = self.drop_address.is_some() || self.stop_services.is_some();
        let left = (stop_budget * 3 / 5).max(LEAST_BEFORE[usize::from(commands)]).min(stop_budget);
        let mut config = GuardConfig::new(data_dir).acts_before(self.acts_before.min(left));
        if let Some(dir) = &self.runtime_dir {
            config = config.runtime_dir(dir);
        }
        if let Some(command) = &self.drop_address {
            config = config.drop_address(command);
        }
        if let Some(command) = &self.stop_services {
            config = config.stop_services(command);
        }
        self.enabled.then_some(config)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_leaves_time_to_give_up_in_good_order() {
        let acts_before = |stop_budget, section: &GuardSection| {
            let config = section.config(std::path::Path::new("/x/data"), Duration::from_millis(stop_budget));
            config.map(|config| (config.acts_before.as_millis(), config.check().is_ok()))
        };
        let mut section = GuardSection::default();
        let found: Vec<_> = [1500, 1000, 500, 250].iter().map(|budget| acts_before(*budget, &section)).collect();
        assert_eq!(found, [Some((600, true)), Some((600, true)), Some((300, true)), Some((250, false))]);
        section.stop_services = Some(vec!["/bin/true".into()]);
        assert_eq!(acts_before(500, &section), Some((450, true)));
    }
}
