//! What failures mean. No text of a stranger and no secret enters one.

use std::error::Error as StdError;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use odoo_ha_core::error::{Error, ErrorKind};

use super::target::Target;
use super::wire::MOST_BODY_BYTES;

/// The socket could not be had; it is tried again.
pub(super) fn not_listening(listen: SocketAddr, error: io::Error) -> Error {
    let (kind, hint) = match error.kind() {
        io::ErrorKind::AddrInUse => (ErrorKind::NotReady, "another process listens there"),
        io::ErrorKind::AddrNotAvailable => (ErrorKind::Unavailable, "the address is not one of this machine's"),
        io::ErrorKind::PermissionDenied => (ErrorKind::Denied, "ports below 1024 need the right to bind them"),
        _ => (ErrorKind::Unavailable, "look at the limits of the agent's process"),
    };
    Error::new(kind, format!("cannot listen on {listen} for questions of other members")).hint(hint).caused_by(error)
}

/// The address that the member published is none.
pub(super) fn no_address() -> Error {
    // The text is not repeated: anybody who writes to the store may have written it.
    Error::new(ErrorKind::Malformed, "the member has published no address of the form http://HOST:PORT")
        .hint("all members of a cluster need the same way to one another")
}

pub(super) fn not_reached(target: &Target, error: io::Error) -> Error {
    Error::new(ErrorKind::Unavailable, format!("the member at {target} cannot be reached"))
        .hint("look at its agent, and at what is between")
        .caused_by(error)
}

pub(super) fn no_answer(target: &Target, timeout: Duration) -> Error {
    Error::new(ErrorKind::Unavailable, format!("the member at {target} did not answer in {timeout:?}"))
        .hint("look at its agent, and at what is between")
}

/// A connection that ended early, or brought what is no HTTP.
pub(super) fn broken_off(target: &Target, error: hyper::Error) -> Error {
    if error.is_parse() || error.is_parse_too_large() {
        return foreign(target).caused_by(error);
    }
    Error::new(ErrorKind::Unavailable, format!("the member at {target} broke the connection off"))
        .hint("look at its agent")
        .caused_by(error)
}

pub(super) fn no_request(target: &Target, error: impl StdError + Send + Sync + 'static) -> Error {
    Error::new(ErrorKind::Malformed, format!("the member at {target} cannot be asked")).caused_by(error)
}

pub(super) fn too_long(target: &Target) -> Error {
    let what = format!("what listens at {target} answers with more than {MOST_BODY_BYTES} bytes");
    Error::new(ErrorKind::Malformed, what).hint("it is no member of this version")
}

/// An answer that is none.
pub(super) fn foreign(target: &Target) -> Error {
    Error::new(ErrorKind::Malformed, format!("what listens at {target} does not answer as a member does"))
        .hint("it is another program, or a member of another version")
}

/// An answer without a reply.
pub(super) fn refused(target: &Target, status: u16) -> Error {
    match status {
        401 | 403 => Error::new(ErrorKind::Denied, format!("the member at {target} does not know this one's secret"))
            .hint("give all members the same secret"),
        500..=599 => {
            Error::new(ErrorKind::Unavailable, format!("the member at {target} gives no answer now (status {status})"))
        }
        _ => foreign(target),
    }
}

/// A reply that is not proved.
pub(super) fn unproved(target: &Target) -> Error {
    Error::new(ErrorKind::Denied, format!("what answers at {target} does not prove to be a member"))
        .hint("give all members the same secret; if they have it, somebody else answers")
}
