//! What a node agent is told by the demo: one JSON file a node.

use std::path::{Path, PathBuf};
use std::time::Duration;

use odoo_ha_core::member::{ClusterId, MemberId};
use odoo_ha_core::policy::SyncMode;
use serde::{Deserialize, Serialize};

use super::store::Store;
use super::trouble::Trouble;

/// One node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NodeConfig {
    pub(crate) cluster: ClusterId,
    pub(crate) member: MemberId,
    /// All members: each waits until all have said that they hold no data.
    pub(crate) founders: Vec<MemberId>,
    /// Everything of this node lies here.
    pub(crate) dir: PathBuf,
    /// The store, shared by all nodes.
    pub(crate) store: Store,
    /// Where it is if it is a file.
    pub(crate) store_file: PathBuf,
    /// The port of this node's PostgreSQL.
    pub(crate) port: u16,
    /// The port of the address that clients use.
    pub(crate) address_port: u16,
    pub(crate) pg_bin: PathBuf,
    pub(crate) ttl: Duration,
    pub(crate) sync_mode: SyncMode,
}

impl NodeConfig {
    pub(crate) fn data_dir(&self) -> PathBuf {
        self.dir.join("data")
    }

    /// What the agent itself remembers.
    pub(crate) fn state_dir(&self) -> PathBuf {
        self.dir.join("state")
    }

    /// Where agent and guard meet.
    pub(crate) fn guard_dir(&self) -> PathBuf {
        self.dir.join("guard")
    }

    /// Where the address remembers its highest term; the same for all nodes.
    pub(crate) fn fence_file(&self) -> PathBuf {
        self.store_file.with_file_name("address")
    }

    /// Where PostgreSQL's Unix socket is.
    pub(crate) fn socket_dir(&self) -> PathBuf {
        self.dir.join("socket")
    }

    /// Where the agent takes orders.
    pub(crate) fn control_socket(&self) -> PathBuf {
        control_socket(&self.dir)
    }

    pub(crate) fn log(&self) -> PathBuf {
        self.dir.join("agent.log")
    }

    pub(crate) fn file(&self) -> PathBuf {
        self.dir.join("node.json")
    }

    /// Writes it to its file.
    pub(crate) fn write(&self) -> Result<(), Trouble> {
        let text = serde_json::to_string_pretty(self).map_err(std::io::Error::other);
        let written = text.and_then(|text| std::fs::write(self.file(), text + "\n"));
        written.map_err(|source| Trouble::new(format!("{} cannot be written: {source}.", self.file().display())))
    }

    /// Reads one from a file.
    pub(crate) fn read(file: &Path) -> Result<Self, Trouble> {
        let text = std::fs::read_to_string(file)
            .map_err(|source| Trouble::new(format!("{} cannot be read: {source}.", file.display())))?;
        serde_json::from_str(&text)
            .map_err(|source| Trouble::new(format!("{} is no configuration of a node: {source}.", file.display())))
    }
}

/// Where the agent with this directory takes orders.
pub(crate) fn control_socket(dir: &Path) -> PathBuf {
    dir.join("control.sock")
}
