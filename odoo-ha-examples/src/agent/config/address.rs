//! `[address.listener]`: the one address that users type.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use odoo_ha_backends::listener::{ListenerConfig, Target};
use serde::{Deserialize, Serialize};

/// Which kind of address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum AddressSection {
    /// A TCP address that the leader's agent listens at.
    Listener(ListenerSection),
}

/// A TCP address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListenerSection {
    /// Where users connect.
    pub listen: SocketAddr,
    /// `HOST:PORT` that connections are handed to. Default: this node's database.
    pub target: Option<String>,
    /// Remembers the highest term, where several nodes of one machine share the address.
    pub fence_file: Option<PathBuf>,
    /// How long the target may take to accept a connection.
    #[serde(default = "connect_timeout", with = "humantime_serde")]
    pub connect_timeout: Duration,
}

const fn connect_timeout() -> Duration {
    Duration::from_secs(5)
}

impl ListenerSection {
    pub(crate) fn config(&self, database: String) -> ListenerConfig {
        let target = Target::Tcp(self.target.clone().unwrap_or(database));
        let config = ListenerConfig::new(self.listen, target).connect_timeout(self.connect_timeout);
        match &self.fence_file {
            Some(file) => config.fence_file(file),
            None => config,
        }
    }
}
