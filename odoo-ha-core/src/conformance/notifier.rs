//! The suite for notifiers.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::bench::{Checked, PATIENCE, ShouldWork, Suite, ends, ensure, ensure_error, run_id};
use super::report::{Finding, Report};
use super::timer::{Timer, dropped_after, within};
use crate::database::FollowedBy;
use crate::error::ErrorKind;
use crate::event::{Event, EventKind};
use crate::lsn::{Lsn, Timeline};
use crate::member::{ClusterId, MemberId};
use crate::roles::Notifier;
use crate::term::Term;

const DELIVERS: &str = "Delivers one event.";
const REPEATS: &str =
    "May be called again with the same event after an error, so a receiver should tell repeats by its `id`.";

/// A notifier and the place where its events arrive.
#[async_trait]
pub trait NotifierBench: Send + Sync {
    /// The notifier under test.
    fn notifier(&self) -> Arc<dyn Notifier>;

    /// The ids of all events that have arrived so far, repeats included; `None` when that cannot be seen, which skips the
    /// checks that need it.
    async fn arrived(&self) -> Option<Vec<String>>;

    /// A notifier whose receiver refuses or is not there; `None` when delivering cannot fail.
    fn failing(&self) -> Option<Arc<dyn Notifier>> {
        None
    }
}

/// Holds a notifier against the contract of [`Notifier`]. It delivers some dozens of events of a made-up cluster named `conformance`.
/// Cancelling is harmless.
pub async fn notifier(bench: &dyn NotifierBench, timer: &dyn Timer) -> Report {
    let mut suite = Suite::new("Notifier", timer);
    suite.check("every_kind_of_event_is_taken", Box::pin(every_kind_is_taken(bench))).await;
    if bench.arrived().await.is_some() {
        suite.check("what_is_taken_arrives", Box::pin(what_is_taken_arrives(bench, timer))).await;
        suite.check("the_order_is_kept", Box::pin(the_order_is_kept(bench, timer))).await;
    } else {
        suite.skip("what_is_taken_arrives", "what arrives cannot be seen");
        suite.skip("the_order_is_kept", "what arrives cannot be seen");
    }
    suite.check("a_repeated_event_is_taken", Box::pin(a_repeated_event_is_taken(bench))).await;
    suite.check("a_dropped_call_leaves_it_usable", Box::pin(a_dropped_call(bench))).await;
    suite.check("a_timeout_of_zero_ends_the_call", Box::pin(no_time_at_all(bench, timer))).await;
    match bench.failing() {
        Some(failing) => suite.check("a_failure_has_its_kind", Box::pin(a_failure_has_its_kind(failing, timer))).await,
        None => suite.skip("a_failure_has_its_kind", "delivering cannot fail"),
    }
    suite.finish()
}

async fn every_kind_is_taken(bench: &dyn NotifierBench) -> Checked {
    let notifier = bench.notifier();
    for event in events("kinds")? {
        notifier.notify(&event, PATIENCE).await.should_work(&format!("delivering {:?}", event.kind))?;
    }
    Ok(())
}

/// Waits until all of these have arrived and gives the ids of this run in the order of arrival.
async fn arrive(bench: &dyn NotifierBench, timer: &dyn Timer, ids: &[String]) -> Result<Vec<String>, Finding> {
    let waiting = async {
        loop {
            let mut arrived = bench.arrived().await.unwrap_or_default();
            if ids.iter().all(|id| arrived.contains(id)) {
                arrived.retain(|id| ids.contains(id));
                return arrived;
            }
            timer.sleep(Duration::from_millis(10)).await;
        }
    };
    let arrived = within(timer, PATIENCE, waiting).await;
    arrived.ok_or_else(|| Finding::new(DELIVERS, format!("{ids:?} arrived within {PATIENCE:?}"), "not all of them did"))
}

async fn what_is_taken_arrives(bench: &dyn NotifierBench, timer: &dyn Timer) -> Checked {
    let notifier = bench.notifier();
    for event in events("arrives")?.iter().take(3) {
        notifier.notify(event, PATIENCE).await.should_work("delivering")?;
        let arrived = arrive(bench, timer, std::slice::from_ref(&event.id)).await?;
        ensure(arrived.len() == 1, DELIVERS, "one arrival of one delivery", arrived)?;
    }
    Ok(())
}

