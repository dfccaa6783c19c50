//! The thread that runs one pass after the other: its own runtime, so that no blocked runtime of the embedder keeps a pull alive.

use std::future::{Future, pending};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use odoo_ha_core::database::Endpoint;
use odoo_ha_core::error::{Error, ErrorKind};
use odoo_ha_core::member::MemberId;
use odoo_ha_core::term::Term;
use odoo_ha_core::time::Moment;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use crate::common::clock;
use crate::common::fence::Fence;

use super::config::RsyncConfig;
use super::lock::Lock;
use super::pass::{self, LOCK};
use super::source::Source;

/// Longest pause after a pass that failed.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Longest wait for another process that is just passing the fence.
const FENCE_PATIENCE: Duration = Duration::from_millis(500);

/// The highest term, in `state_dir`.
const TERM: &str = "rsync.term";

/// What the worker is told.
#[derive(Debug)]
pub(super) enum Order {
    Lead(Term),
    Follow(Term, MemberId, Option<Endpoint>),
    Rest,
}

/// An order, with who waits for it, and until when.
#[derive(Debug)]
pub(super) struct Told {
    pub(super) order: Order,
    pub(super) deadline: Instant,
    pub(super) answer: oneshot::Sender<Result<(), Error>>,
}

/// What there is to say of the copy.
#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) leads: bool,
    /// When the last pass that succeeded began.
    pub(super) complete: Option<Moment>,
    pub(super) missing: u64,
    /// Why the last pass did not succeed.
    pub(super) failure: Option<Error>,
}

type Pass = Pin<Box<dyn Future<Output = Result<u64, Error>> + Send>>;

/// Following somebody.
struct Job {
    term: Term,
    leader: MemberId,
    source: String,
    /// The pass under way and when it began. Dropped, its processes are killed.
    pass: Option<(Pass, Moment, Instant)>,
    next: Instant,
    failures: u32,
}

pub(super) struct Worker {
    config: Arc<RsyncConfig>,
    source: Source,
    orders: mpsc::Receiver<Told>,
    state: Arc<Mutex<State>>,
    job: Option<Job>,
}

impl Worker {
    pub(super) fn new(
        config: Arc<RsyncConfig>,
        source: Source,
        orders: mpsc::Receiver<Told>,
        state: Arc<Mutex<State>>,
    ) -> Self {
        Self { config, source, orders, state, job: None }
    }

    /// Works until the filestore is dropped; then its pull is killed.
    pub(super) async fn serve(mut self) {
        loop {
            tokio::select! {
                // Orders first: nothing that goes on delays a lead.
                biased;
                told = self.orders.recv() => {
                    let Some(told) = told else { break };
                    let outcome = self.obey(told.order, told.deadline).await;
                    // A caller that has gone asks again.
                    _ = told.answer.send(outcome);
                }
                outcome = go_on(&mut self.job, &self.config, &self.source) => self.passed(outcome),
            }
        }
    }

    async fn obey(&mut self, order: Order, deadline: Instant) -> Result<(), Error> {
        match order {
            Order::Lead(term) => {
                let _passed = self.fence(term)?;
                self.stop(deadline).await?;
                self.state(|state| state.leads = true);
                Ok(())
            }
            Order::Rest => self.stop(deadline).await,
            Order::Follow(term, leader, endpoint) => {
                let _passed = self.fence(term)?;
                let source = match endpoint {
                    Some(endpoint) => self.source.on(&endpoint.host),
                    None => Err(Error::new(ErrorKind::NotReady, format!("rsync: {leader} has not said its host yet"))),
                };
                if let (Some(job), Ok(source)) = (&mut self.job, &source)
                    && job.source == *source
                {
                    (job.term, job.leader) = (term, leader);
                    return Ok(());
                }
                // Nothing comes from the old one any more, whoever the new one is.
                self.stop(deadline).await?;
                let source = source?;
                tracing::info!(%term, %leader, %source, "the files follow");
                self.job = Some(Job { term, leader, source, pass: None, next: Instant::now(), failures: 0 });
                Ok(())
            }
        }
    }

    /// Ends the pull, and returns `Ok` when none of its processes is left.
    async fn stop(&mut self, deadline: Instant) -> Result<(), Error> {
        self.job = None;
        self.state(|state| (state.leads, state.failure) = (false, None));
        let left = deadline.saturating_duration_since(Instant::now());
        Lock::take(&self.config.state_dir.join(LOCK), left).await.map(drop)
    }

    fn fence(&self, term: Term) -> Result<Fence, Error> {
        Fence::pass("rsync", &self.config.state_dir.join(TERM), term, FENCE_PATIENCE)
    }

    /// A pass has ended by itself.
    fn passed(&mut self, outcome: Result<u64, Error>) {
        let Some(job) = &mut self.job else { return };
        let Some((_, began, began_at)) = job.pass.take() else { return };
        let Job { term, leader, .. } = &*job;
        let interval = self.config.interval;
        match &outcome {
            Ok(missing) => {
                if job.failures > 0 {
                    tracing::info!(%term, %leader, missing, "the files follow again");
                }
                job.failures = 0;
                // Never without a pause: both hosts look at every file.
                job.next = (began_at + interval).max(Instant::now() + began_at.elapsed().min(interval));
            }
            Err(error) if job.failures == 0 => {
                tracing::warn!(%term, %leader, error = error.chain(), "the files do not follow; it is tried again");
                (job.failures, job.next) = (1, Instant::now() + interval);
            }
            Err(error) => {
                tracing::debug!(%term, %leader, error = error.chain(), "the files still do not follow");
                let pause =
                    interval.saturating_mul(2_u32.saturating_pow(job.failures)).min(LONGEST_PAUSE.max(interval));
                (job.failures, job.next) = (job.failures.saturating_add(1), Instant::now() + pause);
            }
        }
        self.state(|state| match outcome {
            Ok(missing) => (state.complete, state.missing, state.failure) = (Some(began), missing, None),
            Err(error) => state.failure = Some(error),
        });
    }

    fn state(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// Waits for the next pass, begins it, waits for its end. Dropped, it goes on from where it was.
async fn go_on(job: &mut Option<Job>, config: &Arc<RsyncConfig>, source: &Source) -> Result<u64, Error> {
    let Some(job) = job else { return pending().await };
    if job.pass.is_none() {
        tokio::time::sleep_until(job.next).await;
        let (config, from, way) = (Arc::clone(config), job.source.clone(), source.way);
        let pass: Pass = Box::pin(async move { pass::run(&config, &from, way).await });
        job.pass = Some((pass, clock::now(), Instant::now()));
    }
    match &mut job.pass {
        Some((pass, ..)) => pass.await,
        None => pending().await,
    }
}
