//! `[address.listener]`, `[address.linux]`: the one address that users type.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use odoo_ha_backends::linux_address::LinuxAddressConfig;
use odoo_ha_backends::listener::{ListenerConfig, Target};
use odoo_ha_core::error::Error;
use odoo_ha_core::policy::Timing;
use serde::{Deserialize, Serialize};

use super::wrong;

/// Which kind of address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum AddressSection {
    /// A TCP address that the leader's agent listens at.
    Listener(ListenerSection),
    /// An address on an interface of the leader's host.
    Linux(LinuxSection),
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

/// An address on an interface of this host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LinuxSection {
    /// `ADDRESS/PREFIX`.
    pub address: String,
    /// The interface that gets it.
    pub interface: String,
    /// How often it is announced when it is taken.
    #[serde(default = "announcements")]
    pub announcements: u32,
    /// How often it is announced while it is held.
    #[serde(default = "announce_interval", with = "humantime_serde")]
    pub announce_interval: Duration,
    /// How long another holder may take to answer before the address is taken for free.
    #[serde(default = "probe_wait", with = "humantime_serde")]
    pub probe_wait: Duration,
    /// Remembers the highest term that took it on this host.
    pub fence_file: Option<PathBuf>,
}

const fn announcements() -> u32 {
    3
}

const fn announce_interval() -> Duration {
    Duration::from_secs(1)
}

const fn probe_wait() -> Duration {
    Duration::from_millis(100)
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

impl LinuxSection {
    /// Whether it can work, and fits these times.
    ///
    /// # Errors
    ///
    /// `Misconfigured`, naming the key, or the inequality that does not hold.
    pub(crate) fn check(&self, timing: &Timing) -> Result<(), Error> {
        let config = self.config()?;
        config.check()?;
        let (takes, has) = (config.attach_takes(), timing.attach_timeout());
        if takes > has {
            let why = format!(
                "probe_wait + 20 ms for each announcement but the first + 50 ms <= ttl / 4 does not hold: {takes:?} > {has:?}"
            );
            return Err(
                wrong("address.linux", &why).hint("the address would never be taken: lower these, or raise timing.ttl")
            );
        }
        Ok(())
    }

    pub(crate) fn config(&self) -> Result<LinuxAddressConfig, Error> {
        let config = LinuxAddressConfig::new(&self.address, &self.interface)?
            .announcements(self.announcements)
            .announce_interval(self.announce_interval)
            .probe_wait(self.probe_wait);
        Ok(match &self.fence_file {
            Some(file) => config.fence_file(file),
            None => config,
        })
    }
}
