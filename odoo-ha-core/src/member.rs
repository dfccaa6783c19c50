//! Who is who: clusters, their members, and the data directories that members hold.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::error::{Error, ErrorKind};
use crate::text::{self, Text};

/// Longest name of a member or cluster, in bytes: PostgreSQL cuts names at 63 (`NAMEDATALEN` − 1), and a member's name
/// is its `application_name` and part of its slot's name.
pub const MAX_NAME_BYTES: usize = 48;

fn check_name(what: &str, name: &str) -> Result<(), Error> {
    let starts_with_letter = name.bytes().next().is_some_and(|first| first.is_ascii_lowercase());
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
    if starts_with_letter && name.len() <= MAX_NAME_BYTES && name.bytes().all(allowed) {
        return Ok(());
    }
    let shown: String = name.chars().take(MAX_NAME_BYTES).collect();
    Err(Error::new(ErrorKind::Misconfigured, format!("{what} {shown:?} is not a valid name"))
        .hint(format!("use a lower-case letter, then up to {} lower-case letters, digits or '_'", MAX_NAME_BYTES - 1)))
}

macro_rules! name_type {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Text);

        impl $name {
            /// The name, checked: a lower-case letter, then lower-case letters, digits or `_`, at most
            /// [`MAX_NAME_BYTES`] bytes.
            ///
            /// # Errors
            ///
            /// [`ErrorKind::Misconfigured`] when the name breaks the rule.
            pub fn new(name: impl Into<String>) -> Result<Self, Error> {
                name.into().parse()
            }

            /// The name as text.
            pub fn as_str(&self) -> &str {
                self.0.as_str()
            }
        }

        impl FromStr for $name {
            type Err = Error;

            fn from_str(name: &str) -> Result<Self, Error> {
                check_name($what, name)?;
                Ok(Self(Text::new(name)))
            }
        }

        impl TryFrom<String> for $name {
            type Error = Error;

            fn try_from(name: String) -> Result<Self, Error> {
                Self::new(name)
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.as_str().to_owned()
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                text::deserialize(deserializer, Self::from_str)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

name_type! {
    /// The name of a member: one node of a cluster, with at most one data directory.
    ///
    /// It is the `application_name` under which PostgreSQL's leader knows its standby, so it is lower case.
    MemberId, "member"
}
name_type! {
    /// The name of a cluster: the members that share one database, one address and one leader.
    ClusterId, "cluster"
}

/// PostgreSQL's system identifier: made by `initdb`, equal on every copy of one database.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SystemId(pub u64);

impl fmt::Display for SystemId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Names one data directory for as long as its content has an unbroken history: every clone gets a new one.
///
/// Votes and the sync record name (member, data id), so a member that was cloned anew is never taken for the one that
/// acknowledged commits (protocol rule 30).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DataId(pub String);

impl fmt::Display for DataId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What an operator has said about one member.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Tags {
    /// Never becomes leader and is never a synchronous standby.
    pub nofailover: bool,
    /// Never a synchronous standby; may become leader.
    pub nosync: bool,
    /// Among equally advanced candidates the highest wins; 0 is the default. A preference, never a condition.
    pub failover_priority: i32,
    /// Streams from this member as long as that is a standby that streams itself, and from the leader otherwise (cascading replication). Never a
    /// synchronous standby, also while it streams from the leader; may become leader.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replicate_from: Option<MemberId>,
}

impl Tags {
    /// Whether commits may wait for a member with these tags, and elections may count on it (protocol rules 13 and 29).
    pub const fn may_be_synchronous(&self) -> bool {
        !self.nofailover && !self.nosync && self.replicate_from.is_none()
    }
}
