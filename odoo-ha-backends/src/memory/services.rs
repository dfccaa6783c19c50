//! Services in memory.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use odoo_ha_core::error::{Error, ErrorKind};
use odoo_ha_core::roles::{ServiceManager, ServiceState};
use odoo_ha_core::term::Term;

use super::switch::{Switch, lock};

/// Remembers whether the services were started. A clone is the same services.
#[derive(Clone, Debug, Default)]
pub struct MemoryServices {
    state: Arc<Mutex<State>>,
    switch: Arc<Switch>,
}

#[derive(Debug, Default)]
struct State {
    running: Option<ServiceState>,
    highest: Term,
    starts: u64,
}

impl MemoryServices {
    /// Services that are stopped.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// How often they went from stopped to running.
    pub fn starts(&self) -> u64 {
        lock(&self.state).starts
    }

    /// Makes them what a crash would make them.
    pub fn set_state(&self, state: ServiceState) {
        lock(&self.state).running = Some(state);
    }

    /// Makes their calls unanswered, or answered again. An unanswered call does nothing.
    pub fn set_silent(&self, silent: bool) {
        self.switch.set_silent(silent);
    }

    fn run(&self, term: Term, anew: bool) -> Result<(), Error> {
        let mut state = lock(&self.state);
        if term < state.highest {
            let highest = state.highest;
            return Err(Error::new(ErrorKind::Fenced, format!("the services have seen term {highest}, not {term}")));
        }
        state.highest = term;
        if anew || state.running != Some(ServiceState::Running) {
            state.starts += 1;
        }
        state.running = Some(ServiceState::Running);
        Ok(())
    }
}

#[async_trait]
impl ServiceManager for MemoryServices {
    async fn start(&self, term: Term, timeout: Duration) -> Result<(), Error> {
        self.switch.answer(timeout, ErrorKind::Unknown, "starting the services").await?;
        self.run(term, false)
    }

    async fn stop(&self, timeout: Duration) -> Result<(), Error> {
        self.switch.answer(timeout, ErrorKind::Unknown, "stopping the services").await?;
        lock(&self.state).running = None;
        Ok(())
    }

    async fn restart(&self, term: Term, timeout: Duration) -> Result<(), Error> {
        self.switch.answer(timeout, ErrorKind::Unknown, "restarting the services").await?;
        self.run(term, true)
    }

    async fn status(&self, timeout: Duration) -> Result<ServiceState, Error> {
        self.switch.answer(timeout, ErrorKind::Unavailable, "looking at the services").await?;
        Ok(lock(&self.state).running.unwrap_or(ServiceState::Stopped))
    }
}
