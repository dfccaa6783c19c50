//! A filestore in memory.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use odoo_ha_core::database::Endpoint;
use odoo_ha_core::error::{Error, ErrorKind};
use odoo_ha_core::member::MemberId;
use odoo_ha_core::roles::{FilestoreStatus, FilestoreSync};
use odoo_ha_core::term::Term;

use super::switch::{Switch, lock};

/// What a [`MemoryFilestore`] was last told to be.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum FilestoreRole {
    /// Neither side.
    #[default]
    Resting,
    /// The side that users write to.
    Leading(Term),
    /// A copy of this member's files.
    Following(Term, MemberId),
}

/// Remembers what it was told and keeps no files. A clone is the same filestore.
#[derive(Clone, Debug, Default)]
pub struct MemoryFilestore {
    state: Arc<Mutex<State>>,
    switch: Arc<Switch>,
}

#[derive(Debug, Default)]
struct State {
    role: FilestoreRole,
    highest: Term,
    status: FilestoreStatus,
}

impl MemoryFilestore {
    /// A filestore that rests.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// What it was last told to be.
    pub fn role(&self) -> FilestoreRole {
        lock(&self.state).role.clone()
    }

    /// What [`status`](FilestoreSync::status) says from now on.
    pub fn set_status(&self, status: FilestoreStatus) {
        lock(&self.state).status = status;
    }

    /// Makes its calls unanswered, or answered again. An unanswered call does nothing.
    pub fn set_silent(&self, silent: bool) {
        self.switch.set_silent(silent);
    }

    fn become_role(&self, term: Term, role: FilestoreRole) -> Result<(), Error> {
        let mut state = lock(&self.state);
        if term < state.highest {
            let highest = state.highest;
            return Err(Error::new(ErrorKind::Fenced, format!("the filestore has seen term {highest}, not {term}")));
        }
        state.highest = term;
        state.role = role;
        Ok(())
    }
}

#[async_trait]
impl FilestoreSync for MemoryFilestore {
    async fn lead(&self, term: Term, timeout: Duration) -> Result<(), Error> {
        self.switch.answer(timeout, ErrorKind::Unknown, "the filestore").await?;
        self.become_role(term, FilestoreRole::Leading(term))
    }

    async fn follow(
        &self,
        term: Term,
        leader: &MemberId,
        _endpoint: Option<&Endpoint>,
        timeout: Duration,
    ) -> Result<(), Error> {
        self.switch.answer(timeout, ErrorKind::Unknown, "the filestore").await?;
        self.become_role(term, FilestoreRole::Following(term, leader.clone()))
    }

    async fn rest(&self, timeout: Duration) -> Result<(), Error> {
        self.switch.answer(timeout, ErrorKind::Unknown, "the filestore").await?;
        lock(&self.state).role = FilestoreRole::Resting;
        Ok(())
    }

    async fn status(&self, timeout: Duration) -> Result<FilestoreStatus, Error> {
        self.switch.answer(timeout, ErrorKind::Unavailable, "the filestore").await?;
        Ok(lock(&self.state).status)
    }
}
