//! The suite for service managers.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::bench::{Checked, PATIENCE, ShouldWork, Suite, ends, ensure, ensure_error};
use super::report::Report;
use super::timer::{Timer, dropped_after};
use crate::error::{Error, ErrorKind};
use crate::roles::{ServiceManager, ServiceState};
use crate::term::Term;

const STARTS: &str = "Starts all, in order. Starting what runs is `Ok`.";
const STOPS: &str = "Stops all, in the reverse order, and makes sure: when it returns `Ok`, none runs.";
const RESTARTS: &str = "Stops and starts.";

/// Makes sets of services of the kind under test.
#[async_trait]
pub trait ServicesBench: Send + Sync {
    /// Services that are stopped, and that nobody else has.
    ///
    /// # Errors
    ///
    /// Any: the check fails with it.
    async fn services(&self) -> Result<Arc<dyn ServicesWorld>, Error>;
}

/// Services, and the eyes to see them.
#[async_trait]
pub trait ServicesWorld: Send + Sync {
    /// What manages them.
    fn manager(&self) -> Arc<dyn ServiceManager>;

    /// How many there are.
    fn count(&self) -> usize;

    /// Which of them run, by their place in the order of starts, as they really are.
    async fn running(&self) -> Vec<usize>;

    /// In which order they were started and stopped so far: place and whether it was a start. `None` when that cannot be seen.
    async fn history(&self) -> Option<Vec<(usize, bool)>> {
        None
    }

    /// Ends this one without the manager; `false` when that cannot be done.
    async fn crash(&self, place: usize) -> bool;

    /// Whether an older term than one that was started for is refused.
    fn fences_by_term(&self) -> bool;
}

/// Holds a service manager against the contract of [`ServiceManager`].
pub async fn services(bench: &dyn ServicesBench, timer: &dyn Timer) -> Report {
    let mut suite = Suite::new("ServiceManager", timer);
    suite.check("what_is_started_runs", Box::pin(started(bench))).await;
    suite.check("what_is_stopped_does_not", Box::pin(stopped(bench))).await;
    suite.check("the_order_is_kept", Box::pin(order(bench))).await;
    suite.check("a_restart_leaves_all_running", Box::pin(restarted(bench))).await;
    suite.check("a_crashed_one_is_seen_and_started_again", Box::pin(crashed(bench))).await;
    suite.check("dropped_calls_leave_it_usable", Box::pin(dropped(bench))).await;
    suite.check("a_timeout_of_zero_ends_the_call", Box::pin(no_time(bench, timer))).await;
    match bench.services().await {
        Ok(world) if !world.fences_by_term() => suite.skip("an_older_term_is_refused", "it remembers no terms"),
        Ok(_) | Err(_) => suite.check("an_older_term_is_refused", Box::pin(older_term(bench))).await,
    }
    suite.finish()
}

async fn all_run(world: &dyn ServicesWorld, contract: &'static str) -> Checked {
    let running = world.running().await;
    ensure(running.len() == world.count(), contract, &format!("all {} run", world.count()), &running)?;
    let state = world.manager().status(PATIENCE).await.should_work("looking")?;
    ensure(state == ServiceState::Running, contract, "it says so", state)
}

async fn none_runs(world: &dyn ServicesWorld) -> Checked {
    let running = world.running().await;
    ensure(running.is_empty(), STOPS, "none runs", &running)?;
    let state = world.manager().status(PATIENCE).await.should_work("looking")?;
    ensure(state == ServiceState::Stopped, STOPS, "it says so", state)
}

async fn started(bench: &dyn ServicesBench) -> Checked {
    let world = bench.services().await.should_work("making services")?;
    none_runs(world.as_ref()).await?;
    for _ in 0..2 {
        world.manager().start(Term(1), PATIENCE).await.should_work("starting")?;
        all_run(world.as_ref(), STARTS).await?;
    }
    world.manager().stop(PATIENCE).await.should_work("stopping")
}

async fn stopped(bench: &dyn ServicesBench) -> Checked {
    let world = bench.services().await.should_work("making services")?;
    world.manager().stop(PATIENCE).await.should_work("stopping what does not run")?;
    world.manager().start(Term(1), PATIENCE).await.should_work("starting")?;
    for _ in 0..2 {
        world.manager().stop(PATIENCE).await.should_work("stopping")?;
        none_runs(world.as_ref()).await?;
    }
    Ok(())
}

