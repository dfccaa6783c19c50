//! Notifiers: each is told in order, on a thread of its own, and delays nothing but itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};

use crate::error::Error;
use crate::event::Event;
use crate::roles::Notifier;

use super::calls::panic_text;
use super::lanes::Lane;
use super::log::{Line, Log};

/// Events that wait for one notifier. A failover makes about ten, so this is a very bad hour.
const QUEUE: usize = 256;

/// Longest time of one notification.
const NOTIFY_TIMEOUT: Duration = Duration::from_secs(10);

/// How much longer the notifier's code gets before it is dropped.
const GRACE: Duration = Duration::from_millis(100);

/// After the node has ended, what is left in the queue is delivered for this long.
const DRAIN: Duration = Duration::from_secs(5);

/// The queue of one notifier.
#[derive(Debug)]
pub(super) struct NotifierQueue {
    number: usize,
    events: mpsc::Sender<Event>,
    dropped: Arc<AtomicU64>,
    log: Log,
}

impl NotifierQueue {
    /// A queue that is worked on `lane`, supervised on `side`, until it is dropped and delivered. `working` is dropped then.
    pub(super) fn start(
        number: usize,
        notifier: Arc<dyn Notifier>,
        (side, lane): (&Lane, Lane),
        log: Log,
        working: mpsc::Sender<()>,
    ) -> Self {
        let (events, queue) = mpsc::channel(QUEUE);
        let dropped = Arc::new(AtomicU64::new(0));
        let own_lane = side.clone();
        let delivery = Delivery { number, notifier, lane, log: log.clone(), dropped: dropped.clone() };
        side.spawn(async move {
            delivery.run(queue).await;
            drop((working, own_lane));
        });
        Self { number, events, dropped, log }
    }

    /// Takes the event; when the queue is full it is dropped and counted.
    pub(super) fn push(&self, event: Event) {
        if self.events.try_send(event).is_err() && self.dropped.fetch_add(1, Ordering::Relaxed) == 0 {
            self.log.line(Line::Trouble { what: format!("notifier {} is too slow: events are dropped", self.number) });
        }
    }
}

struct Delivery {
    number: usize,
    notifier: Arc<dyn Notifier>,
    lane: Lane,
    log: Log,
    dropped: Arc<AtomicU64>,
}

impl Delivery {
    async fn run(self, mut queue: mpsc::Receiver<Event>) {
        let mut end = None;
        while let Some(event) = queue.recv().await {
            // `is_closed` tells that the node has ended, while events are still in the queue.
            if queue.is_closed() && *end.get_or_insert_with(|| Instant::now() + DRAIN) <= Instant::now() {
                return;
            }
            self.deliver(event).await;
            let dropped = self.dropped.swap(0, Ordering::Relaxed);
            if dropped > 0 {
                let what = format!("notifier {} was too slow: {dropped} events were dropped", self.number);
                self.log.line(Line::Trouble { what });
            }
        }
    }

    async fn deliver(&self, event: Event) {
        let (notifier, id) = (self.notifier.clone(), event.id.clone());
        let mut call = self.lane.spawn(async move { notifier.notify(&event, NOTIFY_TIMEOUT).await });
        let trouble = match timeout(NOTIFY_TIMEOUT + GRACE, &mut call).await {
            Ok(Ok(Ok(()))) => return,
            Ok(Ok(Err(error))) => error.chain(),
            Ok(Err(error)) => match error.try_into_panic() {
                Ok(panic) => format!("it panicked: {}", panic_text(&*panic)),
                Err(_) => "its thread was shut down".to_owned(),
            },
            Err(_) => {
                call.abort();
                self.trouble(&id, &format!("no answer within {NOTIFY_TIMEOUT:?}"));
                // One at a time: the next waits until this one has really ended, however long its thread is blocked.
                let _: Result<Result<(), Error>, _> = call.await;
                return;
            }
        };
        self.trouble(&id, &trouble);
    }

    fn trouble(&self, id: &str, what: &str) {
        let what = format!("notifier {} did not deliver event {id}: {what}", self.number);
        self.log.line(Line::Trouble { what });
    }
}
