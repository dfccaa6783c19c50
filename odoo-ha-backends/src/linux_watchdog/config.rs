//! What can be set about a kernel watchdog.

use std::path::{Path, PathBuf};
use std::time::Duration;

use odoo_ha_core::error::{Error, ErrorKind};

use super::watchdog::LinuxWatchdog;

/// Where the kernel says what its watchdogs are.
const SYSFS: &str = "/sys/class/watchdog";

/// The longest timeout: more would outlast the longest `ttl` that there is.
const MOST_TIMEOUT: Duration = Duration::from_secs(299);

/// The most that is reserved for a device that counts badly.
const MOST_BEFORE: Duration = Duration::from_secs(60);

/// How a [`LinuxWatchdog`] is set up.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LinuxWatchdogConfig {
    /// The device, absolute. Default `/dev/watchdog`.
    pub device: PathBuf,
    /// Where the kernel says what the device can, absolute. Default: found by the device's name, `watchdog` being `watchdog0`.
    pub sysfs_dir: Option<PathBuf>,
    /// How long after its last feed the device resets the machine: whole seconds, 1 to 299, and less than what a feed has left of `ttl` (two
    /// thirds of `ttl` are a good choice). Default 3 s, for a `ttl` of 5 s.
    pub timeout: Duration,
    /// The program that sets the device's timeout when it is another, called as `wdctl --settimeout SECONDS DEVICE`, absolute. `None`: nothing sets
    /// it, and another timeout is refused. Default `/usr/bin/wdctl`.
    pub wdctl: Option<PathBuf>,
    /// How long before the deadline the machine must be down; at most 60 s. Default 100 ms.
    pub acts_before: Duration,
}

impl Default for LinuxWatchdogConfig {
    fn default() -> Self {
        Self::new()
    }
}

impl LinuxWatchdogConfig {
    /// `/dev/watchdog` with the defaults.
    pub fn new() -> Self {
        Self {
            device: PathBuf::from("/dev/watchdog"),
            sysfs_dir: None,
            timeout: Duration::from_secs(3),
            wdctl: Some(PathBuf::from("/usr/bin/wdctl")),
            acts_before: Duration::from_millis(100),
        }
    }

    /// With another [`device`](Self::device).
    #[must_use]
    pub fn device(mut self, device: impl Into<PathBuf>) -> Self {
        self.device = device.into();
        self
    }

    /// With a [`sysfs_dir`](Self::sysfs_dir).
    #[must_use]
    pub fn sysfs_dir(mut self, sysfs_dir: impl Into<PathBuf>) -> Self {
        self.sysfs_dir = Some(sysfs_dir.into());
        self
    }

    /// With another [`timeout`](Self::timeout).
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// With another [`wdctl`](Self::wdctl), or none.
    #[must_use]
    pub fn wdctl(mut self, wdctl: Option<PathBuf>) -> Self {
        self.wdctl = wdctl;
        self
    }

    /// With another [`acts_before`](Self::acts_before).
    #[must_use]
    pub fn acts_before(mut self, acts_before: Duration) -> Self {
        self.acts_before = acts_before;
        self
    }

    /// The watchdog. The device is not touched before it is armed.
    ///
    /// # Errors
    ///
    /// `Misconfigured`, naming the key.
    pub fn build(self) -> Result<LinuxWatchdog, Error> {
        self.check()?;
        Ok(LinuxWatchdog::new(self))
    }

    /// Whether a watchdog can be built of it; looks at no device.
    ///
    /// # Errors
    ///
    /// `Misconfigured`, naming the key.
    pub fn check(&self) -> Result<(), Error> {
        let paths =
            [("device", Some(&self.device)), ("sysfs_dir", self.sysfs_dir.as_ref()), ("wdctl", self.wdctl.as_ref())];
        for (key, path) in paths {
            if let Some(path) = path.filter(|path| !path.is_absolute()) {
                return Err(wrong(format!("{key} is not an absolute path: {}", path.display())));
            }
        }
        if self.found_sysfs_dir().is_none() {
            return Err(wrong(format!("sysfs_dir of {} is not to be found by its name", self.device.display()))
                .hint("name the device /dev/watchdog or /dev/watchdogN, or set sysfs_dir"));
        }
        let whole = self.timeout.subsec_nanos() == 0;
        if !whole || self.timeout.is_zero() || self.timeout > MOST_TIMEOUT {
            return Err(wrong(format!("timeout is {:?}", self.timeout))
                .hint("choose whole seconds, from 1 s to 299 s; two thirds of ttl are a good choice"));
        }
        if self.acts_before > MOST_BEFORE {
            return Err(wrong(format!("acts_before is {:?}, above {MOST_BEFORE:?}", self.acts_before)));
        }
        Ok(())
    }

    /// Where the kernel says what this device can.
    pub(super) fn found_sysfs_dir(&self) -> Option<PathBuf> {
        if let Some(dir) = &self.sysfs_dir {
            return Some(dir.clone());
        }
        let name = self.device.file_name()?.to_str()?;
        let number = name.strip_prefix("watchdog")?;
        let is_number = number.bytes().all(|byte| byte.is_ascii_digit());
        is_number.then(|| Path::new(SYSFS).join(format!("watchdog{}", if number.is_empty() { "0" } else { number })))
    }

    /// What one feed lasts at most, with the reserve.
    pub(super) fn reach(&self) -> Duration {
        self.timeout + self.acts_before
    }
}

pub(super) fn wrong(what: impl AsRef<str>) -> Error {
    Error::new(ErrorKind::Misconfigured, format!("kernel watchdog: {}", what.as_ref()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_device_s_name_finds_its_facts() {
        let found = |device: &str| LinuxWatchdogConfig::new().device(device).found_sysfs_dir();
        assert_eq!(found("/dev/watchdog"), Some("/sys/class/watchdog/watchdog0".into()));
        assert_eq!(found("/dev/watchdog12"), Some("/sys/class/watchdog/watchdog12".into()));
        assert_eq!(found("/dev/watchdogs"), None);
        assert_eq!(LinuxWatchdogConfig::new().sysfs_dir("/x").device("/dev/dog").found_sysfs_dir(), Some("/x".into()));
    }

    #[test]
    fn what_cannot_work_is_refused_by_name() {
        let fine = LinuxWatchdogConfig::new;
        assert!(fine().check().is_ok());
        let cases = [
            (fine().device("watchdog"), "device is not"),
            (fine().device("/dev/dog"), "sysfs_dir of /dev/dog"),
            (fine().wdctl(Some("wdctl".into())), "wdctl is not"),
            (fine().timeout(Duration::ZERO), "timeout is 0"),
            (fine().timeout(Duration::from_millis(1500)), "whole seconds"),
            (fine().timeout(Duration::from_secs(300)), "timeout is 300s"),
            (fine().acts_before(Duration::from_secs(61)), "acts_before is 61s"),
        ];
        for (config, says) in cases {
            let error = config.build().expect_err(says);
            assert_eq!(error.kind(), ErrorKind::Misconfigured);
            assert!(error.to_string().contains(says), "{error}");
        }
    }
}
