//! Names of what lies in the runtime directory.

use std::path::{Path, PathBuf};

/// Where agent and guard meet.
pub(super) fn socket(runtime_dir: &Path) -> PathBuf {
    runtime_dir.join("guard.sock")
}

/// Held by the guard as long as it lives (`flock(2)`), so that a socket without a holder is known to be stale.
pub(super) fn lock(runtime_dir: &Path) -> PathBuf {
    runtime_dir.join("guard.lock")
}

/// What the guard remembers when it is started again.
pub(super) fn state(runtime_dir: &Path) -> PathBuf {
    runtime_dir.join("guard.json")
}

/// What the guard has to say.
pub(super) fn log(runtime_dir: &Path) -> PathBuf {
    runtime_dir.join("guard.log")
}