async fn the_order_is_kept(bench: &dyn NotifierBench, timer: &dyn Timer) -> Checked {
    let notifier = bench.notifier();
    let events = events("order")?;
    for event in &events {
        notifier.notify(event, PATIENCE).await.should_work("delivering")?;
    }
    let ids: Vec<_> = events.iter().map(|event| event.id.clone()).collect();
    let arrived = arrive(bench, timer, &ids).await?;
    ensure(arrived == ids, "It is called in order, one event at a time.", &format!("{ids:?}"), arrived)
}

async fn a_repeated_event_is_taken(bench: &dyn NotifierBench) -> Checked {
    let notifier = bench.notifier();
    for event in events("repeat")?.iter().take(2) {
        for _ in 0..3 {
            let taken = notifier.notify(event, PATIENCE).await.should_work("delivering the same event again");
            taken.map_err(|finding| Finding { contract: REPEATS, ..finding })?;
        }
    }
    Ok(())
}

async fn a_dropped_call(bench: &dyn NotifierBench) -> Checked {
    let notifier = bench.notifier();
    for (polls, event) in events("dropped")?.iter().take(5).enumerate() {
        dropped_after(polls + 1, notifier.notify(event, PATIENCE)).await;
        notifier.notify(event, PATIENCE).await.should_work("delivering after a dropped call")?;
    }
    Ok(())
}

async fn no_time_at_all(bench: &dyn NotifierBench, timer: &dyn Timer) -> Checked {
    let notifier = bench.notifier();
    for event in events("hasty")?.iter().take(2) {
        let _ = ends(timer, "delivering", Duration::ZERO, notifier.notify(event, Duration::ZERO)).await?;
        notifier.notify(event, PATIENCE).await.should_work("delivering it again with time")?;
    }
    Ok(())
}

async fn a_failure_has_its_kind(failing: Arc<dyn Notifier>, timer: &dyn Timer) -> Checked {
    const KINDS: [ErrorKind; 4] =
        [ErrorKind::Unavailable, ErrorKind::Denied, ErrorKind::Misconfigured, ErrorKind::Unknown];
    for event in events("failing")?.iter().take(2) {
        let limit = Duration::from_millis(500);
        let result = ends(timer, "delivering", limit, failing.notify(event, limit)).await?;
        ensure_error(&result, &KINDS, "`Unavailable`, `Denied`, `Misconfigured`, `Unknown`.", "delivering to nobody")?;
    }
    Ok(())
}

/// One event of each severity and shape, with ids that no other run draws.
fn events(name: &str) -> Result<Vec<Event>, Finding> {
    let run = run_id();
    let cluster = ClusterId::new("conformance").should_work("naming a cluster")?;
    let member = MemberId::new("node_a").should_work("naming a member")?;
    let other = MemberId::new("node_b").should_work("naming a member")?;
    let kinds = vec![
        EventKind::StateChanged {
            from: "standby".into(),
            to: "candidate".into(),
            cause: "the leader is silent".into(),
        },
        EventKind::LeaderSuspected { leader: Some(other.clone()) },
        EventKind::LeaderElected { from: None, lsn_gap: 0 },
        EventKind::Promoted { timeline: Timeline(2), switch_lsn: Lsn(0x0300_0000), duration_ms: 120 },
        EventKind::Serving,
        EventKind::SynchronousStandbysChanged { names: vec![other.clone()], k: 1 },
        EventKind::Rejoined { leader: other, by: FollowedBy::Rewind, duration_ms: 2_000 },
        EventKind::RequestRefused { id: None, why: "the target \"x\" is\nno member ü".into() },
        EventKind::Refusal { why: "the data are another cluster's".into() },
        EventKind::Trouble { what: String::new() },
    ];
    let event = |(number, kind): (usize, EventKind)| {
        let id = format!("node_a-{run}-{name}-{number}");
        Event::new(id, cluster.clone(), member.clone(), Term(7), kind, "a sentence for the operator".into())
    };
    Ok(kinds.into_iter().enumerate().map(event).collect())
}
