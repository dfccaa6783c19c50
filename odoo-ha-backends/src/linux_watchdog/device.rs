//! The device, and what the kernel says of it in sysfs.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use odoo_ha_core::error::{Error, ErrorKind};
use rustix::io::Errno;

use super::config::{LinuxWatchdogConfig, wrong};

/// Any byte feeds, except the one that announces the close (`watchdog-api.rst`, "Magic Close feature").
const FEED: &[u8] = b"\0";
const MAGIC_CLOSE: &[u8] = b"V";

/// `WDIOF_MAGICCLOSE` of `linux/watchdog.h`: without it every close stops the device, that of a killed agent too.
const CAN_CLOSE_BY_MAGIC: u64 = 0x0100;

/// What the kernel says of the device; what an older kernel does not say is `None`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Facts {
    pub(super) timeout: Option<Duration>,
    pub(super) nowayout: Option<bool>,
    pub(super) magic_close: Option<bool>,
    pub(super) active: Option<bool>,
}

impl Facts {
    /// Reads them; blocks as sysfs does, which is not long.
    pub(super) fn read(sysfs_dir: &Path) -> Self {
        let text = |name: &str| fs::read_to_string(sysfs_dir.join(name)).ok().map(|text| text.trim().to_owned());
        let number = |text: String| match text.strip_prefix("0x") {
            Some(digits) => u64::from_str_radix(digits, 16).ok(),
            None => text.parse().ok(),
        };
        Self {
            timeout: text("timeout").and_then(number).map(Duration::from_secs),
            nowayout: text("nowayout").and_then(number).map(|number| number != 0),
            magic_close: text("options").and_then(number).map(|options| options & CAN_CLOSE_BY_MAGIC != 0),
            active: text("state").map(|state| state == "active"),
        }
    }

    /// Whether a device of these facts may be started at all.
    pub(super) fn check(&self, config: &LinuxWatchdogConfig) -> Result<(), Error> {
        let device = config.device.display();
        if self.nowayout == Some(true) {
            return Err(wrong(format!("{device} cannot be stopped again (nowayout)"))
                .hint("load its driver with nowayout=0: a node that gives up in good order must not be reset"));
        }
        if self.magic_close == Some(false) {
            return Err(wrong(format!(
                "{device} stops whenever it is closed, so it is no help when the agent is killed"
            ))
            .hint("use another device: its driver must know the magic close"));
        }
        match self.timeout {
            Some(timeout) if timeout == config.timeout => Ok(()),
            Some(timeout) => Err(wrong(format!("{device} resets after {timeout:?}, not after {:?}", config.timeout))
                .hint(
                    "set it with wdctl --settimeout, by the driver's module parameter, or set timeout to what it has",
                )),
            None => Err(wrong(format!("{device}: its timeout cannot be read"))
                .hint("the kernel must have CONFIG_WATCHDOG_SYSFS, and sysfs_dir must be the device's")),
        }
    }
}

/// An open device: it runs, and resets the machine unless it is fed or let go.
#[derive(Debug)]
pub(super) struct Device {
    file: File,
    path: PathBuf,
}

impl Device {
    /// Opens it, which starts it and feeds it once. `None` when another program has it.
    pub(super) fn open(path: &Path) -> Result<Option<Self>, Error> {
        let shown = path.display();
        match OpenOptions::new().write(true).open(path) {
            Ok(file) => Ok(Some(Self { file, path: path.to_path_buf() })),
            Err(error) if error.raw_os_error() == Some(Errno::BUSY.raw_os_error()) => Ok(None),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(wrong(format!("there is no {shown}"))
                .hint("load the driver of the machine's watchdog (softdog is one without hardware), or name its device")
                .caused_by(error)),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                Err(wrong(format!("{shown} may not be opened"))
                    .hint("the agent's user needs the right to write to it (udev rule, DeviceAllow= of the unit)")
                    .caused_by(error))
            }
            Err(error) => Err(Error::new(ErrorKind::Unavailable, format!("kernel watchdog: {shown} cannot be opened"))
                .caused_by(error)),
        }
    }

    pub(super) fn feed(&mut self) -> io::Result<()> {
        self.write(FEED)
    }

    /// Announces the close, then closes: the device stops.
    pub(super) fn let_go(mut self) -> Result<(), Error> {
        self.write(MAGIC_CLOSE).map_err(|error| {
            Error::new(ErrorKind::Unknown, format!("kernel watchdog: {} does not take its close", self.path.display()))
                .hint("it may reset this machine")
                .caused_by(error)
        })
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        // Not `write_all`: a device takes all of it or fails, and is never asked twice.
        loop {
            match self.file.write(bytes) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(_) => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(facts: Facts) -> String {
        facts.check(&LinuxWatchdogConfig::new()).expect_err("it is refused").to_string()
    }

    #[test]
    fn only_a_device_that_can_be_stopped_is_started() {
        let timeout = Some(Duration::from_secs(3));
        let fine = Facts { timeout, nowayout: Some(false), magic_close: Some(true), active: Some(false) };
        assert!(fine.check(&LinuxWatchdogConfig::new()).is_ok());
        assert!(
            Facts { nowayout: None, magic_close: None, active: None, ..fine }
                .check(&LinuxWatchdogConfig::new())
                .is_ok()
        );
        assert!(refused(Facts { nowayout: Some(true), ..fine }).contains("nowayout=0"));
        assert!(refused(Facts { magic_close: Some(false), ..fine }).contains("magic close"));
        assert!(refused(Facts { timeout: None, ..fine }).contains("CONFIG_WATCHDOG_SYSFS"));
        assert!(
            refused(Facts { timeout: Some(Duration::from_secs(60)), ..fine })
                .contains("resets after 60s, not after 3s")
        );
    }

    #[test]
    fn facts_are_read_as_the_kernel_writes_them() {
        let dir = std::env::temp_dir().join(format!("odoo-ha-facts-{}", std::process::id()));
        fs::create_dir(&dir).expect("a directory");
        let none = Facts { timeout: None, nowayout: None, magic_close: None, active: None };
        assert_eq!(Facts::read(&dir), none);
        for (name, text) in [("timeout", "3\n"), ("nowayout", "1\n"), ("options", "0x8180\n"), ("state", "active\n")] {
            fs::write(dir.join(name), text).expect("a file");
        }
        let some = Facts {
            timeout: Some(Duration::from_secs(3)),
            nowayout: Some(true),
            magic_close: Some(true),
            active: Some(true),
        };
        assert_eq!(Facts::read(&dir), some);
        fs::write(dir.join("options"), "0x8080\n").expect("a file");
        fs::write(dir.join("timeout"), "soon\n").expect("a file");
        assert_eq!(Facts::read(&dir), Facts { timeout: None, magic_close: Some(false), ..some });
        fs::remove_dir_all(&dir).expect("it is there");
    }

    #[test]
    fn a_device_that_is_not_there_is_said_to_be_missing() {
        let error = Device::open(Path::new("/nowhere/watchdog")).expect_err("it is not there");
        assert_eq!(error.kind(), ErrorKind::Misconfigured);
        assert!(error.to_string().contains("load the driver"), "{error}");
    }
}
