//! Whose turn it is: what makes a process frozen, a thread blocked and the executor's order another one, all by virtual time.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use odoo_ha_core::driver::Turns;
use tokio::time::{Instant, sleep_until};

use super::chance::Chance;
use super::state::locked;

/// One step in so many is put behind the others that are due.
const PUT_OFF: u64 = 12;

/// Steps of one agent while no time passes; it takes some dozen at most.
const MAX_STEPS: u64 = 100_000;

/// The turns of one start of one agent.
#[derive(Debug)]
pub(super) struct NodeTurns(Mutex<Inner>);

#[derive(Debug)]
struct Inner {
    chance: Chance,
    /// The process does nothing.
    frozen: bool,
    /// It will be frozen just before the next step on this lane.
    freezes_at: Option<String>,
    /// How many steps it took at which moment.
    steps: (Instant, u64),
    /// It took steps for ever while no time passed.
    spins: bool,
    /// These threads do nothing until then.
    blocked: BTreeMap<String, Instant>,
    /// The process has died: what is left of it only goes away.
    over: bool,
    /// Whose turn it was last.
    current: String,
    waiting: Vec<Waker>,
}

impl NodeTurns {
    pub(super) fn new(chance: Chance) -> Arc<Self> {
        Arc::new(Self(Mutex::new(Inner {
            chance,
            frozen: false,
            freezes_at: None,
            steps: (Instant::now(), 0),
            spins: false,
            blocked: BTreeMap::new(),
            over: false,
            current: String::new(),
            waiting: Vec::new(),
        })))
    }

    /// The lane whose task takes its step now.
    pub(super) fn current(&self) -> String {
        locked(&self.0).current.clone()
    }

    pub(super) fn is_frozen(&self) -> bool {
        locked(&self.0).frozen
    }

    /// Whether it is frozen, or about to be.
    pub(super) fn freezes(&self) -> bool {
        let inner = locked(&self.0);
        inner.frozen || inner.freezes_at.is_some()
    }

    /// Whether a task of this lane had its turn now.
    pub(super) fn is_open(&self, lane: &str) -> bool {
        let inner = locked(&self.0);
        !inner.frozen && !inner.blocked.contains_key(lane)
    }

    /// Whether it spins: it will never do anything else.
    pub(super) fn spins(&self) -> bool {
        locked(&self.0).spins
    }

    /// Freezes the process: at once, or when a task of this lane is about to take its next step.
    pub(super) fn freeze(&self, at_lane: Option<&str>) {
        let mut inner = locked(&self.0);
        match at_lane {
            Some(lane) => inner.freezes_at = Some(lane.to_owned()),
            None => inner.frozen = !inner.over,
        }
    }

    pub(super) fn thaw(&self) {
        {
            let mut inner = locked(&self.0);
            inner.frozen = false;
            inner.freezes_at = None;
        }
        self.wake();
    }

    /// Blocks a thread until then.
    pub(super) fn block(self: &Arc<Self>, lane: &str, until: Instant) {
        {
            let mut inner = locked(&self.0);
            if inner.over {
                return;
            }
            let blocked = inner.blocked.entry(lane.to_owned()).or_insert(until);
            *blocked = until.max(*blocked);
        }
        let (turns, lane) = (self.clone(), lane.to_owned());
        tokio::spawn(async move {
            sleep_until(until).await;
            locked(&turns.0).blocked.retain(|blocked, end| *blocked != lane || *end > until);
            turns.wake();
        });
    }

    /// The process has died.
    pub(super) fn end(&self) {
        {
            let mut inner = locked(&self.0);
            inner.over = true;
            inner.frozen = false;
            inner.blocked.clear();
        }
        self.wake();
    }

    fn wake(&self) {
        let waiting = std::mem::take(&mut locked(&self.0).waiting);
        for waker in waiting {
            waker.wake();
        }
    }
}

impl Turns for NodeTurns {
    fn poll_turn(&self, lane: &str, context: &mut Context<'_>) -> Poll<()> {
        let mut inner = locked(&self.0);
        if inner.over {
            return Poll::Ready(());
        }
        let now = Instant::now();
        inner.steps = if inner.steps.0 == now { (now, inner.steps.1 + 1) } else { (now, 0) };
        if inner.steps.1 > MAX_STEPS {
            inner.spins = true;
            inner.frozen = true;
        }
        if inner.freezes_at.as_deref() == Some(lane) {
            inner.freezes_at = None;
            inner.frozen = true;
        }
        if inner.frozen || inner.blocked.contains_key(lane) {
            inner.waiting.push(context.waker().clone());
            return Poll::Pending;
        }
        if inner.chance.one_in(PUT_OFF) {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        if inner.current != lane {
            inner.current = lane.to_owned();
        }
        Poll::Ready(())
    }
}
