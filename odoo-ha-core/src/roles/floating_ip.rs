//! The one address that users type.

use std::fmt::Debug;
use std::time::Duration;

use async_trait::async_trait;

use crate::error::Error;
use crate::term::Term;

/// What an address backend can promise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct FloatingIpCapabilities {
    /// It remembers the highest term that attached the address and refuses an older one, whichever node asks.
    /// Without it the winner of a failover waits out the old leader's whole `ttl` before its first attach.
    pub fences_by_term: bool,
    /// Attaching takes the address away from whoever has it (a cloud's API does; adding it to an interface does not).
    pub moves_authoritatively: bool,
    /// Longest time for which an attach that was cancelled or not answered may still happen.
    pub longest_in_flight: Duration,
    /// How long an attach takes where nothing hinders it. It must fit the time that an attach has
    /// ([`Timing::attach_timeout`](crate::policy::Timing::attach_timeout)), or it would never succeed: such a node is not built.
    pub attach_takes: Duration,
}

impl FloatingIpCapabilities {
    /// The weakest: nothing is promised.
    pub const fn none() -> Self {
        Self {
            fences_by_term: false,
            moves_authoritatively: false,
            longest_in_flight: Duration::ZERO,
            attach_takes: Duration::ZERO,
        }
    }

    /// With [`fences_by_term`](Self::fences_by_term) as given.
    #[must_use]
    pub const fn fences_by_term(mut self, yes: bool) -> Self {
        self.fences_by_term = yes;
        self
    }

    /// With [`moves_authoritatively`](Self::moves_authoritatively) as given.
    #[must_use]
    pub const fn moves_authoritatively(mut self, yes: bool) -> Self {
        self.moves_authoritatively = yes;
        self
    }

    /// With [`longest_in_flight`](Self::longest_in_flight) as given.
    #[must_use]
    pub const fn longest_in_flight(mut self, longest: Duration) -> Self {
        self.longest_in_flight = longest;
        self
    }

    /// With [`attach_takes`](Self::attach_takes) as given.
    #[must_use]
    pub const fn attach_takes(mut self, time: Duration) -> Self {
        self.attach_takes = time;
        self
    }
}

/// Where the address is, as far as this node can tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AddressState {
    /// On this node, and usable.
    Here,
    /// Not on this node.
    NotHere,
}

/// An address that follows safe leadership.
///
/// The driver attaches it on the node whose leadership is safe, looks at it again and again, and attaches it anew when it
/// is gone. A node without leadership only ever detaches.
#[async_trait]
pub trait FloatingIp: Send + Sync + Debug {
    /// What this backend can promise.
    fn capabilities(&self) -> FloatingIpCapabilities;

    /// Makes the address reach this node. Attaching what is attached re-asserts it (announces it anew) and is cheap.
    ///
    /// # Errors
    ///
    /// `Fenced` when a newer term has attached it; `NotReady` while another node holds it and it cannot be taken;
    /// `Unknown` when it may be attached now or within `longest_in_flight`. After an error or a dropped call the address may be
    /// here: [`detach`](Self::detach) undoes it.
    async fn attach(&self, term: Term, timeout: Duration) -> Result<(), Error>;

    /// Makes this node not answer at the address, and closes what is open through it where that is possible. Detaching what
    /// is not attached is `Ok`. It never touches the address on another node.
    ///
    /// # Errors
    ///
    /// `Unknown` when it may still be here.
    async fn detach(&self, timeout: Duration) -> Result<(), Error>;

    /// Whether the address is here, by looking at the thing itself (interface, socket, API), not at a memory of it.
    ///
    /// # Errors
    ///
    /// `Unavailable` when it cannot be told now.
    async fn look(&self, timeout: Duration) -> Result<AddressState, Error>;
}
