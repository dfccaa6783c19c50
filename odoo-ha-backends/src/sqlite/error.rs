//! SQLite's errors as meanings.

use odoo_ha_core::error::{Error, ErrorKind};
use rusqlite::ErrorCode;

/// What an error means before anything was committed: all of it was rolled back, or never written.
pub(super) fn translate(error: rusqlite::Error, what: &str) -> Error {
    let (kind, hint) = match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            (ErrorKind::Unavailable, "another process held the store's lock for the whole time")
        }
        Some(ErrorCode::ReadOnly) if is_moved(&error) => {
            (ErrorKind::Unavailable, "the store's file was moved or deleted while it was in use; put it back")
        }
        Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied | ErrorCode::AuthorizationForStatementDenied) => {
            (ErrorKind::Denied, "let the agent's user write the store's file and its directory")
        }
        Some(ErrorCode::CannotOpen) => {
            (ErrorKind::Denied, "the store's directory must exist and the agent's user must be able to write it")
        }
        Some(ErrorCode::DiskFull) => (ErrorKind::Disk, "the store's disk is full; make room"),
        Some(ErrorCode::DatabaseCorrupt) => (
            ErrorKind::Malformed,
            "the store's file is damaged; stop all agents and restore it, or remove it and recover the cluster",
        ),
        Some(ErrorCode::NotADatabase) => {
            (ErrorKind::Malformed, "the store's path names a file that is no SQLite file; give another path")
        }
        Some(ErrorCode::SystemIoFailure) => {
            (ErrorKind::Unavailable, "the store's disk reports errors; look at the kernel's log")
        }
        _ => (ErrorKind::Unavailable, "see the cause"),
    };
    Error::new(kind, what).hint(hint).caused_by(error)
}

/// What an error means that came from the commit itself: except for a lock, nobody can tell.
pub(super) fn translate_commit(error: rusqlite::Error, rolled_back: bool) -> Error {
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) if rolled_back => {
            translate(error, "the store did not commit")
        }
        _ => Error::new(ErrorKind::Unknown, "the store's commit ended in an error and may have happened")
            .hint("look at the disk's room and the kernel's log")
            .caused_by(error),
    }
}

/// A failure of a read-side step inside a commit: nothing happened, so it has one of the kinds that say so.
pub(super) fn nothing_happened(error: Error) -> Error {
    if error.kind().certainly_did_not_happen() {
        return error;
    }
    let what = format!("nothing was written: {} ({})", error.what(), error.kind());
    Error::new(ErrorKind::Unavailable, what).caused_by(error)
}

/// `SQLITE_READONLY_DBMOVED`.
fn is_moved(error: &rusqlite::Error) -> bool {
    error.sqlite_error().is_some_and(|cause| cause.extended_code == rusqlite::ffi::SQLITE_READONLY_DBMOVED)
}
