//! The failover state machine: pure, without clock, randomness or input and output.
//!
//! It is handed the time and what happened ([`Machine::handle`]), and answers with actions ([`Machine::poll_action`]) and events
//! ([`Machine::poll_event`]); [`Machine::poll_timeout`] says when it wants to be handed the time again. It never reads a clock, draws a
//! random number or touches the world.

mod action;
mod config;
mod input;
mod state;
mod status;

pub use action::{Action, CallId, Memo, Order};
pub use config::{AddressFacts, Bootstrap, Config};
pub use input::{Answer, Command, Input};
pub use state::StateName;
pub use status::Status;

use crate::event::Event;
use crate::time::Moment;

/// One member's failover state machine.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Machine {
    config: Config,
}

impl Machine {
    /// A machine that knows nothing yet. `memo` is what was last remembered beside the data; `incarnation` is drawn at random once a
    /// process start.
    pub fn new(config: Config, _memo: Memo, _incarnation: u64, _now: Moment) -> Self {
        Self { config }
    }

    /// Takes what happened at `now`, which never goes back.
    pub fn handle(&mut self, _now: Moment, _input: Input) {}

    /// The next thing to do.
    pub fn poll_action(&mut self) -> Option<Action> {
        None
    }

    /// The next thing to tell.
    pub fn poll_event(&mut self) -> Option<Event> {
        None
    }

    /// When to hand it the time again, at the latest.
    pub fn poll_timeout(&self) -> Option<Moment> {
        None
    }

    /// A picture of it.
    pub fn status(&self) -> Status {
        unreachable!("{:?}", self.config)
    }
}
