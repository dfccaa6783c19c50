//! A watchdog in memory.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use odoo_ha_core::error::{Error, ErrorKind};
use odoo_ha_core::roles::{Feed, Watchdog};
use odoo_ha_core::term::Term;
use odoo_ha_core::time::Moment;
use tokio::sync::watch;

use super::switch::lock;

/// A watchdog that acts when a test hands it a time past its deadline; it knows no clock and harms nothing by itself. A clone is
/// the same watchdog.
#[derive(Clone, Debug)]
pub struct MemoryWatchdog {
    acts_before: Duration,
    state: Arc<Mutex<State>>,
    alive: Arc<watch::Sender<bool>>,
}

#[derive(Debug, Default)]
struct State {
    armed: Option<Feed>,
    /// The term against which it acted; kept until a newer term arms it.
    acted: Option<Term>,
}

impl MemoryWatchdog {
    /// A watchdog that is not armed and begins to act this long before a deadline.
    pub fn new(acts_before: Duration) -> Self {
        Self { acts_before, state: Arc::default(), alive: Arc::new(watch::Sender::new(true)) }
    }

    /// The feed it holds, when it is armed.
    pub fn armed(&self) -> Option<Feed> {
        lock(&self.state).armed
    }

    /// Acts when it is armed and this moment is not before its deadline less [`acts_before`](Watchdog::acts_before). Gives
    /// the term against which it acted; the test makes the node harmless then.
    pub fn handle_time(&self, now: Moment) -> Option<Term> {
        let mut state = lock(&self.state);
        let feed = state.armed?;
        if now < feed.deadline?.before(self.acts_before) {
            return None;
        }
        state.armed = None;
        state.acted = Some(feed.term);
        Some(feed.term)
    }

    /// It dies: what waits in [`lost`](Watchdog::lost) is told, and nothing is armed any more. Arming starts another.
    pub fn die(&self) {
        lock(&self.state).armed = None;
        self.alive.send_replace(false);
    }
}

#[async_trait]
impl Watchdog for MemoryWatchdog {
    fn acts_before(&self) -> Duration {
        self.acts_before
    }

    async fn arm(&self, feed: Feed, _timeout: Duration) -> Result<(), Error> {
        let mut state = lock(&self.state);
        if state.acted.is_some_and(|acted| feed.term <= acted) {
            return Err(acted_already());
        }
        if state.armed.is_some_and(|armed| feed.term < armed.term) {
            return Err(Error::new(ErrorKind::Fenced, "the watchdog is armed for a newer term"));
        }
        *state = State { armed: Some(feed), acted: None };
        self.alive.send_replace(true);
        Ok(())
    }

    async fn feed(&self, feed: Feed, _timeout: Duration) -> Result<(), Error> {
        let mut state = lock(&self.state);
        if state.acted.is_some() {
            return Err(acted_already());
        }
        let Some(armed) = state.armed else {
            return Err(Error::new(ErrorKind::Unavailable, "the watchdog is not armed").hint("arm it anew"));
        };
        if fed_by_another(armed, feed) {
            return Err(Error::new(ErrorKind::Fenced, "a newer term or another start of the agent feeds the watchdog"));
        }
        state.armed = Some(feed);
        Ok(())
    }

    async fn disarm(&self, _timeout: Duration) -> Result<(), Error> {
        lock(&self.state).armed = None;
        Ok(())
    }

    async fn lost(&self) {
        // The sender lives as long as this watchdog does, so waiting ends only by a death.
        let _ = self.alive.subscribe().wait_for(|alive| !alive).await;
    }
}

fn acted_already() -> Error {
    Error::new(ErrorKind::Fenced, "the watchdog has acted already").hint("only a newer term arms it anew")
}

fn fed_by_another(armed: Feed, feed: Feed) -> bool {
    feed.term < armed.term || feed.incarnation != armed.incarnation
}
