//! A thread of its own for calls that block.

use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use odoo_ha_core::error::{Error, ErrorKind};
use tokio::sync::oneshot;

use super::client::Client;
use super::config::SqliteConfig;

/// Calls that may wait at the same time: a driver has a handful, so more means that nobody takes them any more.
const MOST_WAITING: usize = 256;

/// Of its time, what a call leaves for the answer to come back: a tenth, and at most this.
const ANSWER_TIME: Duration = Duration::from_millis(20);

/// How far a job is. Only its owner withdraws it, only the worker moves it on, and each exactly once.
#[derive(Debug)]
pub(super) struct Ticket(AtomicU8);

const WAITS: u8 = 0;
const PAST_RETURN: u8 = 1;
const WITHDRAWN: u8 = 2;

impl Ticket {
    /// The worker asks before the point of no return; `false` when the job was withdrawn.
    pub(super) fn pass(&self) -> bool {
        self.0.compare_exchange(WAITS, PAST_RETURN, Ordering::SeqCst, Ordering::SeqCst).is_ok()
    }

    /// The owner withdraws: `true` when it certainly has no effect from now on.
    fn withdraw(&self) -> bool {
        self.0.compare_exchange(WAITS, WITHDRAWN, Ordering::SeqCst, Ordering::SeqCst) != Err(PAST_RETURN)
    }
}

type Work = Box<dyn FnOnce(&mut Desk, Instant) + Send>;

struct Job {
    ticket: Arc<Ticket>,
    deadline: Instant,
    work: Work,
}

#[derive(Default)]
struct Queue {
    state: Mutex<Waiting>,
    ready: Condvar,
}

#[derive(Default)]
struct Waiting {
    jobs: VecDeque<Job>,
    closed: bool,
}

impl Queue {
    /// No step in it can panic half-way.
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn remove(&self, ticket: &Arc<Ticket>) {
        self.lock().jobs.retain(|job| !Arc::ptr_eq(&job.ticket, ticket));
    }
}

/// The thread and its queue. Dropping it lets the thread end after what it is doing.
pub(super) struct Worker {
    queue: Arc<Queue>,
}

impl fmt::Debug for Worker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Worker").finish_non_exhaustive()
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.queue.lock().closed = true;
        self.queue.ready.notify_one();
    }
}

/// Removes the job when its caller goes away before it has begun.
struct Withdrawal<'a> {
    queue: &'a Queue,
    ticket: Arc<Ticket>,
}

impl Drop for Withdrawal<'_> {
    fn drop(&mut self) {
        if self.ticket.withdraw() {
            self.queue.remove(&self.ticket);
        }
    }
}

impl Worker {
    /// Starts the thread.
    pub(super) fn start(name: &str, config: SqliteConfig) -> Result<Self, Error> {
        let queue = Arc::new(Queue::default());
        let taken = Arc::clone(&queue);
        let mut desk = Desk { config, client: None, was_open: false };
        let run = move || {
            while let Some(job) = next(&taken) {
                (job.work)(&mut desk, job.deadline);
            }
        };
        match std::thread::Builder::new().name(name.to_owned()).spawn(run) {
            Ok(_) => Ok(Self { queue }),
            Err(error) => {
                Err(Error::new(ErrorKind::Unavailable, "a thread for the store could not be started").caused_by(error))
            }
        }
    }

    /// Runs this on the thread. No answer in time is `Unavailable` when the work had not passed the point of no return
    /// and never will, else `Unknown`.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        timeout: Duration,
        work: impl FnOnce(&mut Desk, Instant, &Ticket) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let ticket = Arc::new(Ticket(AtomicU8::new(WAITS)));
        let (answer, mut answered) = oneshot::channel();
        let carried = Arc::clone(&ticket);
        let work: Work = Box::new(move |desk, deadline| {
            // Nobody waits any more when this fails.
            let _ = answer.send(work(desk, deadline, &carried));
        });
        let deadline = Instant::now() + timeout - (timeout / 10).min(ANSWER_TIME);
        {
            let mut waiting = self.queue.lock();
            if waiting.jobs.len() >= MOST_WAITING {
                return Err(Error::new(ErrorKind::Unavailable, "too many calls wait for the store")
                    .hint("its disk is too slow"));
            }
            waiting.jobs.push_back(Job { ticket: Arc::clone(&ticket), deadline, work });
        }
        self.queue.ready.notify_one();
        let withdrawal = Withdrawal { queue: &self.queue, ticket };
        if let Ok(answer) = tokio::time::timeout(timeout, &mut answered).await {
            return answer.unwrap_or_else(|_| Err(Error::new(ErrorKind::Unknown, "the store's thread ended")));
        }
        if withdrawal.ticket.withdraw() {
            return Err(Error::new(ErrorKind::Unavailable, format!("the store did not answer in {timeout:?}")));
        }
        // It was past the point of no return, so an answer may have come in between.
        answered.try_recv().unwrap_or_else(|_| {
            Err(Error::new(
                ErrorKind::Unknown,
                format!("the store did not answer in {timeout:?} and may have committed"),
            ))
        })
    }
}

fn next(queue: &Queue) -> Option<Job> {
    let mut waiting = queue.lock();
    loop {
        if let Some(job) = waiting.jobs.pop_front() {
            return Some(job);
        }
        if waiting.closed {
            return None;
        }
        waiting = queue.ready.wait(waiting).unwrap_or_else(PoisonError::into_inner);
    }
}

/// What the thread works with: a connection that is made when it is needed.
pub(super) struct Desk {
    config: SqliteConfig,
    client: Option<Client>,
    /// A file that was there and is gone is not made anew: an empty store in the place of a lost one must be said by a person.
    was_open: bool,
}

impl Desk {
    /// The connection to the file that the path names now.
    pub(super) fn client(&mut self, deadline: Instant) -> Result<&mut Client, Error> {
        let current = match self.client.as_ref().map(Client::is_current) {
            Some(Ok(current)) => current,
            Some(Err(error)) => {
                self.client = None;
                return Err(error);
            }
            None => false,
        };
        let client = match self.client.take() {
            Some(client) if current => client,
            // Dropped before the next is opened: two files of one name must not share a log.
            other => {
                drop(other);
                Client::open(&self.config, !self.was_open, deadline)?
            }
        };
        self.was_open = true;
        Ok(self.client.insert(client))
    }

    /// Closes the connection after an error that says nothing about the next one.
    pub(super) fn close_after<T>(&mut self, result: Result<T, Error>) -> Result<T, Error> {
        if result.as_ref().is_err_and(|error| error.kind() != ErrorKind::Conflict) {
            self.client = None;
        }
        result
    }
}
