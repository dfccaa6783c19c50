//! What becomes of calls when the code behind them misbehaves.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::mpsc;

use crate::database::{DatabaseAnswer, DatabaseOrder, Endpoint, FollowOrder, StopMode, Upstream};
use crate::error::{ErrorKind, Failure};
use crate::lsn::Timeline;
use crate::machine::{Action, Answer, CallId, Input, Memo, Order};
use crate::member::{ClusterId, MemberId, SystemId};
use crate::store::{Commit, Revision};
use crate::term::Term;
use crate::time::Moment;

use super::calls::{Calls, Ended};
use super::clock::{Clock, SystemClock};
use super::fakes::{Behave, Gate, World};
use super::lanes::{Lanes, NodeLanes};
use super::memo::MemoFile;
use super::perform::{Hands, Parts};
use super::questions::Questions;
use super::watches::{Told, Watches};

/// No test waits for longer; what it waits for comes at once, unless something is broken.
const PATIENCE: Duration = Duration::from_secs(30);

/// A timeout that no call in a test reaches.
const LONG: Duration = Duration::from_secs(3600);

/// A timeout that a call which never answers reaches soon.
const SHORT: Duration = Duration::from_millis(20);

/// Calls and watches over a world, on real lanes.
struct Bench {
    world: Arc<World>,
    calls: Calls,
    watches: Watches,
    told: mpsc::Receiver<Told>,
    next: u64,
    state_dir: PathBuf,
    /// Opened at the end, so that blocked threads end.
    gates: Vec<Gate>,
}

