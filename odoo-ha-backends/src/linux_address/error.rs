//! What the kernel's refusals mean.

use std::io;

use odoo_ha_core::error::{Error, ErrorKind};

/// A call to the kernel that failed; `what` says what was tried, on what.
pub(super) fn refused(what: impl Into<String>, error: io::Error) -> Error {
    let (kind, hint) = match error.kind() {
        io::ErrorKind::PermissionDenied => {
            (ErrorKind::Denied, "run the agent as root, or with CAP_NET_ADMIN and CAP_NET_RAW")
        }
        io::ErrorKind::NetworkDown => (ErrorKind::Unavailable, "set the interface up"),
        _ => (ErrorKind::Unavailable, "look at `ip address` and the kernel's log"),
    };
    Error::new(kind, what).hint(hint).caused_by(error)
}
