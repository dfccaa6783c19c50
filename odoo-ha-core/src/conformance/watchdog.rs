//! The suite for watchdogs.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::bench::{Checked, PATIENCE, ShouldWork, Suite, ends, ensure, ensure_error};
use super::report::{Finding, Report};
use super::timer::{Timer, dropped_after, within};
use crate::error::{Error, ErrorKind};
use crate::roles::{Feed, Watchdog};
use crate::term::Term;
use crate::time::Moment;

const IN_TIME: &str =
    "Makes the node harmless **before** the deadline of the last feed, unless it is fed again or disarmed.";
const LATCHED: &str = "Once it has acted it feeds on nothing until it is armed anew.";
const NOT_ARMED: &str = "`Fenced` when it has acted already; `Unavailable` when it is gone.";
const TAKES_OVER: &str = "Which start of the agent feeds; a newer one takes over from an older.";
const DISARMED: &str = "Tells it that the node is harmless already. Idempotent.";
const WITHOUT_END: &str = "`None` while leadership has no end (the cluster is paused).";

/// Between two looks at a node.
const STEP: Duration = Duration::from_millis(2);

/// Makes nodes with a watchdog of the kind under test.
#[async_trait]
pub trait WatchdogBench: Send + Sync {
    /// A node whose watchdog is not armed and has never acted.
    ///
    /// # Errors
    ///
    /// Any: the check fails with it.
    async fn node(&self) -> Result<Arc<dyn WatchdogNode>, Error>;

    /// How far ahead of now the suite's deadlines are: more than twice what the watchdog acts before, and long enough for arming on a busy
    /// machine. Default 2 s.
    fn leave(&self) -> Duration {
        Duration::from_secs(2)
    }
}

/// A node with a watchdog, and the eyes to see what that does.
#[async_trait]
pub trait WatchdogNode: Send + Sync {
    /// The watchdog.
    fn watchdog(&self) -> Arc<dyn Watchdog>;

    /// That of another start of the agent on the same node; `None` when two cannot be there at once.
    async fn another_start(&self) -> Option<Arc<dyn Watchdog>> {
        None
    }

    /// Now, by the clock of the deadlines.
    fn now(&self) -> Moment;

    /// When the watchdog had made the node harmless, by the same clock; `None` while it has not.
    async fn harmless_at(&self) -> Option<Moment>;

    /// Breaks an armed watchdog as its worst day would; `false` when nothing can.
    async fn break_it(&self) -> bool {
        false
    }
}

/// Holds a watchdog against the contract of [`Watchdog`]. Every check has a node of its own; half of them wait for a deadline.
pub async fn watchdog(bench: &dyn WatchdogBench, timer: &dyn Timer) -> Report {
    let mut suite = Suite::new("Watchdog", timer);
    suite.check("unfed_it_acts_before_the_deadline", Box::pin(unfed(bench, timer))).await;
    suite.check("fed_it_leaves_the_node_alone", Box::pin(fed(bench, timer))).await;
    suite.check("the_last_feed_counts", Box::pin(the_last_feed_counts(bench, timer))).await;
    suite.check("after_it_has_acted_it_feeds_on_nothing", Box::pin(acted(bench, timer))).await;
    suite.check("disarmed_it_does_not_act", Box::pin(disarmed(bench, timer))).await;
    suite.check("disarming_what_is_not_armed_is_fine", Box::pin(disarmed_twice(bench))).await;
    suite.check("what_is_not_armed_cannot_be_fed", Box::pin(not_armed(bench))).await;
    suite.check("without_an_end_it_waits", Box::pin(without_an_end(bench, timer))).await;
    suite.check("an_older_term_is_refused", Box::pin(older_term(bench))).await;
    suite.check("arming_again_moves_the_deadline", Box::pin(armed_again(bench, timer))).await;
    suite.check("dropped_calls_leave_it_usable", Box::pin(dropped(bench, timer))).await;
    suite.check("a_timeout_of_zero_ends_the_call", Box::pin(no_time(bench, timer))).await;
    match bench.node().await {
        Ok(node) if node.another_start().await.is_none() => {
            suite.skip("a_newer_start_takes_over", "two starts cannot be there at once");
        }
        Ok(_) | Err(_) => suite.check("a_newer_start_takes_over", Box::pin(taken_over(bench, timer))).await,
    }
    suite.check("a_lost_one_is_told", Box::pin(lost(bench, timer))).await;
    suite.finish()
}

