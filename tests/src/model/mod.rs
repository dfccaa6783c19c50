//! Model checking: every order of events within a bound, over the real machine.
//!
//! A [`Cluster`] is a model for `stateright`. Its states have real machines ([`odoo_ha_core::machine::Machine`], not a copy of it), a store, small
//! databases and everything that is on its way; a [`Step`] is one thing that can happen next. `state.rs` is what there is, `step.rs` what can
//! happen, `motion.rs` and `perform.rs` what comes of it, `judgement.rs` the properties, `beginnings.rs` where the exploration starts, and
//! `bounds.rs` how far it goes. Nothing of the simulator (`sim`) is used: two worlds made by hand have different mistakes.

mod beginnings;
mod bounds;
mod database;
mod judgement;
mod motion;
mod perform;
mod report;
mod sealed;
mod state;
mod step;
mod store;

use odoo_ha_core::machine::Config;
use stateright::{Model, Property};

pub use bounds::{Beginning, Bounds, Budget, Clocks, Mistake};
pub use report::{Found, Report, check};
pub use state::{State, Wrong};
pub use step::{Fate, Step};

use motion::Motion;

/// The model.
#[derive(Clone, Debug)]
pub struct Cluster {
    bounds: Bounds,
    configs: Vec<Config>,
    begins: State,
}

impl Cluster {
    /// Within these bounds.
    pub fn new(bounds: Bounds) -> Self {
        let configs = beginnings::configs(&bounds);
        let begins = beginnings::state(&bounds, &configs);
        Self { bounds, configs, begins }
    }

    /// How many terms there were before the first step.
    fn first_terms(&self) -> usize {
        self.begins.store.get().holders.len()
    }
}

impl Model for Cluster {
    type State = State;
    type Action = Step;

    fn init_states(&self) -> Vec<State> {
        vec![self.begins.clone()]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Step>) {
        step::steps(&self.bounds, state, actions);
    }

    fn next_state(&self, state: &State, step: Step) -> Option<State> {
        Motion::of(&self.bounds, &self.configs, state).step(step)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        judgement::properties()
    }
}
