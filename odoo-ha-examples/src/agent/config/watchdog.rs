//! `[watchdog.linux]`: the kernel's watchdog, beside the guard or in its place.

use std::path::PathBuf;
use std::time::Duration;

use odoo_ha_backends::linux_watchdog::LinuxWatchdogConfig;
use odoo_ha_core::error::Error;
use odoo_ha_core::policy::Timing;
use serde::{Deserialize, Serialize};

use super::wrong;

/// Which kind of watchdog.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum WatchdogSection {
    /// The kernel's.
    Linux(LinuxWatchdogSection),
}

/// The kernel's watchdog.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LinuxWatchdogSection {
    /// The device.
    pub device: PathBuf,
    /// Where the kernel says what it can.
    pub sysfs_dir: Option<PathBuf>,
    /// How long after its last feed it resets the machine, in whole seconds.
    #[serde(with = "humantime_serde")]
    pub timeout: Option<Duration>,
    /// The program that sets that timeout; empty: none does.
    pub wdctl: PathBuf,
    /// How long before the end of leadership the machine is down.
    #[serde(with = "humantime_serde")]
    pub acts_before: Duration,
}

impl Default for LinuxWatchdogSection {
    fn default() -> Self {
        let config = LinuxWatchdogConfig::new();
        Self {
            device: config.device,
            sysfs_dir: config.sysfs_dir,
            timeout: None,
            wdctl: config.wdctl.unwrap_or_default(),
            acts_before: config.acts_before,
        }
    }
}

impl WatchdogSection {
    /// A device for this `ttl`.
    pub(crate) fn config(&self, ttl: Duration) -> LinuxWatchdogConfig {
        let Self::Linux(section) = self;
        let mut config = LinuxWatchdogConfig::new()
            .device(&section.device)
            .timeout(section.timeout.unwrap_or(two_thirds(ttl)))
            .wdctl(Some(section.wdctl.clone()).filter(|wdctl| !wdctl.as_os_str().is_empty()))
            .acts_before(section.acts_before);
        config.sysfs_dir.clone_from(&section.sysfs_dir);
        config
    }

    /// Whether it fits these times.
    ///
    /// # Errors
    ///
    /// `Misconfigured`, with the inequality that does not hold.
    pub(crate) fn check(&self, timing: &Timing) -> Result<(), Error> {
        let config = self.config(timing.ttl);
        config.check()?;
        if config.acts_before > timing.stop_budget {
            let why = format!(
                "acts_before <= stop_budget does not hold: {:?} > {:?}",
                config.acts_before, timing.stop_budget
            );
            return Err(wrong("watchdog.linux", &why));
        }
        if config.timeout + config.acts_before + timing.clock_margin + timing.renew_interval > timing.ttl {
            let why = format!(
                "timeout + acts_before + clock_margin + renew_interval <= ttl does not hold: {:?} + {:?} + {:?} + {:?} > {:?}",
                config.timeout, config.acts_before, timing.clock_margin, timing.renew_interval, timing.ttl
            );
            return Err(wrong("watchdog.linux", &why));
        }
        Ok(())
    }

    /// The same with every key said.
    pub(crate) fn effective(&self, ttl: Duration) -> Self {
        let Self::Linux(section) = self;
        Self::Linux(LinuxWatchdogSection {
            timeout: Some(section.timeout.unwrap_or(two_thirds(ttl))),
            ..section.clone()
        })
    }
}

/// Long enough for a busy agent, short enough to fit a renewal that took its time: in whole seconds, as devices count.
fn two_thirds(ttl: Duration) -> Duration {
    Duration::from_secs((ttl * 2 / 3).as_secs().max(1))
}
