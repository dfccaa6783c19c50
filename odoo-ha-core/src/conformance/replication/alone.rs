//! What one database does.

use std::collections::BTreeSet;
use std::time::Duration;

use super::{AT_ONCE, LOOK, Lab, Node, ORDER, bootstrap_order, start_order};
use crate::conformance::bench::{Checked, PATIENCE, QUIET, ShouldWork, Suite, describe, ends, ensure, ensure_error};
use crate::conformance::report::Finding;
use crate::conformance::timer::{BoxFuture, dropped_after, together, within};
use crate::database::{DatabaseState, StopMode, SynchronousStandbys};
use crate::error::ErrorKind;
use crate::term::Term;

const BOOTSTRAP: &str = "Makes a new database cluster and starts it as primary with nobody synchronous.";
const NOT_EMPTY: &str =
    "`Misconfigured` when the directory is not empty and `adopt` was not said, or is empty and it was.";
const STOP: &str = "Stopping what is stopped is `Ok` and states where its log ends.";
const START: &str = "Starts the local data as primary, or finds them running so.";
const FENCED: &str = "`Fenced` when the term beside the data is not the order's.";
const EXITED: &str = "Resolves when the database's main process, running when it was called, has ended.";
const OUTLIVES: &str =
    "Dropping the implementation stops nothing, and a new instance over the same directory adopts what runs.";
const CRASH: &str = "There is one that was not shut down cleanly; it needs crash recovery.";

pub(super) async fn run(suite: &mut Suite<'_>, lab: &Lab<'_>) {
    suite.check("nothing_is_absent", Box::pin(nothing_is_absent(lab))).await;
    suite.check("a_bootstrap_makes_a_primary", Box::pin(bootstrap_makes_a_primary(lab))).await;
    suite.check("a_bootstrap_spares_what_is_there", Box::pin(bootstrap_spares(lab))).await;
    suite.check("starting_and_stopping_are_idempotent", Box::pin(starting_and_stopping(lab))).await;
    suite.check("a_start_of_another_term_is_fenced", Box::pin(start_is_fenced(lab))).await;
    suite.check("the_end_of_the_process_is_told", Box::pin(exited(lab))).await;
    suite.check("a_killed_database_is_crashed_and_starts_again", Box::pin(killed_and_started(lab))).await;
    suite.check("the_database_outlives_its_manager", Box::pin(outlives_its_manager(lab))).await;
    suite.check("slots_and_checkpoints_are_idempotent", Box::pin(slots_and_checkpoints(lab))).await;
    suite.check("stopping_ends_what_a_dropped_order_began", Box::pin(stop_after_a_dropped_order(lab))).await;
    suite.check("a_timeout_of_zero_ends_the_call", Box::pin(no_time_at_all(lab))).await;
}

async fn nothing_is_absent(lab: &Lab<'_>) -> Checked {
    let pair = lab.empty().await?;
    let status = pair.status(Node::A).await?;
    let nothing = status.state == DatabaseState::Absent && status.system_id.is_none() && status.data_id.is_none();
    ensure(nothing, "There is no data directory, or an empty one.", "Absent without any identity", status)?;
    let exited = within(lab.timer, PATIENCE, pair.a.exited()).await;
    ensure(exited.is_some(), "Resolves at once when none runs.", "an end", exited)?;
    pair.a.stop(AT_ONCE, ORDER).await.should_work("stopping what is absent").map(|_| ())
}

async fn bootstrap_makes_a_primary(lab: &Lab<'_>) -> Checked {
    let (pair, begun) = lab.one().await?;
    let status = pair.status(Node::A).await?;
    let as_told = status.state == DatabaseState::Primary
        && status.system_id == Some(begun.system_id)
        && status.data_id.as_ref() == Some(&begun.data_id)
        && status.timeline == begun.timeline
        && status.term == Term(1)
        && status.lsn >= begun.lsn
        && status.synchronous == Some(SynchronousStandbys::Nobody);
    ensure(as_told, BOOTSTRAP, &format!("a primary of term 1 as told: {begun:?}"), &status)?;
    pair.write(Node::A).await?;
    let later = pair.status(Node::A).await?;
    ensure(
        later.lsn > status.lsn,
        "The end of its log: insert position of a primary.",
        "a greater position after a commit",
        (status.lsn, later.lsn),
    )
}

