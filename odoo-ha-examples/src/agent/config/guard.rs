//! `[guard]`: the process that outlives the agent and stops the database in time.

use std::path::PathBuf;
use std::time::Duration;

use odoo_ha_backends::guard::GuardConfig;
use serde::{Deserialize, Serialize};

/// The guard.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GuardSection {
    /// Without it, a leader whose agent dies or freezes goes on until something else stops it.
    pub enabled: bool,
    /// Where agent and guard meet. Default: the data directory with `.guard` appended.
    pub runtime_dir: Option<PathBuf>,
    /// How long before the end of leadership it begins to act; a short `ttl` leaves it less.
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
        let mut config = GuardConfig::new(data_dir).acts_before(self.acts_before.min(stop_budget));
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
