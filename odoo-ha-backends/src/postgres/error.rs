//! What went wrong, by meaning: failures of the system, of PostgreSQL's programs and of its sessions.

use std::io;

use odoo_ha_core::error::{Error, ErrorKind};

/// A failed call to the operating system; `what` says what was tried, on what.
pub(super) fn io(what: impl Into<String>, source: io::Error) -> Error {
    let what = what.into();
    match source.kind() {
        io::ErrorKind::PermissionDenied => Error::new(ErrorKind::Misconfigured, what)
            .hint("give the agent's and PostgreSQL's users the rights they need there")
            .caused_by(source),
        io::ErrorKind::NotADirectory => Error::new(ErrorKind::Misconfigured, what)
            .hint("a part of the path is a file: give another path")
            .caused_by(source),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            Error::new(ErrorKind::Disk, what).hint("make room on the file system").caused_by(source)
        }
        _ => Error::new(ErrorKind::Disk, what)
            .hint("look at the file system: is it mounted writable, does the kernel's log speak of it?")
            .caused_by(source),
    }
}

/// What programs and the server say when the disk fails them.
const DISK: [&str; 5] = [
    "No space left on device",
    "Read-only file system",
    "Input/output error",
    "Disk quota exceeded",
    // PostgreSQL's words for a write that found room for a part only.
    "wrote only",
];

/// The failure of one of PostgreSQL's programs, from all it said: what failed, its most telling line, and what to do.
pub(super) fn of_words(what: &str, text: &str) -> Error {
    let kind = kind_of_words(text);
    let error = Error::new(kind, format!("{what}: {}", telling_line(text)));
    match hint_of(kind) {
        Some(hint) => error.hint(hint),
        None => error,
    }
}

/// What an operator can do about a failure of this kind, as far as that can be said of all of them.
pub(super) const fn hint_of(kind: ErrorKind) -> Option<&'static str> {
    match kind {
        ErrorKind::Disk => Some("make room on the file system, or see whether the disk fails"),
        ErrorKind::Denied => Some("give all members the same password and networks"),
        ErrorKind::Unavailable => Some("see whether the upstream's database runs and can be reached from here"),
        ErrorKind::Misconfigured => Some("change what its words name"),
        _ => None,
    }
}

/// What the words of a program of PostgreSQL (or of its log) mean.
pub(super) fn kind_of_words(text: &str) -> ErrorKind {
    const MISCONFIGURED: [&str; 9] = [
        "Address already in use",
        "could not create any TCP/IP sockets",
        "database files are incompatible with server",
        "was initialized by PostgreSQL version",
        "has wrong ownership",
        "Permission denied",
        "unrecognized configuration parameter",
        "contains errors",
        "because of insufficient parameter settings",
    ];
    const UNAVAILABLE: [&str; 4] =
        ["connection to server", "could not connect", "server closed the connection", "could not send"];
    if DISK.iter().any(|words| text.contains(words)) {
        ErrorKind::Disk
    } else if text.contains("password authentication failed") || text.contains("no pg_hba.conf entry") {
        ErrorKind::Denied
    } else if MISCONFIGURED.iter().any(|words| text.contains(words)) {
        ErrorKind::Misconfigured
    } else if UNAVAILABLE.iter().any(|words| text.contains(words)) {
        ErrorKind::Unavailable
    } else {
        ErrorKind::Unknown
    }
}

/// The most telling line of a program's output or of the server's log: the first that names the disk, else the first that says
/// PANIC, FATAL or error, else the last.
pub(super) fn telling_line(text: &str) -> String {
    const MAX_CHARS: usize = 400;
    let lines = || text.lines().map(str::trim).filter(|line| !line.is_empty());
    let telling = ["could not bind"]
        .iter()
        .chain(&DISK)
        .chain(&["PANIC", "FATAL", "error:", "ERROR"])
        .find_map(|word| lines().find(|line| line.contains(word)))
        .or_else(|| lines().next_back())
        .unwrap_or("it said nothing");
    telling.chars().take(MAX_CHARS).collect()
}

/// Data that cannot be understood.
pub(super) fn malformed(what: impl Into<String>) -> Error {
    Error::new(ErrorKind::Malformed, what)
}

/// Not possible in the present state.
pub(super) fn not_ready(what: impl Into<String>) -> Error {
    Error::new(ErrorKind::NotReady, what)
}

/// A person must change something first.
pub(super) fn misconfigured(what: impl Into<String>) -> Error {
    Error::new(ErrorKind::Misconfigured, what)
}
