//! The two nodes by name.

use odoo_ha_core::error::Error;
use odoo_ha_core::member::MemberId;

/// One of the two nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Node {
    /// The first.
    A,
    /// The second.
    B,
}

impl Node {
    /// Both.
    pub const BOTH: [Self; 2] = [Self::A, Self::B];

    /// The name, as member of the cluster.
    pub const fn name(self) -> &'static str {
        match self {
            Self::A => "node_a",
            Self::B => "node_b",
        }
    }

    /// The other one.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::A => Self::B,
            Self::B => Self::A,
        }
    }

    /// The node of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::BOTH.into_iter().find(|node| node.name() == name)
    }

    /// The member.
    ///
    /// # Errors
    ///
    /// Never: the names are valid.
    pub fn member(self) -> Result<MemberId, Error> {
        MemberId::new(self.name())
    }

    pub(crate) const fn index(self) -> usize {
        match self {
            Self::A => 0,
            Self::B => 1,
        }
    }
}
