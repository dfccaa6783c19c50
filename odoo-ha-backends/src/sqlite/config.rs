//! What an operator says about the file.

use std::path::PathBuf;

use odoo_ha_core::member::ClusterId;

/// Which file, and which cluster in it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SqliteConfig {
    /// The file. Its directory must exist and be writable, as SQLite keeps two more files beside it.
    pub path: PathBuf,
    /// The cluster; several may share a file.
    pub cluster: ClusterId,
    /// Rights of the file when it is created (as for `chmod`, less the umask); the files beside it get the same. Default
    /// 0o600: the user who creates it, and root.
    pub mode: u32,
}

impl SqliteConfig {
    /// This cluster in this file, with default rights.
    pub fn new(path: impl Into<PathBuf>, cluster: ClusterId) -> Self {
        Self { path: path.into(), cluster, mode: 0o600 }
    }

    /// With these rights for a file that is created.
    #[must_use]
    pub const fn mode(mut self, mode: u32) -> Self {
        self.mode = mode;
        self
    }
}
