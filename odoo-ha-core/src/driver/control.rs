//! The control loop: hands the machine the time and what happened, and does what it says. It decides nothing, and no foreign
//! code runs on its thread.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, mpsc, watch};
use tracing::level_filters::LevelFilter;

use crate::machine::{Command, Input, Machine, StateName, Status};
use crate::time::Moment;

use super::calls::Calls;
use super::clock::{Clock, Timer};
use super::events::Events;
use super::log::{Line, Log};
use super::probes::Believed;
use super::watches::{Told, Watches};

/// A change of the wall clock against the monotonic one, from one wake to the next, that is told as a jump. Time daemons correct
/// up to 128 ms (ntpd) by slewing, which is no jump; and a pause of the machine that no monotonic clock shows is dangerous only
/// from the length of `clock_margin` and `stop_budget` on, some hundred milliseconds at least. A false alarm costs one early renewal.
const JUMP_NANOS: u128 = 500_000_000;

/// How soon after it was handed the time the machine is handed it again, at the earliest: a machine that always wants it at
/// once would keep the thread busy.
const LEAST_WAIT: Duration = Duration::from_millis(1);

/// After the machine has stopped, calls that have no answer yet are waited for this long.
const LINGER: Duration = Duration::from_secs(2);

/// What the control loop works with.
pub(super) struct Control {
    pub(super) machine: Machine,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) timer: Box<dyn Timer>,
    pub(super) calls: Calls,
    pub(super) watches: Watches,
    pub(super) believed: Believed,
    pub(super) commands: mpsc::Receiver<Command>,
    pub(super) told: mpsc::Receiver<Told>,
    pub(super) kill: Arc<Notify>,
    pub(super) status: watch::Sender<Status>,
    pub(super) events: Events,
    /// Closed once the notifiers have delivered all.
    pub(super) delivered: mpsc::Receiver<()>,
    pub(super) log: Log,
}

/// Why the control loop ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The machine has stopped.
    Stopped,
    /// It was told to end at once.
    Killed,
}

impl Control {
    /// Runs until the machine has stopped and the notifiers have been told, or until `kill`.
    pub(super) async fn run(mut self) -> End {
        let end = self.turn().await;
        if end == End::Stopped {
            drop(self.events);
            let _ = tokio::time::timeout(LINGER, self.delivered.recv()).await;
        }
        // With the calls gone, nothing holds the lock of the state directory when the last status tells that the node has ended.
        self.calls.close().await;
        end
    }

    async fn turn(&mut self) -> End {
        let mut wall = self.clock.wall_offset();
        let mut commands_open = true;
        let mut stopped_at = None;
        self.hand(Input::Time);
        loop {
            let offset = self.clock.wall_offset();
            if offset.abs_diff(std::mem::replace(&mut wall, offset)) > JUMP_NANOS {
                self.hand(Input::ClockJumped);
            }
            let now = self.clock.now();
            self.calls.expire(now);
            // Before anything else that has happened: however much that is, no timer of the machine starves.
            let handed_time = self.machine.poll_timeout().is_some_and(|at| at <= now);
            if handed_time {
                self.hand(Input::Time);
            }
            if self.status.borrow().state == StateName::Stopped {
                let since = *stopped_at.get_or_insert(now);
                if self.calls.idle() || now.since(since) >= LINGER {
                    return End::Stopped;
                }
            }
            let earliest = if handed_time { now + LEAST_WAIT } else { Moment::ORIGIN };
            let timeouts = [
                self.machine.poll_timeout().map(|at| at.max(earliest)),
                self.calls.next_deadline(),
                stopped_at.map(|since| since + LINGER),
            ];
            let wake = timeouts.into_iter().flatten().min();
            let input = tokio::select! {
                biased;
                () = self.kill.notified() => return End::Killed,
                () = self.timer.wait_until(wake) => None,
                ended = self.calls.next() => {
                    self.watches.answered(&ended);
                    Some(Input::Finished { id: ended.id, result: ended.result })
                }
                input = self.watches.next() => input,
                command = self.commands.recv(), if commands_open => {
                    // Without a handle the node goes on.
                    commands_open = command.is_some();
                    command.map(Input::Command)
                }
                Some(told) = self.told.recv() => self.input_of(told),
            };
            if let Some(input) = input {
                self.hand(input);
            }
        }
    }

    fn input_of(&mut self, told: Told) -> Option<Input> {
        match told {
            Told::Changed { watch, revision, changes } => {
                self.watches.is_current(watch).then_some(Input::Changed { revision, changes })
            }
            Told::Questioned { ticket, question } => Some(Input::Questioned { ticket, question }),
            Told::Checked(checked) => self.believed.take(&checked),
        }
    }

    /// One mutation, then everything that follows from it.
    fn hand(&mut self, input: Input) {
        let term = self.status.borrow().term;
        self.log.at(LevelFilter::TRACE, || Line::Input { term, input: Box::new(input.clone()) });
        let now = self.clock.now();
        self.machine.handle(now, input);
        while let Some(action) = self.machine.poll_action() {
            self.log.at(LevelFilter::DEBUG, || Line::Action { term, action: Box::new(action.clone()) });
            self.calls.begin(action, now);
        }
        while let Some(event) = self.machine.poll_event() {
            self.events.publish(event);
        }
        let status = self.machine.status();
        self.status.send_if_modified(|old| {
            let changed = *old != status;
            *old = status;
            changed
        });
    }
}
