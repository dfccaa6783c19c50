//! Where the exploration starts: states reached from nothing by a fixed schedule of the same steps.

use std::num::NonZeroU32;
use std::time::Duration;

use odoo_ha_core::database::{DatabaseState, Endpoint};
use odoo_ha_core::machine::{Config, StateName};
use odoo_ha_core::member::{ClusterId, MemberId};
use odoo_ha_core::policy::Timing;

use super::bounds::{Beginning, Bounds, Budget, Clocks, Mistake};
use super::motion::Motion;
use super::sealed::Sealed;
use super::state::State;
use super::step::{Step, steps};
use super::store::Store;

/// A schedule that has not come to its end by then never does.
const MAX_STEPS: usize = 4000;

/// The members' configurations: defaults, without address and watchdog, whose rules are the simulator's matter.
pub(super) fn configs(bounds: &Bounds) -> Vec<Config> {
    let of = |letter: char| {
        let name = letter.to_string();
        let endpoint = Endpoint { host: name.clone(), port: 5432 };
        let cluster = ClusterId::new("model").expect("a good name");
        let mut config = Config::new(cluster, MemberId::new(name).expect("a good name"), endpoint);
        config.timing = Timing::with_ttl(Duration::from_secs(5));
        config.policy.quorum = NonZeroU32::new(bounds.quorum);
        config.check().expect("a sound configuration");
        config
    };
    ('a'..='z').take(bounds.members).map(of).collect()
}

/// The first state.
pub(super) fn state(bounds: &Bounds, configs: &[Config]) -> State {
    let none = Budget { writes: 0, crashes: 9, lost: 0, freezes: 0, switchovers: 0 };
    // The schedule is the same for all bounds, and without mistakes.
    let calm = Bounds {
        depth: u16::MAX,
        clocks: Clocks::Common,
        fine: false,
        mistake: Mistake::None,
        budget: none,
        ..*bounds
    };
    let mut state = State {
        nodes: configs.iter().map(|config| Sealed::new(Motion::fresh(config.me.clone()))).collect(),
        store: Sealed::new(Store::default()),
        left: none,
        late: Vec::new(),
        waiting: Vec::new(),
        promised: Vec::new(),
        unanswered: super::state::Unanswered::default(),
        wrong: None,
        depth: 0,
    };
    if bounds.beginning != Beginning::Nothing {
        state = run(&calm, configs, state, |state| whole(state, 0));
        match bounds.beginning {
            Beginning::Nothing | Beginning::Whole => {}
            Beginning::FailedOver => {
                state = take(&calm, configs, &state, Step::KillHost(0)).expect("it can be killed");
                state = run_without(&calm, configs, state, 0, |state| leads(state, 1));
            }
            Beginning::Dropped => {
                let last = bounds.members - 1;
                state = take(&calm, configs, &state, Step::KillHost(last)).expect("it can be killed");
                state = run_without(&calm, configs, state, last, |state| {
                    let names = state.store.get().sync.as_ref().map_or(0, |sync| sync.names.len());
                    names + 2 == state.nodes.len() && leads(state, 0)
                });
                state = run(&calm, configs, state, |state| state.node(last).database.streaming);
            }
        }
    }
    state.left = bounds.budget;
    state.depth = 0;
    state
}

fn leads(state: &State, i: usize) -> bool {
    let node = state.node(i);
    node.doing == StateName::Leading && node.calls.is_empty() && node.database.state == DatabaseState::Primary
}

/// Member `i` leads, all others are named, and nothing is under way.
fn whole(state: &State, i: usize) -> bool {
    let named = state.store.get().sync.as_ref().map_or(0, |sync| sync.names.len());
    let quiet = |node: &super::state::Node| node.calls.is_empty() && node.news.is_empty();
    leads(state, i) && named + 1 == state.nodes.len() && state.all().all(quiet)
}

fn take(bounds: &Bounds, configs: &[Config], state: &State, step: Step) -> Option<State> {
    Motion::of(bounds, configs, state).step(step)
}

fn run(bounds: &Bounds, configs: &[Config], state: State, until: impl Fn(&State) -> bool) -> State {
    run_without(bounds, configs, state, usize::MAX, until)
}

/// Lets everything go its ordinary way, without starting the dead agent of `dead`, until something holds.
fn run_without(
    bounds: &Bounds,
    configs: &[Config],
    mut state: State,
    dead: usize,
    until: impl Fn(&State) -> bool,
) -> State {
    let mut possible = Vec::new();
    for _ in 0..MAX_STEPS {
        if until(&state) {
            return state;
        }
        possible.clear();
        steps(bounds, &state, &mut possible);
        let rank = |step: &Step| match step {
            Step::Start(i) if *i != dead => Some(0),
            Step::Do(..) => Some(1),
            Step::News(_) => Some(2),
            Step::Receive(_) => Some(3),
            Step::Land(_) => Some(4),
            Step::Time => Some(5),
            _ => None,
        };
        possible.retain(|step| rank(step).is_some());
        possible.sort_by_key(|step| rank(step));
        let next = possible.iter().find_map(|step| take(bounds, configs, &state, *step));
        state = next.unwrap_or_else(|| panic!("nothing can happen any more:\n{}", state.picture()));
    }
    panic!("not within {MAX_STEPS} steps:\n{}", state.picture())
}
