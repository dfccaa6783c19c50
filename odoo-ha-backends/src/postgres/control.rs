//! What the control file says, read by `pg_controldata`.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use odoo_ha_core::error::{Error, ErrorKind};
use odoo_ha_core::lsn::{Lsn, Timeline};
use odoo_ha_core::member::SystemId;

use super::error::malformed;
use super::programs::Programs;

/// In which state the database was left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ClusterState {
    /// A primary that was shut down cleanly.
    ShutDown,
    /// A standby that was shut down cleanly.
    ShutDownInRecovery,
    /// A primary that runs or crashed.
    Production,
    /// A standby that runs or crashed.
    Recovery,
}

/// The part of the control file that the agent needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ControlData {
    pub(super) system_id: SystemId,
    pub(super) state: ClusterState,
    /// Where the record of the latest checkpoint begins.
    pub(super) checkpoint: Lsn,
    pub(super) checkpoint_timeline: Timeline,
    /// How far recovery must get before reads are consistent; 0/0 for a primary.
    pub(super) min_recovery: Lsn,
    pub(super) min_recovery_timeline: Timeline,
    pub(super) segment_bytes: u64,
    /// Changes of hint bits are logged, by checksums or by setting: `pg_rewind` needs it.
    pub(super) hints_logged: bool,
}

impl ControlData {
    /// Reads it.
    pub(super) async fn read(programs: &Programs, data_dir: &Path, timeout: Duration) -> Result<Self, Error> {
        let dir = data_dir.to_string_lossy();
        let output = programs.ask("pg_controldata", &["-D", &dir], timeout).await?;
        if !output.success {
            return Err(Error::new(
                ErrorKind::Misconfigured,
                format!("{dir} is not a data directory: {}", super::error::telling_line(&output.stderr)),
            )
            .hint("give the directory that holds PG_VERSION, or an empty one"));
        }
        Self::parse(&output.stdout)
    }

    fn parse(text: &str) -> Result<Self, Error> {
        let fields: BTreeMap<&str, &str> = text
            .lines()
            .filter_map(|line| line.split_once(':'))
            .map(|(key, value)| (key.trim(), value.trim()))
            .collect();
        let missing = |key: &str| malformed(format!("pg_controldata does not say {key:?}"));
        let field = |key: &str| fields.get(key).copied().ok_or_else(|| missing(key));
        let number = |key: &str| field(key)?.parse::<u64>().map_err(|_| missing(key));
        let timeline = |key: &str| field(key)?.parse::<u32>().map(Timeline).map_err(|_| missing(key));
        let state = match field("Database cluster state")? {
            "shut down" => ClusterState::ShutDown,
            "shut down in recovery" => ClusterState::ShutDownInRecovery,
            "in archive recovery" => ClusterState::Recovery,
            "in production" | "shutting down" | "in crash recovery" | "starting up" => ClusterState::Production,
            other => {
                return Err(malformed(format!("the database was left in an unknown state {other:?}")));
            }
        };
        let hints_logged = number("Data page checksum version")? > 0 || field("wal_log_hints setting")? == "on";
        Ok(Self {
            system_id: SystemId(number("Database system identifier")?),
            state,
            checkpoint: field("Latest checkpoint location")?.parse()?,
            checkpoint_timeline: timeline("Latest checkpoint's TimeLineID")?,
            min_recovery: field("Minimum recovery ending location")?.parse()?,
            min_recovery_timeline: timeline("Min recovery ending loc's timeline")?,
            segment_bytes: number("Bytes per WAL segment")?,
            hints_logged,
        })
    }

    /// The newest timeline that it knows of.
    pub(super) fn timeline(&self) -> Timeline {
        self.checkpoint_timeline.max(self.min_recovery_timeline)
    }

    /// Whether the database was shut down cleanly.
    pub(super) const fn is_clean(&self) -> bool {
        matches!(self.state, ClusterState::ShutDown | ClusterState::ShutDownInRecovery)
    }
}