impl Bench {
    fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let world = Arc::new(World::default());
        let parts = Arc::new(Parts {
            dcs: world.clone(),
            database: world.clone(),
            address: Some(world.clone()),
            services: None,
            filestore: None,
            watchdog: Some(world.clone()),
            peers: None,
        });
        let state_dir = std::env::temp_dir().join(format!(
            "odoo-ha-calls-{}-{}",
            std::process::id(),
            NEXT.fetch_add(1, Ordering::Relaxed)
        ));
        let (cluster, member) = (ClusterId::new("shop").unwrap(), MemberId::new("a").unwrap());
        let (memo, _) = MemoFile::open(&state_dir, &cluster, &member).unwrap();
        let lanes = Arc::new(NodeLanes::new(&Lanes::new(), &parts.places()).unwrap());
        let questions = Arc::<Questions>::default();
        let hands = Hands {
            questions: questions.clone(),
            parts: parts.clone(),
            clock: Arc::new(SystemClock),
            memo: Arc::new(memo),
            incarnation: 1,
            turn: Arc::default(),
        };
        let (sender, told) = mpsc::channel(8);
        Self {
            world,
            calls: Calls::new(hands, lanes.clone()),
            watches: Watches::new(parts, lanes, sender, questions),
            told,
            next: 0,
            state_dir,
            gates: Vec::new(),
        }
    }

    /// Makes this method block its thread; returns what lets it go.
    fn block(&mut self, method: &'static str) -> Gate {
        let gate = Gate::default();
        self.gates.push(gate.clone());
        self.world.let_it(method, Behave::Block(gate.clone()));
        gate
    }

    fn begin(&mut self, order: Order, timeout: Duration) -> CallId {
        self.begin_before(order, timeout, None)
    }

    fn begin_before(&mut self, order: Order, timeout: Duration, not_after: Option<Moment>) -> CallId {
        self.next += 1;
        let id = CallId(self.next);
        self.calls.begin(Action { id, order, timeout, not_after }, SystemClock.now());
        id
    }

    /// The next answer, deadlines kept.
    async fn answer(&mut self) -> Ended {
        tokio::time::timeout(PATIENCE, async {
            loop {
                self.calls.expire(SystemClock.now());
                tokio::select! {
                    biased;
                    ended = self.calls.next() => return ended,
                    () = tokio::time::sleep(Duration::from_millis(1)) => {}
                }
            }
        })
        .await
        .expect("an answer")
    }

    async fn answer_to(&mut self, id: CallId) -> Result<Answer, Failure> {
        let ended = self.answer().await;
        assert_eq!(ended.id, id, "{ended:?}");
        ended.result
    }

    /// Waits until this method has been called so often.
    async fn called(&self, method: &'static str, times: usize) {
        let seen = async {
            while self.world.calls().iter().filter(|call| **call == method).count() < times {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(PATIENCE, seen).await.unwrap_or_else(|_| panic!("{method} was not called"));
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        for gate in &self.gates {
            gate.open();
        }
        let _ = std::fs::remove_dir_all(&self.state_dir);
    }
}

fn stop() -> Order {
    Order::Database(DatabaseOrder::Stop(StopMode::AtOnce { fast_for_ms: 0 }))
}

fn follow(term: u64) -> FollowOrder {
    FollowOrder {
        term: Term(term),
        upstream: Upstream { member: MemberId::new("b").unwrap(), endpoint: Endpoint { host: "b".into(), port: 5432 } },
        timeline: Timeline(1),
        system_id: SystemId(1),
        may_discard: false,
        reclone: false,
        members: Default::default(),
    }
}

fn kind(result: Result<Answer, Failure>) -> ErrorKind {
    result.unwrap_err().kind
}

#[tokio::test]
async fn every_order_reaches_its_role_and_is_answered() {
    let mut bench = Bench::new();
    let read = bench.begin(Order::Read, LONG);
    assert!(matches!(bench.answer_to(read).await, Ok(Answer::Snapshot(snapshot)) if snapshot.revision == Revision(7)));
    let look = bench.begin(Order::LookAtAddress, LONG);
    assert_eq!(bench.answer_to(look).await, Ok(Answer::AddressHere(true)));
    let remember = bench.begin(Order::Remember(Memo::default()), LONG);
    assert_eq!(bench.answer_to(remember).await, Ok(Answer::Done));
    assert!(bench.state_dir.join("memo.json").exists());
    let services = bench.begin(Order::StopServices, LONG);
    assert_eq!(kind(bench.answer_to(services).await), ErrorKind::Unsupported);
    assert!(bench.calls.idle());
}

#[tokio::test]
async fn no_answer_is_unknown_but_of_a_read_unavailable() {
    let mut bench = Bench::new();
    for method in ["read", "commit", "attach"] {
        bench.world.let_it(method, Behave::Hang);
    }
    let read = bench.begin(Order::Read, SHORT);
    assert_eq!(kind(bench.answer_to(read).await), ErrorKind::Unavailable);
    let commit = bench.begin(Order::Commit(Commit::default()), SHORT);
    assert_eq!(kind(bench.answer_to(commit).await), ErrorKind::Unknown);
    let attach = bench.begin(Order::AttachAddress { term: Term(1) }, SHORT);
    assert_eq!(kind(bench.answer_to(attach).await), ErrorKind::Unknown);
    bench.called("(dropped)", 3).await;
}

#[tokio::test]
async fn a_panicking_backend_is_an_unknown_failure_with_its_text() {
    let mut bench = Bench::new();
    bench.world.let_it("commit", Behave::Panic);
    let commit = bench.begin(Order::Commit(Commit::default()), LONG);
    let failure = bench.answer_to(commit).await.unwrap_err();
    assert_eq!(failure.kind, ErrorKind::Unknown);
    assert!(failure.message.contains("commit is broken"), "{failure}");
    let read = bench.begin(Order::Read, LONG);
    bench.answer_to(read).await.unwrap();
}

#[tokio::test]
async fn a_role_s_error_keeps_its_kind() {
    let mut bench = Bench::new();
    bench.world.let_it("commit", Behave::Fail(ErrorKind::Conflict));
    let commit = bench.begin(Order::Commit(Commit::default()), LONG);
    assert_eq!(kind(bench.answer_to(commit).await), ErrorKind::Conflict);
}

#[tokio::test]
async fn what_may_not_begin_any_more_is_fenced_without_a_call() {
    let mut bench = Bench::new();
    let now = SystemClock.now();
    let attach = bench.begin_before(Order::AttachAddress { term: Term(1) }, LONG, Some(now));
    assert_eq!(kind(bench.answer_to(attach).await), ErrorKind::Fenced);
    assert!(bench.world.calls().is_empty());
}

#[tokio::test]
async fn an_attach_whose_turn_comes_too_late_is_not_begun() {
    let mut bench = Bench::new();
    let gate = bench.block("look");
    let look = bench.begin(Order::LookAtAddress, LONG);
    bench.called("look", 1).await;
    let not_after = SystemClock.now() + SHORT;
    let attach = bench.begin_before(Order::AttachAddress { term: Term(1) }, LONG, Some(not_after));
    while SystemClock.now() < not_after {
        tokio::time::sleep(SHORT).await;
    }
    gate.open();
    bench.answer_to(look).await.unwrap();
    assert_eq!(kind(bench.answer_to(attach).await), ErrorKind::Fenced);
    assert!(!bench.world.calls().contains(&"attach"));
}

#[tokio::test]
async fn a_promotion_that_was_answered_while_it_waited_is_never_begun() {
    let mut bench = Bench::new();
    let gate = bench.block("freeze");
    let freeze = bench.begin(Order::Database(DatabaseOrder::Freeze), LONG);
    bench.called("freeze", 1).await;
    let checkpoint = bench.begin(Order::Database(DatabaseOrder::Checkpoint), SHORT);
    assert_eq!(kind(bench.answer_to(checkpoint).await), ErrorKind::Unknown);
    gate.open();
    bench.answer_to(freeze).await.unwrap();
    let slots = bench.begin(Order::Database(DatabaseOrder::KeepSlots(Default::default())), LONG);
    bench.answer_to(slots).await.unwrap();
    assert_eq!(bench.world.calls(), ["freeze", "keep_slots"]);
}

#[tokio::test]
async fn a_stop_takes_the_place_of_the_order_that_runs() {
    let mut bench = Bench::new();
    bench.world.let_it("promote", Behave::Hang);
    bench.world.let_it("freeze", Behave::Hang);
    let freeze = bench.begin(Order::Database(DatabaseOrder::Freeze), LONG);
    bench.called("freeze", 1).await;
    let waiting = bench.begin(Order::Database(DatabaseOrder::Checkpoint), LONG);
    let stopping = bench.begin(stop(), LONG);
    assert_eq!(kind(bench.answer_to(waiting).await), ErrorKind::Unknown);
    assert_eq!(kind(bench.answer_to(freeze).await), ErrorKind::Unknown);
    assert!(matches!(bench.answer_to(stopping).await, Ok(Answer::Database(DatabaseAnswer::Stopped(_)))));
    // The order was dropped before the stop began, and what waited was never begun.
    assert_eq!(bench.world.calls(), ["freeze", "(dropped)", "stop"]);
}

#[tokio::test]
async fn a_freeze_takes_the_place_of_a_follow_that_hangs() {
    let mut bench = Bench::new();
    bench.world.let_it("follow", Behave::Hang);
    let hangs = bench.begin(Order::Database(DatabaseOrder::Follow(follow(1))), LONG);
    bench.called("follow", 1).await;
    let next = bench.begin(Order::Database(DatabaseOrder::Follow(follow(2))), LONG);
    assert_eq!(kind(bench.answer_to(hangs).await), ErrorKind::Unknown);
    bench.called("follow", 2).await;
    let freeze = bench.begin(Order::Database(DatabaseOrder::Freeze), LONG);
    assert_eq!(kind(bench.answer_to(next).await), ErrorKind::Unknown);
    assert!(matches!(bench.answer_to(freeze).await, Ok(Answer::Database(DatabaseAnswer::Frozen(_)))));
    assert_eq!(bench.world.calls(), ["follow", "(dropped)", "follow", "(dropped)", "freeze"]);
}

#[tokio::test]
async fn a_stop_takes_the_place_of_a_slower_stop() {
    let mut bench = Bench::new();
    bench.world.let_it("stop", Behave::Hang);
    let slow = bench.begin(stop(), LONG);
    bench.called("stop", 1).await;
    bench.world.let_it("stop", Behave::Well);
    let fast = bench.begin(stop(), LONG);
    assert_eq!(kind(bench.answer_to(slow).await), ErrorKind::Unknown);
    bench.answer_to(fast).await.unwrap();
    assert_eq!(bench.world.calls(), ["stop", "(dropped)", "stop"]);
}

#[tokio::test]
async fn blocked_threads_of_database_and_address_hold_up_neither_giving_up_nor_the_store() {
    let mut bench = Bench::new();
    for method in ["freeze", "status", "attach", "exited", "lost"] {
        bench.block(method);
    }
    let arm = bench.begin(Order::ArmWatchdog { term: Term(1), deadline: None }, LONG);
    let armed = bench.answer().await;
    assert_eq!(armed.id, arm);
    bench.watches.answered(&armed);
    let freeze = bench.begin(Order::Database(DatabaseOrder::Freeze), LONG);
    bench.begin(Order::Database(DatabaseOrder::Observe), LONG);
    bench.begin(Order::AttachAddress { term: Term(1) }, LONG);
    for method in ["lost", "freeze", "status", "attach"] {
        bench.called(method, 1).await;
    }
    for order in [
        Order::Commit(Commit::default()),
        Order::FeedWatchdog { term: Term(1), deadline: None },
        Order::Remember(Memo::default()),
        Order::DetachAddress,
    ] {
        let id = bench.begin(order, LONG);
        bench.answer_to(id).await.unwrap();
    }
    let stopping = bench.begin(stop(), LONG);
    assert_eq!(kind(bench.answer_to(freeze).await), ErrorKind::Unknown);
    bench.answer_to(stopping).await.unwrap();
}

#[tokio::test]
async fn behind_a_blocked_thread_calls_do_not_pile_up() {
    let mut bench = Bench::new();
    let gate = bench.block("commit");
    let first = bench.begin(Order::Commit(Commit::default()), SHORT);
    assert_eq!(kind(bench.answer_to(first).await), ErrorKind::Unknown);
    let refused = loop {
        let read = bench.begin(Order::Read, SHORT);
        let failure = bench.answer_to(read).await.unwrap_err();
        assert_eq!(failure.kind, ErrorKind::Unavailable);
        if failure.message.contains("was not begun") {
            break failure;
        }
    };
    assert!(refused.message.contains("have not ended"), "{refused}");
    gate.open();
    // With the thread free again the dropped calls go, and new ones find room.
    let read = loop {
        let read = bench.begin(Order::Read, LONG);
        match bench.answer_to(read).await {
            Ok(answer) => break answer,
            Err(failure) => assert_eq!(failure.kind, ErrorKind::Unavailable),
        }
        tokio::task::yield_now().await;
    };
    assert!(matches!(read, Answer::Snapshot(_)));
    assert_eq!(bench.world.calls(), ["commit", "read"]);
}

#[tokio::test]
async fn a_watch_begins_at_what_was_read_and_its_end_is_told() {
    let mut bench = Bench::new();
    bench.begin(Order::Read, LONG);
    let read = bench.answer().await;
    bench.watches.answered(&read);
    // A second answer begins no second watch.
    bench.watches.answered(&read);
    let told = tokio::time::timeout(PATIENCE, bench.told.recv()).await.unwrap().unwrap();
    let Told::Changed { watch, revision, .. } = told else { panic!("{told:?}") };
    assert_eq!(revision, Revision(8));
    assert!(bench.watches.is_current(watch));
    assert_eq!(tokio::time::timeout(PATIENCE, bench.watches.next()).await.unwrap(), Some(Input::WatchLost));
    // What it told before its end, and nobody has heard yet, does not count any more.
    assert!(!bench.watches.is_current(watch));
    assert_eq!(bench.world.calls(), ["read", "watch"]);
}

#[tokio::test]
async fn a_watch_that_fails_panics_or_is_blocked_is_a_lost_watch_or_a_silent_one() {
    for behave in [Behave::Fail(ErrorKind::Unavailable), Behave::Panic] {
        let mut bench = Bench::new();
        bench.world.let_it("watch", behave);
        bench.begin(Order::Read, LONG);
        let read = bench.answer().await;
        bench.watches.answered(&read);
        assert_eq!(tokio::time::timeout(PATIENCE, bench.watches.next()).await.unwrap(), Some(Input::WatchLost));
    }
}

#[tokio::test]
async fn the_end_of_a_database_that_runs_is_told_once() {
    let mut bench = Bench::new();
    let gate = bench.block("exited");
    for _ in 0..2 {
        bench.begin(Order::Database(DatabaseOrder::Observe), LONG);
        let observed = bench.answer().await;
        bench.watches.answered(&observed);
    }
    bench.called("exited", 1).await;
    gate.open();
    assert_eq!(tokio::time::timeout(PATIENCE, bench.watches.next()).await.unwrap(), Some(Input::DatabaseExited));
    assert_eq!(bench.world.calls().iter().filter(|call| **call == "exited").count(), 1);
}

#[tokio::test]
async fn the_loss_of_an_armed_watchdog_is_told_and_of_a_disarmed_one_not() {
    let mut bench = Bench::new();
    bench.world.let_it("lost", Behave::Hang);
    bench.begin(Order::ArmWatchdog { term: Term(1), deadline: None }, LONG);
    let armed = bench.answer().await;
    bench.watches.answered(&armed);
    bench.called("lost", 1).await;
    bench.begin(Order::DisarmWatchdog, LONG);
    let disarmed = bench.answer().await;
    bench.watches.answered(&disarmed);
    bench.called("(dropped)", 1).await;
    assert_eq!(tokio::time::timeout(PATIENCE, bench.watches.next()).await.unwrap(), None);
    bench.world.let_it("lost", Behave::Well);
    bench.watches.answered(&armed);
    assert_eq!(tokio::time::timeout(PATIENCE, bench.watches.next()).await.unwrap(), Some(Input::WatchdogLost));
}
