//! `[filestore.rsync]`: the way that attachments and sessions come to the other nodes.

use std::path::{Path, PathBuf};
use std::time::Duration;

use odoo_ha_backends::rsync::RsyncConfig;
use serde::{Deserialize, Serialize};

use super::secret::SecretPlace;

/// Which way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum FilestoreSection {
    /// Copies pull from the leader by rsync.
    Rsync(RsyncSection),
}

/// Pulled by rsync.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RsyncSection {
    /// Odoo's `data_dir` on this node.
    pub path: PathBuf,
    /// Where the leader's is, with `{host}` for its host.
    pub source: String,
    /// The place of the password of the daemon's user.
    pub password: Option<SecretPlace>,
    /// From the beginning of one pass to that of the next.
    #[serde(default = "interval", with = "humantime_serde")]
    pub interval: Duration,
    /// How long the connection may be silent.
    #[serde(default = "timeout", with = "humantime_serde")]
    pub timeout: Duration,
    /// Longest time of one pass.
    #[serde(default = "pass_timeout", with = "humantime_serde")]
    pub pass_timeout: Duration,
    /// Whether sessions that are gone at the leader are deleted here.
    #[serde(default)]
    pub delete_sessions: bool,
    /// The program.
    #[serde(default = "rsync")]
    pub rsync: PathBuf,
    /// What it reaches the other host with.
    #[serde(default = "ssh")]
    pub ssh: Vec<String>,
}

/// What the backend says if nobody says anything.
fn usual() -> RsyncConfig {
    RsyncConfig::new("", "", "")
}

fn interval() -> Duration {
    usual().interval
}

fn timeout() -> Duration {
    usual().timeout
}

fn pass_timeout() -> Duration {
    usual().pass_timeout
}

fn rsync() -> PathBuf {
    usual().rsync
}

fn ssh() -> Vec<String> {
    usual().ssh
}

impl FilestoreSection {
    /// What it keeps stands beside the agent's own memory.
    pub(crate) fn config(&self, state_dir: &Path) -> RsyncConfig {
        let Self::Rsync(section) = self;
        let mut config = RsyncConfig::new(&section.path, &section.source, state_dir.join("filestore"))
            .interval(section.interval)
            .timeout(section.timeout)
            .pass_timeout(section.pass_timeout)
            .delete_sessions(section.delete_sessions)
            .rsync(&section.rsync)
            .ssh(&section.ssh);
        config.password = section.password.as_ref().map(SecretPlace::secret);
        config
    }
}
