//! etcd's answers as meanings.

use std::error::Error as StdError;
use std::fmt;
use std::io::ErrorKind as IoErrorKind;

use odoo_ha_core::error::{Error, ErrorKind};

/// A request that failed: what is certain about it, and the error for the caller.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) outcome: Outcome,
    /// Of the kind that a read reports: `Unavailable`, `Denied`, `Malformed` or `Misconfigured`.
    pub(super) error: Error,
    /// The connection is of no use any more.
    pub(super) broken: bool,
}

/// What is certain about a request that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Refused for want of a valid token, so not done: logging in anew may help.
    Token,
    /// Refused, so not done, and asking again is in vain: rights or trust are missing, or it is too large.
    Refused,
    /// Not done: it was not sent, or refused before anything was changed. Another member may do better.
    NotDone,
    /// Nobody knows.
    Unsettled,
}

/// gRPC's status codes, as far as they mean something here
/// (<https://grpc.io/docs/guides/status-codes/>).
mod code {
    pub(super) const PERMISSION_DENIED: i32 = 7;
    pub(super) const UNIMPLEMENTED: i32 = 12;
    pub(super) const UNAUTHENTICATED: i32 = 16;
}

/// What etcd says in words (`api/v3rpc/rpctypes/error.go` of 3.4 to 3.6), what is certain then, and what an operator can do. What is not
/// here is unsettled: a timeout of etcd's own, a leader lost while it worked, a server that stops.
const SAID: &[(&str, Outcome, &str)] = &[
    ("etcdserver: invalid auth token", Outcome::Token, "give the user and password of etcd"),
    ("etcdserver: user name is empty", Outcome::Token, "etcd asks for a user: give its name and password"),
    ("etcdserver: revision of auth store is old", Outcome::Token, "users or rights of etcd were changed meanwhile"),
    ("etcdserver: permission denied", Outcome::Refused, "grant the user's role readwrite below the cluster's prefix"),
    (
        "etcdserver: authentication failed, invalid user ID or password",
        Outcome::Refused,
        "give etcd's user and its password",
    ),
    ("etcdserver: user name not found", Outcome::Refused, "give a user that etcd has"),
    ("etcdserver: no leader", Outcome::NotDone, "the member has no leader: too few members reach each other"),
    ("etcdserver: too many requests", Outcome::NotDone, "etcd is overloaded"),
    // Told, too, after it was done by the very request that used up the space (etcd's `quotaApplierV3`).
    (
        "etcdserver: mvcc: database space exceeded",
        Outcome::Unsettled,
        "etcd's space is used up: compact, defragment, then disarm its alarm",
    ),
    ("etcdserver: request is too large", Outcome::Refused, "raise etcd's --max-request-bytes"),
    ("etcdserver: too many operations in txn request", Outcome::Refused, "raise etcd's --max-txn-ops"),
    ("etcdserver: rpc not supported for learner", Outcome::NotDone, "this member only learns: give the voting ones"),
    ("etcdserver: corrupt cluster", Outcome::Refused, "etcd has found its data corrupt: see its alarms"),
];

/// What a failure of etcd's client means.
pub(super) fn translate(error: &etcd_client::Error, what: &str) -> Failure {
    if let etcd_client::Error::GRpcStatus(status) = error
        && let Some(failure) = said(status.code() as i32, status.message(), what)
    {
        return failure;
    }
    let cause = Cause::of(error);
    let (outcome, kind, hint) = connection(error, &cause.0);
    // A status without a source was sent by the server, over a connection that works.
    let broken = !matches!(error, etcd_client::Error::GRpcStatus(status) if status.source().is_none());
    Failure { outcome, error: Error::new(kind, what).hint(hint).caused_by(cause), broken }
}

/// What a status of the server means, if it is one that is known.
pub(super) fn said(code: i32, message: &str, what: &str) -> Option<Failure> {
    let known = SAID.iter().find(|(text, ..)| *text == message).map(|(_, outcome, hint)| (*outcome, *hint));
    let (outcome, hint) = known.or(match code {
        code::PERMISSION_DENIED | code::UNAUTHENTICATED => {
            Some((Outcome::Refused, "look at the user's rights in etcd"))
        }
        code::UNIMPLEMENTED => Some((Outcome::Refused, "what answers there is no etcd of version 3.4 or later")),
        _ if message.starts_with("grpc: received message larger") => {
            Some((Outcome::Refused, "raise etcd's --max-request-bytes"))
        }
        _ => None,
    })?;
    let kind = match code {
        code::UNIMPLEMENTED => ErrorKind::Malformed,
        _ if outcome == Outcome::Token || is_about_rights(code, message) => ErrorKind::Denied,
        _ => ErrorKind::Unavailable,
    };
    let error = Error::new(kind, what).hint(hint).caused_by(Cause(message.to_owned()));
    Some(Failure { outcome, error, broken: false })
}

/// Whether a refusal is one of the user or the rights.
fn is_about_rights(code: i32, message: &str) -> bool {
    let words = ["permission denied", "authentication failed", "user name not found"];
    matches!(code, code::PERMISSION_DENIED | code::UNAUTHENTICATED) || words.iter().any(|word| message.contains(word))
}

