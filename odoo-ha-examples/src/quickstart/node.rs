//! The two nodes by name.

use odoo_ha_core::error::Error;
use odoo_ha_core::member::MemberId;

/// One of the two nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Node {
    /// The first.
    A,
    /// The second.
    B,
}

impl Node {
    /// Both.
    pub(crate) const BOTH: [Self; 2] = [Self::A, Self::B];

    /// The name, as member of the cluster.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::A => "node_a",
            Self::B => "node_b",
        }
    }

    /// The other one.
    #[must_use]
    pub(crate) const fn other(self) -> Self {
        match self {
            Self::A => Self::B,
            Self::B => Self::A,
        }
    }

    /// The member.
    ///
    /// # Errors
    ///
    /// Never: the names are valid.
    pub(crate) fn member(self) -> Result<MemberId, Error> {
        MemberId::new(self.name())
    }

    pub(crate) const fn index(self) -> usize {
        match self {
            Self::A => 0,
            Self::B => 1,
        }
    }
}
