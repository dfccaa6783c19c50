//! The SQLite store between processes, and what it makes of files that are broken, foreign, newer or gone.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests: a broken set-up is a failed test"
)]

#[path = "sqlite/files.rs"]
mod files;
#[path = "sqlite/processes.rs"]
mod processes;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use odoo_ha_backends::sqlite::{SqliteConfig, SqliteDcs};
use odoo_ha_core::member::ClusterId;
use odoo_ha_core::store::{Commit, Guard, Key};

/// Generous: nothing here is a matter of speed.
const TIME: Duration = Duration::from_secs(30);

fn config(path: &Path) -> SqliteConfig {
    SqliteConfig::new(path, ClusterId::new("shop").unwrap())
}

fn open(path: &Path) -> SqliteDcs {
    SqliteDcs::new(config(path)).unwrap()
}

fn write(guards: Vec<Guard>, value: &[u8]) -> Commit {
    Commit { guards, writes: BTreeMap::from([(Key::leader(), value.to_vec())]) }
}