async fn bootstrap_spares(lab: &Lab<'_>) -> Checked {
    let (pair, begun) = lab.one().await?;
    pair.write(Node::A).await?;
    pair.a.stop(StopMode::Fast, ORDER).await.should_work("a fast stop")?;
    let again = pair.a.bootstrap(&bootstrap_order(false), ORDER).await;
    ensure_error(&again, &[ErrorKind::Misconfigured], NOT_EMPTY, "a bootstrap over data")?;
    let status = pair.status(Node::A).await?;
    ensure(status.data_id == Some(begun.data_id), NOT_EMPTY, "the data untouched", &status)?;
    let adopted = pair.a.bootstrap(&bootstrap_order(true), ORDER).await.should_work("adopting the data")?;
    ensure(adopted.system_id == begun.system_id, NOT_EMPTY, "the same database", &adopted)?;
    pair.is(Node::A, DatabaseState::Primary, BOOTSTRAP).await?;
    let empty = pair.b.bootstrap(&bootstrap_order(true), ORDER).await;
    ensure_error(&empty, &[ErrorKind::Misconfigured], NOT_EMPTY, "adopting nothing")
}

async fn starting_and_stopping(lab: &Lab<'_>) -> Checked {
    let (pair, begun) = lab.one().await?;
    for mode in [StopMode::Fast, StopMode::AtOnce { fast_for_ms: 20_000 }, AT_ONCE] {
        let before = pair.status(Node::A).await?.lsn;
        let first = pair.a.stop(mode, ORDER).await.should_work("stopping")?;
        ensure(first.lsn >= before || !first.clean, STOP, &format!("an end of the log at {before} or later"), &first)?;
        ensure(first.clean || mode == AT_ONCE, STOP, "a clean stop, as there was time for one", &first)?;
        let second = pair.a.stop(mode, ORDER).await.should_work("stopping what is stopped")?;
        ensure(
            first.lsn == second.lsn && first.timeline == second.timeline,
            STOP,
            "the same end again",
            (&first, &second),
        )?;
        let status = pair.status(Node::A).await?;
        let stopped = if first.clean { DatabaseState::StoppedCleanly } else { DatabaseState::Crashed };
        ensure(status.state == stopped, STOP, &format!("{stopped:?}"), &status)?;
        pair.a.start_primary(&start_order(1), ORDER).await.should_work("starting")?;
        pair.a.start_primary(&start_order(1), ORDER).await.should_work("starting what runs")?;
        let status = pair.status(Node::A).await?;
        let same = status.state == DatabaseState::Primary && status.data_id.as_ref() == Some(&begun.data_id);
        ensure(same, START, "a primary over the same data", status)?;
        pair.write(Node::A).await?;
    }
    Ok(())
}

async fn start_is_fenced(lab: &Lab<'_>) -> Checked {
    let (pair, _) = lab.one().await?;
    pair.a.stop(StopMode::Fast, ORDER).await.should_work("a fast stop")?;
    for term in [0, 2] {
        let other = pair.a.start_primary(&start_order(term), ORDER).await;
        ensure_error(&other, &[ErrorKind::Fenced], FENCED, &format!("a start in term {term} of data of term 1"))?;
        pair.is(Node::A, DatabaseState::StoppedCleanly, "Orders of an older term are refused as `Fenced`, untouched.")
            .await?;
    }
    let pair = pair.reopened(Node::A).await?;
    let other = pair.a.start_primary(&start_order(0), ORDER).await;
    ensure_error(
        &other,
        &[ErrorKind::Fenced],
        "The highest term is kept beside the data.",
        "an older start by a new instance",
    )
}

async fn exited(lab: &Lab<'_>) -> Checked {
    let (pair, _) = lab.one().await?;
    let early = within(lab.timer, QUIET, pair.a.exited()).await;
    ensure(early.is_none(), EXITED, "no end while it runs", early)?;
    for kill in [false, true] {
        // Called before, dropped, and called again: cancel-safe.
        dropped_after(1, pair.a.exited()).await;
        let waiting: BoxFuture<'_, Checked> = Box::pin(async {
            let told = within(lab.timer, ORDER, pair.a.exited()).await;
            ensure(told.is_some(), EXITED, "an end", told)
        });
        let ending: BoxFuture<'_, Checked> = Box::pin(async {
            if kill {
                pair.kill(Node::A).await
            } else {
                pair.a.stop(StopMode::Fast, ORDER).await.should_work("a fast stop").map(|_| ())
            }
        });
        together(vec![waiting, ending]).await.into_iter().collect::<Checked>()?;
        pair.a.start_primary(&start_order(1), ORDER).await.should_work("starting again")?;
    }
    Ok(())
}

