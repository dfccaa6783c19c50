//! What a machine is told once, when it is made.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::database::Endpoint;
use crate::error::{Error, ErrorKind};
use crate::member::{ClusterId, MemberId, Tags};
use crate::policy::{Policy, Timing};

/// Whether this member may begin a cluster that does not exist yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum Bootstrap {
    /// With a new, empty database.
    #[default]
    Create,
    /// With the data that this member has. The operator's word that they are the right ones.
    Adopt,
    /// Never: it waits for another member to begin.
    Never,
}

/// What is known of the address backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct AddressFacts {
    /// It refuses an older term, whichever node asks.
    pub fences_by_term: bool,
    /// Attaching takes it away from whoever has it.
    pub moves_authoritatively: bool,
    /// How long a lost attach may still happen.
    pub longest_in_flight: Duration,
    /// How long an attach takes where nothing hinders it.
    pub attach_takes: Duration,
}

/// What a machine is told once, when it is made.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Config {
    /// The cluster.
    pub cluster: ClusterId,
    /// This member.
    pub me: MemberId,
    /// Where this member's database listens for the others.
    pub endpoint: Endpoint,
    /// The times.
    pub timing: Timing,
    /// What is striven for.
    pub policy: Policy,
    /// The cluster's policy stands in the store: a leader writes what is in force there if nothing is. A policy that stands there is followed in any case.
    pub policy_in_store: bool,
    /// The operator's words about this member.
    pub tags: Tags,
    /// Whether it may begin the cluster.
    pub bootstrap: Bootstrap,
    /// Members that must have reported that they hold no data before a new database is made (protocol rule 38).
    pub founders: BTreeSet<MemberId>,
    /// Where other members ask this one what they cannot ask the store; `None`: there is no such way, and a leader that does not reach the
    /// store gives up.
    pub peer: Option<String>,
    /// The address, where there is one.
    pub address: Option<AddressFacts>,
    /// There are services to start and stop.
    pub services: bool,
    /// There is a filestore to hand over.
    pub filestore: bool,
    /// There is a watchdog, and it acts this long before its deadline.
    pub watchdog: Option<Duration>,
}

impl AddressFacts {
    /// Attaching it takes it away from an older term for certain: nobody need be waited for (protocol rule 42).
    pub(super) const fn is_taken_by_term(&self) -> bool {
        self.fences_by_term && self.moves_authoritatively
    }
}

impl Config {
    /// A configuration with the defaults.
    pub fn new(cluster: ClusterId, me: MemberId, endpoint: Endpoint) -> Self {
        Self {
            cluster,
            me,
            endpoint,
            timing: Timing::default(),
            policy: Policy::default(),
            policy_in_store: false,
            tags: Tags::default(),
            bootstrap: Bootstrap::default(),
            founders: BTreeSet::new(),
            peer: None,
            address: None,
            services: false,
            filestore: false,
            watchdog: None,
        }
    }

    /// Checks what must hold for the promises to hold.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Misconfigured`], naming the rule that is broken and the values that break it.
    pub fn check(&self) -> Result<(), Error> {
        self.timing.check()?;
        self.policy.check()?;
        if self.tags.replicate_from.as_ref() == Some(&self.me) {
            return Err(Error::new(
                ErrorKind::Misconfigured,
                format!("replicate_from names this member ({}) itself", self.me),
            )
            .hint("name the standby that it is to stream from, or leave it out to stream from the leader"));
        }
        if let Some(acts_before) = self.watchdog
            && acts_before > self.timing.stop_budget
        {
            return Err(Error::new(
                ErrorKind::Misconfigured,
                format!(
                    "watchdog acts_before <= stop_budget does not hold: {acts_before:?} > {:?}",
                    self.timing.stop_budget
                ),
            )
            .hint(
                "the watchdog would act on a leader that is giving up in good order; lower the one or raise the other",
            ));
        }
        if let Some(address) = &self.address
            && address.longest_in_flight > self.timing.ttl
        {
            return Err(Error::new(
                ErrorKind::Misconfigured,
                format!(
                    "the address's longest_in_flight <= ttl does not hold: {:?} > {:?}",
                    address.longest_in_flight, self.timing.ttl
                ),
            )
            .hint("raise ttl"));
        }
        if let Some(address) = &self.address
            && address.attach_takes > self.timing.attach_timeout()
        {
            return Err(Error::new(
                ErrorKind::Misconfigured,
                format!(
                    "the address's attach_takes <= ttl / 4 does not hold: {:?} > {:?}",
                    address.attach_takes,
                    self.timing.attach_timeout()
                ),
            )
            .hint("it would never be attached: raise ttl, or have the address backend wait less"));
        }
        Ok(())
    }
}