/// A node, its watchdog, and what to feed it with.
struct Kennel {
    node: Arc<dyn WatchdogNode>,
    dog: Arc<dyn Watchdog>,
    leave: Duration,
}

impl Kennel {
    async fn new(bench: &dyn WatchdogBench) -> Result<Self, Finding> {
        let node = bench.node().await.should_work("making a node")?;
        Ok(Self { dog: node.watchdog(), node, leave: bench.leave() })
    }

    async fn armed(bench: &dyn WatchdogBench, term: u64) -> Result<(Self, Moment), Finding> {
        let kennel = Self::new(bench).await?;
        let feed = kennel.portion(term);
        kennel.dog.arm(feed, PATIENCE).await.should_work("arming")?;
        Ok((kennel, feed.deadline.unwrap_or(Moment::MAX)))
    }

    fn portion(&self, term: u64) -> Feed {
        Feed { incarnation: 1, term: Term(term), deadline: Some(self.node.now() + self.leave) }
    }

    /// Waits until the node's clock shows this.
    async fn wait_until(&self, timer: &dyn Timer, at: Moment) {
        while self.node.now() < at {
            timer.sleep(at.since(self.node.now()).min(STEP)).await;
        }
    }

    /// The node is left alone until then.
    async fn left_alone_until(&self, timer: &dyn Timer, at: Moment, contract: &'static str) -> Checked {
        self.wait_until(timer, at).await;
        let harmless = self.node.harmless_at().await;
        ensure(harmless.is_none(), contract, "the node is left alone", harmless)
    }

    /// The node is made harmless before then.
    async fn harmless_before(&self, timer: &dyn Timer, deadline: Moment) -> Result<Moment, Finding> {
        let waiting = async {
            loop {
                if let Some(at) = self.node.harmless_at().await {
                    return at;
                }
                timer.sleep(STEP).await;
            }
        };
        let expected = format!("harmless before {deadline}");
        match within(timer, self.leave + PATIENCE, waiting).await {
            Some(at) if at <= deadline => Ok(at),
            Some(at) => Err(Finding::new(IN_TIME, expected, format!("harmless at {at}"))),
            None => Err(Finding::new(IN_TIME, expected, "never")),
        }
    }
}

async fn unfed(bench: &dyn WatchdogBench, timer: &dyn Timer) -> Checked {
    let (kennel, deadline) = Kennel::armed(bench, 1).await?;
    kennel.harmless_before(timer, deadline).await.map(|_| ())
}

async fn fed(bench: &dyn WatchdogBench, timer: &dyn Timer) -> Checked {
    let (kennel, first) = Kennel::armed(bench, 1).await?;
    let mut deadline = first;
    while kennel.node.now() < first + kennel.leave / 4 {
        let feed = kennel.portion(1);
        kennel.dog.feed(feed, PATIENCE).await.should_work("feeding in time")?;
        deadline = feed.deadline.unwrap_or(deadline);
        timer.sleep(kennel.leave / 10).await;
    }
    let harmless = kennel.node.harmless_at().await;
    ensure(harmless.is_none(), IN_TIME, "what is fed leaves the node alone", harmless)?;
    // And then nobody feeds it any more.
    kennel.harmless_before(timer, deadline).await.map(|_| ())
}

/// A feed may be of a later term; the deadline of the last one is the one that counts.
async fn the_last_feed_counts(bench: &dyn WatchdogBench, timer: &dyn Timer) -> Checked {
    let (kennel, _) = Kennel::armed(bench, 1).await?;
    let far = Feed { deadline: Some(kennel.node.now() + kennel.leave * 20), ..kennel.portion(1) };
    kennel.dog.feed(far, PATIENCE).await.should_work("feeding with a deadline far away")?;
    let near = kennel.portion(2);
    match kennel.dog.feed(near, PATIENCE).await {
        Ok(()) => kennel.harmless_before(timer, near.deadline.unwrap_or(Moment::MAX)).await.map(|_| ()),
        // One that is told of a deadline that it cannot keep any more says so.
        Err(error) => ensure_error(&Err::<(), _>(error), &[ErrorKind::NotReady], IN_TIME, "a nearer deadline"),
    }
}