async fn killed_and_started(lab: &Lab<'_>) -> Checked {
    let (pair, _) = lab.one().await?;
    pair.write(Node::A).await?;
    let before = pair.status(Node::A).await?;
    pair.kill(Node::A).await?;
    pair.is(Node::A, DatabaseState::Crashed, CRASH).await?;
    let started = pair.a.start_primary(&start_order(1), ORDER).await.should_work("crash recovery")?;
    ensure(
        started.lsn >= before.lsn && started.timeline == before.timeline,
        START,
        "all that was committed",
        (before.lsn, &started),
    )?;
    pair.write(Node::A).await
}

async fn outlives_its_manager(lab: &Lab<'_>) -> Checked {
    let (pair, begun) = lab.one().await?;
    let pair = pair.reopened(Node::A).await?;
    let status = pair.status(Node::A).await?;
    let adopted = status.state == DatabaseState::Primary && status.data_id == Some(begun.data_id);
    ensure(adopted, OUTLIVES, "the running primary", status)?;
    pair.write(Node::A).await?;
    pair.a.stop(StopMode::Fast, ORDER).await.should_work("a stop by the new instance")?;
    pair.is(Node::A, DatabaseState::StoppedCleanly, OUTLIVES).await
}

async fn slots_and_checkpoints(lab: &Lab<'_>) -> Checked {
    let (pair, _) = lab.one().await?;
    let other = BTreeSet::from([pair.world.upstream(Node::B).member]);
    for members in [&other, &other, &BTreeSet::new(), &other] {
        pair.a.keep_slots(members, ORDER).await.should_work("keeping slots")?;
    }
    for _ in 0..2 {
        pair.a.checkpoint(ORDER).await.should_work("a checkpoint")?;
    }
    pair.a.stop(StopMode::Fast, ORDER).await.should_work("a fast stop")?;
    let stopped = pair.a.keep_slots(&other, ORDER).await;
    ensure_error(
        &stopped,
        &[ErrorKind::NotReady],
        "`NotReady` when the database does not run",
        "keeping slots of what is stopped",
    )
}

async fn stop_after_a_dropped_order(lab: &Lab<'_>) -> Checked {
    let (pair, _) = lab.one().await?;
    for polls in 1..5 {
        pair.a.stop(AT_ONCE, ORDER).await.should_work("stopping")?;
        dropped_after(polls, pair.a.start_primary(&start_order(1), ORDER)).await;
        let stopped = pair.a.stop(AT_ONCE, ORDER).await.should_work("stopping after a dropped start")?;
        let status = pair.status(Node::A).await?;
        ensure(
            !status.state.runs(),
            "`stop` must end whatever a dropped order had begun.",
            "nothing runs",
            (status, stopped),
        )?;
    }
    pair.a.start_primary(&start_order(1), ORDER).await.should_work("starting after all that").map(|_| ())
}

async fn no_time_at_all(lab: &Lab<'_>) -> Checked {
    let (pair, _) = lab.one().await?;
    let none = Duration::ZERO;
    let status = ends(lab.timer, "a status", none, pair.a.status(none)).await?;
    let fine = match &status {
        Ok(status) => {
            matches!(status.state, DatabaseState::Unresponsive | DatabaseState::Primary | DatabaseState::Starting)
        }
        // Not even the files beside the data were read in no time.
        Err(error) => error.kind() == ErrorKind::Disk,
    };
    ensure(
        fine,
        "No answer of the database in time is the state `Unresponsive`, not an error.",
        "Unresponsive or Primary, or Disk when the disk had no time either",
        describe(&status),
    )?;
    let _ = ends(lab.timer, "a checkpoint", none, pair.a.checkpoint(none)).await?;
    let _ = ends(lab.timer, "a stop", none, pair.a.stop(StopMode::Fast, none)).await?;
    pair.a.stop(AT_ONCE, ORDER).await.should_work("a stop with time")?;
    let state = pair.a.status(LOOK).await.should_work("a status")?.state;
    if state.runs() {
        return Err(Finding::new(STOP, "nothing runs", format!("{state:?}")));
    }
    let _ = ends(lab.timer, "a start", none, pair.a.start_primary(&start_order(1), none)).await?;
    pair.a.start_primary(&start_order(1), ORDER).await.should_work("a start with time").map(|_| ())
}
