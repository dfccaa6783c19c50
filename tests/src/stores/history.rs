//! Whether what several clients of a store saw could have happened one after another.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use odoo_ha_core::error::ErrorKind;
use odoo_ha_core::roles::Dcs;
use odoo_ha_core::store::{Commit, Guard, Key, Snapshot};
use stateright::semantics::{ConsistencyTester, LinearizabilityTester, SequentialSpec};

/// What the keys of the history hold in a world in which one thing happens after another: the same number in each of them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Register(Option<u32>);

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Call {
    Read,
    Swap { expected: Option<u32>, new: u32 },
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Answer {
    Value(Option<u32>),
    Swapped,
    Conflict,
}

impl SequentialSpec for Register {
    type Op = Call;
    type Ret = Answer;

    fn invoke(&mut self, call: &Call) -> Answer {
        match call {
            Call::Read => Answer::Value(self.0),
            Call::Swap { expected, .. } if *expected != self.0 => Answer::Conflict,
            Call::Swap { new, .. } => {
                self.0 = Some(*new);
                Answer::Swapped
            }
        }
    }
}

/// One call, from its beginning to its end, both as places in the order of all beginnings and ends.
#[derive(Debug)]
struct Recorded {
    client: u32,
    call: Call,
    began: usize,
    /// `None`: it may have happened, and may yet.
    ended: Option<(usize, Answer)>,
}

/// What several clients did at the same time to two keys of one cluster, which they always write together.
#[derive(Debug, Default)]
pub struct History {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    clock: usize,
    calls: Vec<Recorded>,
    values: u32,
}

impl History {
    /// Lets one client read and compare-and-swap until it was answered this often. Gives how many of its commits may or may
    /// not have happened.
    ///
    /// # Panics
    ///
    /// When a read shows the keys of two commits, or a call outlives its timeout.
    pub async fn client(&self, number: u32, store: &dyn Dcs, answers: u32, timeout: Duration) -> u32 {
        let (mut answered, mut unknown) = (0, 0);
        while answered < answers {
            let began = self.tick();
            let read = in_time(timeout, store.read(timeout)).await;
            let Ok(snapshot) = read else {
                // Nothing was seen and nothing done.
                tokio::time::sleep(Duration::from_millis(20)).await;
                continue;
            };
            answered += 1;
            let expected = value(&snapshot);
            self.add(Recorded {
                client: number,
                call: Call::Read,
                began,
                ended: Some((self.tick(), Answer::Value(expected))),
            });

            let (new, began) = (self.new_value(), self.tick());
            let result = in_time(timeout, store.commit(&swap(&snapshot, new), timeout)).await;
            let ended = match result.map_err(|error| error.kind()) {
                Ok(_) => Some((self.tick(), Answer::Swapped)),
                Err(ErrorKind::Conflict) => Some((self.tick(), Answer::Conflict)),
                Err(ErrorKind::Unknown) => None,
                Err(kind) if kind.certainly_did_not_happen() => continue,
                Err(kind) => panic!("a commit ended as {kind}"),
            };
            match ended {
                Some(_) => answered += 1,
                None => unknown += 1,
            }
            self.add(Recorded { client: number, call: Call::Swap { expected, new }, began, ended });
        }
        unknown
    }

    /// How many calls were answered or may have happened.
    pub fn len(&self) -> usize {
        self.state().calls.len()
    }

    /// Whether nothing was recorded.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// # Panics
    ///
    /// When no order of the calls, each at one moment between its beginning and its end, explains all answers.
    pub fn assert_linearizable(&self) {
        let tester = self.tester();
        assert!(tester.is_consistent(), "no order explains {:#?}", self.state().calls);
    }

    fn tester(&self) -> LinearizabilityTester<(u32, usize), Register> {
        enum Event<'a> {
            Begin(&'a Call),
            End(&'a Answer),
        }
        let state = self.state();
        let mut events = BTreeMap::new();
        for (place, recorded) in state.calls.iter().enumerate() {
            // What was never answered is under way for ever, so it gets a thread of its own.
            let thread = (recorded.client, if recorded.ended.is_some() { 0 } else { place + 1 });
            events.insert(recorded.began, (thread, Event::Begin(&recorded.call)));
            if let Some((ended, answer)) = &recorded.ended {
                events.insert(*ended, (thread, Event::End(answer)));
            }
        }
        let mut tester = LinearizabilityTester::new(Register(None));
        for (thread, event) in events.into_values() {
            let taken = match event {
                Event::Begin(call) => tester.on_invoke(thread, call.clone()).map(|_| ()),
                Event::End(answer) => tester.on_return(thread, answer.clone()).map(|_| ()),
            };
            taken.unwrap_or_else(|error| panic!("the history is no history: {error}"));
        }
        tester
    }

    fn tick(&self) -> usize {
        let mut state = self.state();
        state.clock += 1;
        state.clock
    }

    fn new_value(&self) -> u32 {
        let mut state = self.state();
        state.values += 1;
        state.values
    }

    fn add(&self, recorded: Recorded) {
        self.state().calls.push(recorded);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A call that ends when it must; a second is what a busy machine may take more.
async fn in_time<T>(timeout: Duration, call: impl Future<Output = T>) -> T {
    let limit = timeout + Duration::from_secs(1);
    tokio::time::timeout(limit, call)
        .await
        .unwrap_or_else(|_| panic!("a call with {timeout:?} took more than {limit:?}"))
}

fn keys() -> [Key; 2] {
    [Key::leader(), Key::sync()]
}

/// The number that all keys hold.
fn value(snapshot: &Snapshot) -> Option<u32> {
    let [one, other] = keys().map(|key| snapshot.entries.get(&key).map(|entry| entry.value.clone()));
    assert_eq!(one, other, "keys of one commit seen apart");
    one.map(|value| String::from_utf8_lossy(&value).parse().expect("it is a number of this history"))
}

/// Writes all keys if they are as they were seen.
fn swap(seen: &Snapshot, new: u32) -> Commit {
    let guard = |key: Key| match seen.entries.get(&key) {
        Some(entry) => Guard::Version(key, entry.version),
        None => Guard::Absent(key),
    };
    let value = new.to_string().into_bytes();
    Commit { guards: keys().map(guard).to_vec(), writes: keys().into_iter().map(|key| (key, value.clone())).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Who called what, when it began, and how it ended.
    type Told = (u32, Call, usize, Option<(usize, Answer)>);

    fn history(calls: &[Told]) -> History {
        let history = History::default();
        for (client, call, began, ended) in calls {
            history.add(Recorded { client: *client, call: call.clone(), began: *began, ended: ended.clone() });
        }
        history
    }

    const fn swap(expected: Option<u32>, new: u32) -> Call {
        Call::Swap { expected, new }
    }

    #[test]
    fn a_stale_read_is_seen() {
        let calls = |value| {
            [(1, swap(None, 1), 1, Some((2, Answer::Swapped))), (2, Call::Read, 3, Some((4, Answer::Value(value))))]
        };
        assert!(history(&calls(Some(1))).tester().is_consistent());
        assert!(!history(&calls(None)).tester().is_consistent());
    }

    #[test]
    fn two_winners_and_a_lost_write_are_seen() {
        let both =
            [(1, swap(None, 1), 1, Some((3, Answer::Swapped))), (2, swap(None, 2), 2, Some((4, Answer::Swapped)))];
        assert!(!history(&both).tester().is_consistent());
        let lost = [
            (1, swap(None, 1), 1, Some((2, Answer::Swapped))),
            (1, swap(Some(1), 2), 3, Some((4, Answer::Swapped))),
            (2, Call::Read, 5, Some((6, Answer::Value(Some(1))))),
        ];
        assert!(!history(&lost).tester().is_consistent());
    }

    #[test]
    fn what_was_not_answered_may_have_happened_or_happen_late() {
        for (seen, conflict) in [(Some(1), false), (None, false), (None, true)] {
            let mut calls = vec![(1, swap(None, 1), 1, None), (2, Call::Read, 2, Some((3, Answer::Value(seen))))];
            if conflict {
                calls.push((2, swap(None, 2), 4, Some((5, Answer::Conflict))));
            }
            assert!(history(&calls).tester().is_consistent(), "{seen:?} {conflict}");
        }
        // A conflict says that it did not happen: so nobody may see it.
        let lied = [
            (2, swap(Some(7), 2), 1, Some((2, Answer::Conflict))),
            (2, Call::Read, 3, Some((4, Answer::Value(Some(2))))),
        ];
        assert!(!history(&lied).tester().is_consistent());
    }
}
