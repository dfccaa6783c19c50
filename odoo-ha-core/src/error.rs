//! One error for every role: its kind says what it means, its text what failed and what an operator can do.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

/// What a failure means to the caller, whatever library it came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A guard of a commit did not hold: somebody else was first. Nothing was written.
    Conflict,
    /// It is not known whether it happened; it may still happen. Everything unrecognised is of this kind.
    Unknown,
    /// The other side could not be reached; nothing happened.
    Unavailable,
    /// The other side refused: credentials or rights are missing. Nothing happened.
    Denied,
    /// An older term than the one remembered was refused. Nothing happened.
    Fenced,
    /// What was read cannot be understood: broken, foreign, or written by a newer version.
    Malformed,
    /// The configuration or the environment must be changed by a person first.
    Misconfigured,
    /// Not possible in the present state; later it may be.
    NotReady,
    /// The local data are no prefix of the cluster's: they cannot follow without being rewound or cloned.
    Diverged,
    /// The disk is full or cannot be written.
    Disk,
    /// This implementation cannot do it (see its capabilities).
    Unsupported,
}

impl ErrorKind {
    /// Whether the operation certainly had no effect.
    pub const fn certainly_did_not_happen(self) -> bool {
        match self {
            Self::Conflict
            | Self::Unavailable
            | Self::Denied
            | Self::Fenced
            | Self::Misconfigured
            | Self::Unsupported => true,
            Self::Unknown | Self::Malformed | Self::NotReady | Self::Diverged | Self::Disk => false,
        }
    }

    /// The kind as one word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Conflict => "conflict",
            Self::Unknown => "unknown",
            Self::Unavailable => "unavailable",
            Self::Denied => "denied",
            Self::Fenced => "fenced",
            Self::Malformed => "malformed",
            Self::Misconfigured => "misconfigured",
            Self::NotReady => "not ready",
            Self::Diverged => "diverged",
            Self::Disk => "disk",
            Self::Unsupported => "unsupported",
        }
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A failure: its kind, what failed on what, and what an operator can do.
///
/// `Display` is one lower-case line with the hint and without the source's text; [`Error::chain`] has all of it.
/// Secrets never enter it.
#[derive(Clone, Debug)]
pub struct Error {
    kind: ErrorKind,
    what: String,
    hint: Option<String>,
    source: Option<Arc<dyn StdError + Send + Sync>>,
}

impl Error {
    /// A failure of this kind; `what` says in lower case what failed, and on what.
    pub fn new(kind: ErrorKind, what: impl Into<String>) -> Self {
        Self { kind, what: what.into(), hint: None, source: None }
    }

    /// Adds what an operator can do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds the error that caused it.
    #[must_use]
    pub fn caused_by(mut self, source: impl StdError + Send + Sync + 'static) -> Self {
        self.source = Some(Arc::new(source));
        self
    }

    /// What the failure means.
    pub const fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// What failed, without the hint.
    pub fn what(&self) -> &str {
        &self.what
    }

    /// The whole chain of causes in one line, for a log.
    pub fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut source = self.source();
        while let Some(cause) = source {
            text.push_str(": ");
            text.push_str(&cause.to_string());
            source = cause.source();
        }
        text
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        match &self.hint {
            Some(hint) => write!(f, " ({hint})"),
            None => Ok(()),
        }
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn StdError + 'static))
    }
}

/// A failure as the machine sees it: plain data that compares and hashes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Failure {
    /// What it means.
    pub kind: ErrorKind,
    /// The whole chain in one line.
    pub message: String,
}

impl Failure {
    /// A failure of this kind with this text.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }
}

impl From<&Error> for Failure {
    fn from(error: &Error) -> Self {
        Self { kind: error.kind(), message: error.chain() }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}
