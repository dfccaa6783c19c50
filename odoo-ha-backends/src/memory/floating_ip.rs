//! An address in memory.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use odoo_ha_core::error::{Error, ErrorKind};
use odoo_ha_core::roles::{AddressState, FloatingIp, FloatingIpCapabilities};
use odoo_ha_core::term::Term;

use super::switch::{Switch, lock};

/// One address that at most one node holds: the thing that all [`MemoryFloatingIp`]s of a cluster share.
#[derive(Clone, Debug)]
pub struct MemoryNetwork {
    capabilities: FloatingIpCapabilities,
    state: Arc<Mutex<Address>>,
}

#[derive(Debug, Default)]
struct Address {
    nodes: u64,
    holder: Option<u64>,
    highest: Term,
    moves: u64,
}

impl MemoryNetwork {
    /// An address that nobody holds, of a network that promises this much.
    pub fn new(capabilities: FloatingIpCapabilities) -> Self {
        Self { capabilities, state: Arc::default() }
    }

    /// Another node of the network.
    #[must_use]
    pub fn node(&self) -> MemoryFloatingIp {
        let mut state = lock(&self.state);
        state.nodes += 1;
        MemoryFloatingIp { network: self.clone(), node: state.nodes, switch: Arc::default() }
    }

    /// How often the address came to another node so far.
    pub fn moves(&self) -> u64 {
        lock(&self.state).moves
    }

    /// Takes the address from whoever holds it, as an operator's mistake does.
    pub fn take_away(&self) {
        lock(&self.state).holder = None;
    }
}

/// The address as one node sees it. A clone is the same node.
#[derive(Clone, Debug)]
pub struct MemoryFloatingIp {
    network: MemoryNetwork,
    node: u64,
    switch: Arc<Switch>,
}

impl MemoryFloatingIp {
    /// Makes this node's calls unanswered, or answered again. An unanswered call does nothing.
    pub fn set_silent(&self, silent: bool) {
        self.switch.set_silent(silent);
    }
}

#[async_trait]
impl FloatingIp for MemoryFloatingIp {
    fn capabilities(&self) -> FloatingIpCapabilities {
        self.network.capabilities
    }

    async fn attach(&self, term: Term, timeout: Duration) -> Result<(), Error> {
        self.switch.answer(timeout, ErrorKind::Unknown, "attaching the address").await?;
        let mut state = lock(&self.network.state);
        let promised = self.network.capabilities;
        if promised.fences_by_term && term < state.highest {
            let highest = state.highest;
            return Err(Error::new(
                ErrorKind::Fenced,
                format!("term {term} is older than {highest}, which had the address"),
            ));
        }
        if state.holder.is_some_and(|holder| holder != self.node) && !promised.moves_authoritatively {
            return Err(Error::new(ErrorKind::NotReady, "another node holds the address"));
        }
        state.highest = state.highest.max(term);
        if state.holder != Some(self.node) {
            state.moves += 1;
        }
        state.holder = Some(self.node);
        Ok(())
    }

    async fn detach(&self, timeout: Duration) -> Result<(), Error> {
        self.switch.answer(timeout, ErrorKind::Unknown, "detaching the address").await?;
        let mut state = lock(&self.network.state);
        if state.holder == Some(self.node) {
            state.holder = None;
        }
        Ok(())
    }

    async fn look(&self, timeout: Duration) -> Result<AddressState, Error> {
        self.switch.answer(timeout, ErrorKind::Unavailable, "looking at the address").await?;
        let here = lock(&self.network.state).holder == Some(self.node);
        Ok(if here { AddressState::Here } else { AddressState::NotHere })
    }
}
