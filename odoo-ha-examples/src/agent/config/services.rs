//! `[[services]]`: what serves users on the leader, in the order of its start.

use std::path::PathBuf;
use std::sync::Arc;

use odoo_ha_backends::command::CommandService;
use odoo_ha_backends::systemd::SystemdUnit;
use odoo_ha_backends::{Service, Services};
use odoo_ha_core::error::Error;
use serde::{Deserialize, Serialize};

use super::wrong;

/// One service. Exactly one of `systemd` and `command`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServiceSection {
    /// A unit of systemd.
    pub systemd: Option<SystemdSection>,
    /// Programs that start, stop and look at it.
    pub command: Option<CommandSection>,
}

/// A unit of systemd.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SystemdSection {
    /// The unit, with its suffix.
    pub unit: String,
    /// The program that systemd is asked with.
    #[serde(default = "systemctl")]
    pub systemctl: PathBuf,
}

fn systemctl() -> PathBuf {
    "/usr/bin/systemctl".into()
}

/// Programs with their arguments.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CommandSection {
    /// The service's name, for logs.
    pub name: String,
    /// Starts it.
    pub start: Vec<String>,
    /// Stops it.
    pub stop: Vec<String>,
    /// Ends with 0 if it runs, with 1 to 3 if it does not.
    pub status: Vec<String>,
    /// Ends it at once when `stop` does not.
    pub kill: Option<Vec<String>>,
}

impl ServiceSection {
    fn build(&self) -> Result<Arc<dyn Service>, Error> {
        match (&self.systemd, &self.command) {
            (Some(section), None) => Ok(Arc::new(SystemdUnit::new(&section.unit)?.systemctl(&section.systemctl)?)),
            (None, Some(section)) => {
                let service = CommandService::new(&section.name, &section.start, &section.stop, &section.status)?;
                Ok(Arc::new(match &section.kill {
                    Some(kill) => service.kill(kill)?,
                    None => service,
                }))
            }
            (None, None) | (Some(_), Some(_)) => {
                Err(wrong("services", "each service has exactly one of systemd and command"))
            }
        }
    }

    /// All of them as one; `None` when there is none.
    pub(crate) fn build_all(sections: &[Self]) -> Result<Option<Services>, Error> {
        if sections.is_empty() {
            return Ok(None);
        }
        Services::new(sections.iter().map(Self::build).collect::<Result<_, _>>()?).map(Some)
    }

    /// One command that stops all of them, for the guard, in whose place nobody looks whether they have stopped; `None` when there is none, or
    /// when no single one can.
    pub(crate) fn stop_all(sections: &[Self]) -> Option<Vec<String>> {
        if let [Self { systemd: None, command: Some(one) }] = sections {
            return Some(one.stop.clone());
        }
        let units: Vec<&SystemdSection> = sections.iter().filter_map(|section| section.systemd.as_ref()).collect();
        let first = units.first().filter(|first| {
            units.len() == sections.len() && units.iter().all(|unit| unit.systemctl == first.systemctl)
        })?;
        let mut command = vec![first.systemctl.to_string_lossy().into_owned()];
        command.extend(["--no-ask-password", "stop", "--"].map(str::to_owned));
        command.extend(units.iter().rev().map(|section| section.unit.clone()));
        Some(command)
    }
}