async fn acted(bench: &dyn WatchdogBench, timer: &dyn Timer) -> Checked {
    let (kennel, deadline) = Kennel::armed(bench, 3).await?;
    kennel.harmless_before(timer, deadline).await?;
    kennel.wait_until(timer, deadline).await;
    let late = kennel.dog.feed(kennel.portion(3), PATIENCE).await;
    ensure_error(&late, &[ErrorKind::Fenced, ErrorKind::Unavailable], LATCHED, "feeding after it has acted")?;
    let again = kennel.dog.arm(kennel.portion(3), PATIENCE).await;
    ensure_error(&again, &[ErrorKind::Fenced], LATCHED, "arming for the term that it acted against")?;
    kennel.dog.arm(kennel.portion(4), PATIENCE).await.should_work("arming for a newer term")?;
    kennel.dog.disarm(PATIENCE).await.should_work("disarming")
}

async fn disarmed(bench: &dyn WatchdogBench, timer: &dyn Timer) -> Checked {
    let (kennel, deadline) = Kennel::armed(bench, 1).await?;
    kennel.dog.disarm(PATIENCE).await.should_work("disarming")?;
    kennel.left_alone_until(timer, deadline + kennel.leave / 4, DISARMED).await
}

async fn disarmed_twice(bench: &dyn WatchdogBench) -> Checked {
    let kennel = Kennel::new(bench).await?;
    kennel.dog.disarm(PATIENCE).await.should_work("disarming what was never armed")?;
    kennel.dog.arm(kennel.portion(1), PATIENCE).await.should_work("arming")?;
    for _ in 0..3 {
        kennel.dog.disarm(PATIENCE).await.should_work("disarming again")?;
    }
    Ok(())
}

async fn not_armed(bench: &dyn WatchdogBench) -> Checked {
    const KINDS: [ErrorKind; 2] = [ErrorKind::Unavailable, ErrorKind::Fenced];
    let kennel = Kennel::new(bench).await?;
    let never = kennel.dog.feed(kennel.portion(1), PATIENCE).await;
    ensure_error(&never, &KINDS, NOT_ARMED, "feeding what was never armed")?;
    kennel.dog.arm(kennel.portion(1), PATIENCE).await.should_work("arming")?;
    kennel.dog.disarm(PATIENCE).await.should_work("disarming")?;
    let no_more = kennel.dog.feed(kennel.portion(1), PATIENCE).await;
    ensure_error(&no_more, &KINDS, NOT_ARMED, "feeding what is not armed any more")
}

async fn without_an_end(bench: &dyn WatchdogBench, timer: &dyn Timer) -> Checked {
    let (kennel, deadline) = Kennel::armed(bench, 1).await?;
    let endless = Feed { deadline: None, ..kennel.portion(1) };
    kennel.dog.feed(endless, PATIENCE).await.should_work("feeding without an end")?;
    kennel.left_alone_until(timer, deadline + kennel.leave / 2, WITHOUT_END).await?;
    let feed = kennel.portion(1);
    kennel.dog.feed(feed, PATIENCE).await.should_work("feeding with an end again")?;
    kennel.harmless_before(timer, feed.deadline.unwrap_or(Moment::MAX)).await.map(|_| ())
}

async fn older_term(bench: &dyn WatchdogBench) -> Checked {
    let (kennel, _) = Kennel::armed(bench, 5).await?;
    let older = kennel.dog.feed(kennel.portion(4), PATIENCE).await;
    ensure_error(
        &older,
        &[ErrorKind::Fenced],
        "An implementation refuses an older term as `Fenced`.",
        "an older term's feed",
    )?;
    let older = kennel.dog.arm(kennel.portion(4), PATIENCE).await;
    ensure_error(
        &older,
        &[ErrorKind::Fenced],
        "An implementation refuses an older term as `Fenced`.",
        "arming for an older term",
    )?;
    kennel.dog.feed(kennel.portion(5), PATIENCE).await.should_work("feeding for the term that armed")?;
    kennel.dog.disarm(PATIENCE).await.should_work("disarming")
}

async fn armed_again(bench: &dyn WatchdogBench, timer: &dyn Timer) -> Checked {
    let (kennel, first) = Kennel::armed(bench, 1).await?;
    timer.sleep(kennel.leave / 2).await;
    let later = kennel.portion(1);
    kennel.dog.arm(later, PATIENCE).await.should_work("arming what is armed")?;
    let deadline = later.deadline.unwrap_or(Moment::MAX);
    let harmless = kennel.harmless_before(timer, deadline).await?;
    ensure(harmless > first, IN_TIME, "the deadline of the second arming counts", (harmless, first))
}