/// What is certain when the connection failed.
fn connection(error: &etcd_client::Error, text: &str) -> (Outcome, ErrorKind, &'static str) {
    let io =
        chain(error).into_iter().find_map(|cause| cause.downcast_ref::<std::io::Error>()).map(std::io::Error::kind);
    if text.contains("received fatal alert") {
        // Told by the server before it reads any request.
        return (Outcome::Refused, ErrorKind::Denied, "etcd does not accept the client's certificate, or misses one");
    }
    if text.contains("invalid peer certificate") {
        return (
            Outcome::Refused,
            ErrorKind::Unavailable,
            "etcd's certificate is not to be trusted: look at authority, names and dates",
        );
    }
    match io {
        Some(
            IoErrorKind::ConnectionRefused
            | IoErrorKind::HostUnreachable
            | IoErrorKind::NetworkUnreachable
            | IoErrorKind::AddrNotAvailable,
        ) => (Outcome::NotDone, ErrorKind::Unavailable, "nothing listens there: is this member running?"),
        _ => (Outcome::Unsettled, ErrorKind::Unavailable, "see the cause, and etcd's log"),
    }
}

/// The error and all that caused it.
fn chain(error: &etcd_client::Error) -> Vec<&(dyn StdError + 'static)> {
    // `etcd_client::Error` hides its source behind its own `Display`.
    let mut next: Option<&(dyn StdError + 'static)> = match error {
        etcd_client::Error::GRpcStatus(status) => status.source(),
        etcd_client::Error::TransportError(error) => Some(error),
        etcd_client::Error::IoError(error) => Some(error),
        _ => None,
    };
    let mut all = Vec::new();
    while let Some(cause) = next {
        all.push(cause);
        next = cause.source();
    }
    all
}

/// A failure of a library as text: its own types stay in this folder.
#[derive(Debug)]
pub(super) struct Cause(pub(super) String);

impl Cause {
    fn of(error: &etcd_client::Error) -> Self {
        let mut text = match error {
            etcd_client::Error::GRpcStatus(status) => status.message().to_owned(),
            other => other.to_string(),
        };
        for cause in chain(error) {
            let more = cause.to_string();
            if !text.contains(&more) {
                if !text.is_empty() {
                    text.push_str(": ");
                }
                text.push_str(&more);
            }
        }
        Self(text)
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl StdError for Cause {}

impl Failure {
    /// Not done, and not sent.
    pub(super) fn not_done(kind: ErrorKind, what: impl Into<String>) -> Self {
        Self { outcome: Outcome::NotDone, error: Error::new(kind, what), broken: false }
    }

    /// An answer that cannot be understood.
    pub(super) fn malformed(what: &str) -> Self {
        let error = Error::new(ErrorKind::Malformed, what).hint("is it etcd that answers there?");
        Self { outcome: Outcome::Unsettled, error, broken: true }
    }

    /// An answer that every member would give, and that cannot be what it should.
    pub(super) fn senseless(what: &str, hint: &str) -> Self {
        Self { outcome: Outcome::Refused, error: Error::new(ErrorKind::Malformed, what).hint(hint), broken: false }
    }

    /// Whether the connection was closed without a reason. That happens to a request that was made while the other side refused our
    /// certificate: the reason went to nobody.
    pub(super) fn is_without_reason(&self) -> bool {
        let said = self.error.chain().to_lowercase();
        let closed = ["operation was canceled", "broken pipe", "connection reset", "connection closed"];
        self.outcome == Outcome::NotDone && closed.iter().any(|closed| said.contains(closed))
    }

    /// The same before anything was sent that changes something.
    pub(super) fn before_sending(self) -> Self {
        let outcome = match self.outcome {
            Outcome::Token | Outcome::Refused => Outcome::Refused,
            Outcome::NotDone | Outcome::Unsettled => Outcome::NotDone,
        };
        Self { outcome, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_have_happened_is_never_called_certain() {
        let doubtful = [
            "etcdserver: request timed out",
            "etcdserver: request timed out, possibly due to previous leader failure",
            "etcdserver: request timed out, possibly due to connection lost",
            "etcdserver: leader changed",
            "etcdserver: server stopped",
            "raft proposal dropped",
            "context deadline exceeded",
            "transport error",
            "",
        ];
        for code in (0..=16).filter(|code| ![7, 12, 16].contains(code)) {
            for message in doubtful {
                assert!(said(code, message, "x").is_none(), "{code} {message}");
            }
        }
        // etcd says it, too, of what it has just done.
        let full = said(8, "etcdserver: mvcc: database space exceeded", "x").map(|failure| failure.outcome);
        assert_eq!(full, Some(Outcome::Unsettled));
    }

    #[test]
    fn refusals_have_the_kind_of_their_reason() {
        let cases = [
            (7, "etcdserver: permission denied", Outcome::Refused, ErrorKind::Denied),
            (3, "etcdserver: authentication failed, invalid user ID or password", Outcome::Refused, ErrorKind::Denied),
            (16, "etcdserver: invalid auth token", Outcome::Token, ErrorKind::Denied),
            (3, "etcdserver: user name is empty", Outcome::Token, ErrorKind::Denied),
            (14, "etcdserver: no leader", Outcome::NotDone, ErrorKind::Unavailable),
            (8, "etcdserver: too many requests", Outcome::NotDone, ErrorKind::Unavailable),
            (3, "etcdserver: request is too large", Outcome::Refused, ErrorKind::Unavailable),
            (12, "unknown service etcdserverpb.KV", Outcome::Refused, ErrorKind::Malformed),
        ];
        for (code, message, outcome, kind) in cases {
            let failure = said(code, message, "x").map(|failure| (failure.outcome, failure.error.kind()));
            assert_eq!(failure, Some((outcome, kind)), "{message}");
        }
    }
}