async fn order(bench: &dyn ServicesBench) -> Checked {
    let world = bench.services().await.should_work("making services")?;
    world.manager().start(Term(1), PATIENCE).await.should_work("starting")?;
    let started = world.history().await;
    world.manager().stop(PATIENCE).await.should_work("stopping")?;
    let (Some(started), Some(all)) = (started, world.history().await) else { return Ok(()) };
    let places = |history: &[(usize, bool)], start: bool| {
        let of_kind = history.iter().filter(move |(_, started)| *started == start);
        of_kind.map(|(place, _)| *place).collect::<Vec<_>>()
    };
    let wanted: Vec<_> = (0..world.count()).collect();
    ensure(places(&started, true) == wanted, STARTS, &format!("started in the order {wanted:?}"), &started)?;
    let mut backwards = wanted;
    backwards.reverse();
    let stops = all.get(started.len()..).unwrap_or_default();
    ensure(places(stops, false) == backwards, STOPS, &format!("stopped in the order {backwards:?}"), stops)
}

async fn restarted(bench: &dyn ServicesBench) -> Checked {
    let world = bench.services().await.should_work("making services")?;
    for what in ["what is stopped", "what runs"] {
        world.manager().restart(Term(1), PATIENCE).await.should_work(&format!("restarting {what}"))?;
        all_run(world.as_ref(), RESTARTS).await?;
    }
    world.manager().stop(PATIENCE).await.should_work("stopping")
}

async fn crashed(bench: &dyn ServicesBench) -> Checked {
    let world = bench.services().await.should_work("making services")?;
    world.manager().start(Term(1), PATIENCE).await.should_work("starting")?;
    for place in 0..world.count() {
        if !world.crash(place).await {
            break;
        }
        let state = world.manager().status(PATIENCE).await.should_work("looking")?;
        let fits = if world.count() == 1 { ServiceState::Stopped } else { ServiceState::Partial };
        ensure(state == fits, "What they are doing.", &format!("{fits:?} with {place} gone"), state)?;
        world.manager().start(Term(1), PATIENCE).await.should_work("starting what has crashed")?;
        all_run(world.as_ref(), STARTS).await?;
    }
    world.manager().stop(PATIENCE).await.should_work("stopping")?;
    none_runs(world.as_ref()).await
}

async fn dropped(bench: &dyn ServicesBench) -> Checked {
    let world = bench.services().await.should_work("making services")?;
    for polls in 1..4 {
        dropped_after(polls, world.manager().start(Term(1), PATIENCE)).await;
    }
    world.manager().start(Term(1), PATIENCE).await.should_work("starting after dropped calls")?;
    all_run(world.as_ref(), STARTS).await?;
    for polls in 1..4 {
        dropped_after(polls, world.manager().stop(PATIENCE)).await;
    }
    world.manager().stop(PATIENCE).await.should_work("stopping after dropped calls")?;
    none_runs(world.as_ref()).await
}

async fn no_time(bench: &dyn ServicesBench, timer: &dyn Timer) -> Checked {
    let world = bench.services().await.should_work("making services")?;
    let manager = world.manager();
    let zero = Duration::ZERO;
    let _ = ends(timer, "starting", zero, manager.start(Term(1), zero)).await?;
    let _ = ends(timer, "restarting", zero, manager.restart(Term(1), zero)).await?;
    let _ = ends(timer, "looking", zero, manager.status(zero)).await?;
    let stopped = ends(timer, "stopping", zero, manager.stop(zero)).await?;
    if stopped.is_ok() {
        none_runs(world.as_ref()).await?;
    }
    manager.start(Term(1), PATIENCE).await.should_work("starting with time")?;
    all_run(world.as_ref(), STARTS).await?;
    manager.stop(PATIENCE).await.should_work("stopping with time")?;
    none_runs(world.as_ref()).await
}

async fn older_term(bench: &dyn ServicesBench) -> Checked {
    const FENCED: &str =
        "An implementation that can remember the highest term it saw refuses an older one as `Fenced`.";
    let world = bench.services().await.should_work("making services")?;
    let manager = world.manager();
    manager.start(Term(5), PATIENCE).await.should_work("starting")?;
    manager.stop(PATIENCE).await.should_work("stopping")?;
    ensure_error(&manager.start(Term(4), PATIENCE).await, &[ErrorKind::Fenced], FENCED, "starting for an older term")?;
    ensure_error(
        &manager.restart(Term(4), PATIENCE).await,
        &[ErrorKind::Fenced],
        FENCED,
        "restarting for an older term",
    )?;
    none_runs(world.as_ref()).await?;
    manager.start(Term(5), PATIENCE).await.should_work("starting for the same term")?;
    manager.stop(PATIENCE).await.should_work("stopping")
}
