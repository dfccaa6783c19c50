//! One unit.

use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use odoo_ha_core::error::{Error, ErrorKind};

use crate::common::program::{self, Ended};
use crate::common::services::{Activity, Service};

/// Longest name of a unit, in bytes (`systemd.unit(5)`).
const LONGEST_NAME: usize = 255;

/// `systemctl`'s exit codes that have a meaning of their own (`systemctl(1)`, "Exit status"; LSB).
const NO_RIGHTS: i32 = 4;
const NO_SUCH_UNIT: i32 = 5;

/// A unit of systemd as a [`Service`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SystemdUnit {
    unit: String,
    systemctl: PathBuf,
}

impl SystemdUnit {
    /// This unit, with its suffix: `odoo.service`.
    ///
    /// # Errors
    ///
    /// `Misconfigured` when it is no name of a unit.
    pub fn new(unit: impl Into<String>) -> Result<Self, Error> {
        let unit = unit.into();
        let is_plain = |c: char| c.is_ascii_alphanumeric() || ":-_.\\@".contains(c);
        let fits = unit.len() <= LONGEST_NAME && unit.chars().all(is_plain) && !unit.starts_with(['-', '.']);
        if !fits || unit.rsplit_once('.').is_none_or(|(name, suffix)| name.is_empty() || suffix.is_empty()) {
            return Err(Error::new(ErrorKind::Misconfigured, format!("{unit:?} is no name of a unit"))
                .hint("write it with its suffix, odoo.service"));
        }
        Ok(Self { unit, systemctl: PathBuf::from("/usr/bin/systemctl") })
    }

    /// With another `systemctl`, absolute. Default `/usr/bin/systemctl`.
    ///
    /// # Errors
    ///
    /// `Misconfigured` when the path is not absolute.
    pub fn systemctl(mut self, systemctl: impl Into<PathBuf>) -> Result<Self, Error> {
        self.systemctl = systemctl.into();
        if !self.systemctl.is_absolute() {
            let what = format!("systemctl is not an absolute path: {}", self.systemctl.display());
            return Err(Error::new(ErrorKind::Misconfigured, what));
        }
        Ok(self)
    }

    async fn ask(&self, arguments: &[&str], timeout: Duration) -> Result<Ended, Error> {
        let mut all: Vec<String> = ["--no-ask-password", "--no-pager", "--quiet"].map(str::to_owned).into();
        all.extend(arguments.iter().map(|argument| (*argument).to_owned()));
        // Nothing after it is an option, whatever the unit is called.
        all.extend(["--".to_owned(), self.unit.clone()]);
        program::run(&self.systemctl, &all, timeout).await
    }

    async fn order(&self, arguments: &[&str], timeout: Duration) -> Result<(), Error> {
        let ended = self.ask(arguments, timeout).await?;
        if ended.succeeded() {
            return Ok(());
        }
        let what = format!("unit {}: systemctl {} ended with {}", self.unit, arguments.join(" "), ended.said());
        Err(match ended.code {
            Some(NO_RIGHTS) => Error::new(ErrorKind::Denied, what)
                .hint("the agent must run as root, or polkit must let its user manage the unit"),
            Some(NO_SUCH_UNIT) => self.missing(),
            Some(_) | None => Error::new(ErrorKind::Unknown, what).hint(format!("see journalctl -u {}", self.unit)),
        })
    }

    fn missing(&self) -> Error {
        Error::new(ErrorKind::Misconfigured, format!("there is no unit {}", self.unit))
            .hint("install it, name another one, or systemctl daemon-reload")
    }
}

#[async_trait]
impl Service for SystemdUnit {
    fn name(&self) -> &str {
        &self.unit
    }

    async fn start(&self, timeout: Duration) -> Result<(), Error> {
        self.order(&["start"], timeout).await
    }

    async fn stop(&self, timeout: Duration) -> Result<(), Error> {
        self.order(&["stop"], timeout).await
    }

    async fn kill(&self, timeout: Duration) -> Result<(), Error> {
        self.order(&["kill", "--signal=SIGKILL"], timeout).await
    }

    async fn activity(&self, timeout: Duration) -> Result<Activity, Error> {
        let ended = self.ask(&["show", "--property=LoadState", "--property=ActiveState"], timeout).await;
        let cannot = |what: String| {
            Error::new(ErrorKind::Unavailable, format!("unit {}: {what}", self.unit))
                .hint("is systemd process 1 here, and may the agent's user ask it?")
        };
        let ended = ended.map_err(|error| match error.kind() {
            // Looking changes nothing: that it did not end in time is all there is to it.
            ErrorKind::Unknown => cannot("systemctl show did not end".to_owned()).caused_by(error),
            _ => error,
        })?;
        if !ended.succeeded() {
            return Err(cannot(format!("systemctl show ended with {}", ended.said())));
        }
        let value = |key: &str| ended.output.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
        match (value("LoadState"), value("ActiveState")) {
            // One whose file was removed while it runs is not found, and active.
            (Some("not-found"), Some("inactive" | "failed")) => Ok(Activity::Missing),
            (_, Some("active" | "reloading" | "refreshing")) => Ok(Activity::Running),
            (_, Some("inactive" | "failed")) => Ok(Activity::Stopped),
            (_, Some("activating" | "deactivating" | "maintenance")) => Ok(Activity::Changing),
            (_, state) => Err(cannot(format!("systemctl show gives the state {state:?}"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_units_are_taken() {
        for name in ["odoo.service", "odoo@shop.service", "nginx.service", "a\\x2db.timer"] {
            assert!(SystemdUnit::new(name).is_ok(), "{name}");
        }
        for name in ["", "odoo", ".service", "odoo.", "--now.service", "odoo service.x", "a/b.service", "a;b.service"] {
            assert_eq!(SystemdUnit::new(name).expect_err(name).kind(), ErrorKind::Misconfigured);
        }
        let unit = SystemdUnit::new("odoo.service").expect("it is one");
        assert_eq!(unit.systemctl("systemctl").expect_err("it is relative").kind(), ErrorKind::Misconfigured);
    }
}