async fn dropped(bench: &dyn WatchdogBench, timer: &dyn Timer) -> Checked {
    let kennel = Kennel::new(bench).await?;
    for polls in 1..4 {
        dropped_after(polls, kennel.dog.arm(kennel.portion(1), PATIENCE)).await;
    }
    kennel.dog.arm(kennel.portion(1), PATIENCE).await.should_work("arming after dropped calls")?;
    for polls in 1..4 {
        dropped_after(polls, kennel.dog.feed(kennel.portion(1), PATIENCE)).await;
    }
    let feed = kennel.portion(1);
    kennel.dog.feed(feed, PATIENCE).await.should_work("feeding after dropped calls")?;
    dropped_after(1, kennel.dog.lost()).await;
    kennel.harmless_before(timer, feed.deadline.unwrap_or(Moment::MAX)).await.map(|_| ())
}

async fn no_time(bench: &dyn WatchdogBench, timer: &dyn Timer) -> Checked {
    let kennel = Kennel::new(bench).await?;
    let zero = Duration::ZERO;
    let _ = ends(timer, "arming", zero, kennel.dog.arm(kennel.portion(1), zero)).await?;
    kennel.dog.arm(kennel.portion(1), PATIENCE).await.should_work("arming with time")?;
    let _ = ends(timer, "feeding", zero, kennel.dog.feed(kennel.portion(1), zero)).await?;
    kennel.dog.feed(kennel.portion(1), PATIENCE).await.should_work("feeding with time")?;
    let _ = ends(timer, "disarming", zero, kennel.dog.disarm(zero)).await?;
    kennel.dog.disarm(PATIENCE).await.should_work("disarming with time")
}

async fn taken_over(bench: &dyn WatchdogBench, timer: &dyn Timer) -> Checked {
    let (kennel, first) = Kennel::armed(bench, 1).await?;
    let Some(newer) = kennel.node.another_start().await else { return Ok(()) };
    let start = |feed: Feed| Feed { incarnation: 2, ..feed };
    newer.arm(start(kennel.portion(1)), PATIENCE).await.should_work("a newer start arms")?;
    let older = kennel.dog.feed(kennel.portion(1), PATIENCE).await;
    ensure_error(&older, &[ErrorKind::Fenced, ErrorKind::Unavailable], TAKES_OVER, "the older start's feed")?;
    let feed = start(kennel.portion(1));
    newer.feed(feed, PATIENCE).await.should_work("the newer start feeds")?;
    let deadline = feed.deadline.unwrap_or(Moment::MAX);
    let harmless = kennel.harmless_before(timer, deadline).await?;
    ensure(harmless > first.before(kennel.leave / 2), TAKES_OVER, "the newer deadline counts", (harmless, first))
}

async fn lost(bench: &dyn WatchdogBench, timer: &dyn Timer) -> Checked {
    const TOLD: &str =
        "Resolves when an armed watchdog is lost (its process died), so that it can be armed anew in time.";
    let (kennel, _) = Kennel::armed(bench, 1).await?;
    let early = within(timer, kennel.leave / 8, kennel.dog.lost()).await;
    ensure(early.is_none(), TOLD, "what is there is not told to be lost", early)?;
    let far = Feed { deadline: Some(kennel.node.now() + kennel.leave * 20), ..kennel.portion(1) };
    kennel.dog.feed(far, PATIENCE).await.should_work("feeding with a deadline far away")?;
    let told = {
        let mut waiting = std::pin::pin!(kennel.dog.lost());
        // Begun before it breaks.
        let early = within(timer, STEP, &mut waiting).await;
        ensure(early.is_none(), TOLD, "what is there is not told to be lost", early)?;
        if !kennel.node.break_it().await {
            return kennel.dog.disarm(PATIENCE).await.should_work("disarming");
        }
        within(timer, PATIENCE, waiting).await
    };
    ensure(told.is_some(), TOLD, "its loss is told", told)?;
    kennel.dog.arm(kennel.portion(1), PATIENCE).await.should_work("arming anew")?;
    kennel.dog.disarm(PATIENCE).await.should_work("disarming")
}
