//! What a coordination store holds and how it is changed: keys, versions, guarded commits.

use std::collections::BTreeMap;
use std::fmt;

use crate::error::{Error, ErrorKind};
use crate::member::MemberId;
use crate::text::Text;

/// Largest value that the library writes or accepts, in bytes. Records are some hundred bytes; the limit keeps a foreign
/// or broken value from being parsed.
pub const MAX_VALUE_BYTES: usize = 256 * 1024;

/// Longest key, in bytes.
pub const MAX_KEY_BYTES: usize = 128;

/// The key of one record of a cluster, relative to the cluster's own prefix (`leader`, `votes/node_a`).
///
/// A store prepends its prefix and the cluster's name; two clusters in one store never see each other's keys.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(Text);

impl Key {
    /// The leader record.
    pub fn leader() -> Self {
        Self(Text::new("leader"))
    }

    /// The sync record.
    pub fn sync() -> Self {
        Self(Text::new("sync"))
    }

    /// What is known of the cluster's database.
    pub fn cluster() -> Self {
        Self(Text::new("cluster"))
    }

    /// The reigns and their timelines.
    pub fn history() -> Self {
        Self(Text::new("history"))
    }

    /// The operator's wish.
    pub fn request() -> Self {
        Self(Text::new("request"))
    }

    /// The cluster's policy.
    pub fn policy() -> Self {
        Self(Text::new("policy"))
    }

    /// The vote of one member.
    pub fn vote(member: &MemberId) -> Self {
        Self(Text::new(&format!("votes/{member}")))
    }

    /// What one member says of itself.
    pub fn member(member: &MemberId) -> Self {
        Self(Text::new(&format!("members/{member}")))
    }

    /// A key from its text, as a store hands it back: parts of letters, digits, `_`, `-` and `.`, divided by `/`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Malformed`] when it is empty, too long, or has other characters.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let part_is_fine = |part: &str| {
            !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'))
        };
        if text.len() <= MAX_KEY_BYTES && text.split('/').all(part_is_fine) {
            return Ok(Self(Text::new(text)));
        }
        Err(Error::new(ErrorKind::Malformed, "a key in the store is not one of this library's")
            .hint("give the cluster a prefix that nothing else writes to"))
    }

    /// The key as text.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The version of one key: differs after every change of its value, and never comes back.
///
/// Only equality means anything (etcd: `mod_revision`; Consul: `ModifyIndex`).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct Version(pub u64);

/// A point in the history of the whole store, from which a watch can begin.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Revision(pub u64);

/// A value and its version.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Entry {
    /// Its version.
    pub version: Version,
    /// Its bytes.
    pub value: Vec<u8>,
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "v{} {}", self.version.0, String::from_utf8_lossy(&self.value))
    }
}

/// All keys of a cluster at one moment.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub struct Snapshot {
    /// The moment; a watch from here misses nothing and repeats nothing.
    pub revision: Revision,
    /// The keys that exist.
    pub entries: BTreeMap<Key, Entry>,
}

/// A key that changed; `None` when somebody deleted it (the library never does).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Change {
    /// The key.
    pub key: Key,
    /// Its value now.
    pub entry: Option<Entry>,
}

/// What must be true of a key for a commit to happen.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Guard {
    /// The key does not exist.
    Absent(Key),
    /// The key has this very version.
    Version(Key, Version),
}

impl Guard {
    /// The guarded key.
    pub const fn key(&self) -> &Key {
        match self {
            Self::Absent(key) | Self::Version(key, _) => key,
        }
    }
}

/// Writes that happen together, at one moment, if every guard holds at that moment; else none happens.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub struct Commit {
    /// What must hold.
    pub guards: Vec<Guard>,
    /// What is written.
    pub writes: BTreeMap<Key, Vec<u8>>,
}

/// A commit that happened.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Committed {
    /// The new version of each written key.
    pub versions: BTreeMap<Key, Version>,
}
