//! Seeing what others commit.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use odoo_ha_core::error::{Error, ErrorKind};
use odoo_ha_core::roles::{DcsWatch, WatchEvent};
use odoo_ha_core::store::Revision;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;

use super::dcs::Shared;
use super::endpoints::Asked;
use super::error::Failure;
use super::feed::{Feed, Heard};

/// Events that may wait for the reader. When it is full the stream is not read, and etcd keeps what comes.
const MOST_EVENTS: usize = 16;

/// Time for going on at another member when a stream ends, long enough for etcd to elect a leader; then the watch is over.
const RESUME_TIMEOUT: Duration = Duration::from_secs(3);

/// How often a stream may end without having shown anything before the watch is over. A member that is cut off may begin streams and then say nothing, so each
/// costs twice the silence and the time of going on: together less than 20 s with the default silence.
const MOST_RESUMES: u32 = 2;

/// Looks at the silence of a stream within the configured time. It is counted in looks, so that a runtime that was blocked, and could not
/// have heard anything, does not take that for silence.
const LOOKS: u32 = 4;

/// How a watch begins.
#[derive(Debug)]
pub(super) enum Begun {
    Feed(Box<Feed>),
    Gap,
}

/// A watch at the first member that begins one.
pub(super) async fn begin(shared: &Shared, from: Revision, timeout: Duration) -> Result<Begun, Error> {
    let request = |asked: Asked| -> futures_util::future::BoxFuture<'static, Result<Begun, Failure>> {
        Box::pin(async move {
            let result = begin_on(&asked, from).await;
            asked.answered(result)
        })
    };
    shared.first_answer("the watch could not begin", timeout, &request).await.map_err(|error| match error.kind() {
        ErrorKind::Denied | ErrorKind::Unavailable => error,
        _ => Error::new(ErrorKind::Unavailable, "the watch could not begin").caused_by(error),
    })
}

async fn begin_on(asked: &Asked, from: Revision) -> Result<Begun, Failure> {
    let mut feed = asked.link().feed(from).await?;
    loop {
        match feed.next().await? {
            // A store that was restored or made anew has not come so far, and would be silent until it has. A member that is only behind
            // gets there, so the store as a whole is asked.
            Heard::Begun(revision) if revision < from && asked.link().revision().await? < from => {
                return Ok(Begun::Gap);
            }
            Heard::Begun(_) => return Ok(Begun::Feed(Box::new(feed))),
            Heard::Compacted => return Ok(Begun::Gap),
            // Nothing is told before the beginning.
            Heard::Alive | Heard::Changes(..) => {}
        }
    }
}

/// A running watch: a task that reads the stream, and goes on at another member when it ends.
#[derive(Debug)]
pub(super) struct EtcdWatch {
    events: mpsc::Receiver<Result<WatchEvent, Error>>,
    task: JoinHandle<()>,
}

impl EtcdWatch {
    pub(super) fn run(shared: Arc<Shared>, begun: Begun, from: Revision) -> Self {
        let (sender, events) = mpsc::channel(MOST_EVENTS);
        let task = tokio::spawn(async move {
            let last = Reader { shared, from, events: sender.clone() }.run(begun).await;
            if let Some(last) = last {
                // Nobody listens any more when this fails.
                let _ = sender.send(last).await;
            }
        });
        Self { events, task }
    }
}

impl Drop for EtcdWatch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[async_trait]
impl DcsWatch for EtcdWatch {
    async fn next(&mut self) -> Result<WatchEvent, Error> {
        let event = self.events.recv().await;
        event.unwrap_or_else(|| Err(Error::new(ErrorKind::Unavailable, "the watch is over").hint("read anew")))
    }
}

struct Reader {
    shared: Arc<Shared>,
    /// Everything up to here has been told.
    from: Revision,
    events: mpsc::Sender<Result<WatchEvent, Error>>,
}

/// Why a stream is not read any more.
enum End {
    Gap,
    Lost(Error),
    /// Nobody listens.
    Unheard,
}

impl Reader {
    /// Reads until the watch is over; its last word.
    async fn run(mut self, mut begun: Begun) -> Option<Result<WatchEvent, Error>> {
        let mut resumes = 0;
        loop {
            let Begun::Feed(mut feed) = begun else { return Some(Ok(WatchEvent::Gap)) };
            let before = self.from;
            let lost = match self.follow(&mut feed).await {
                End::Gap => return Some(Ok(WatchEvent::Gap)),
                End::Unheard => return None,
                End::Lost(error) => error,
            };
            drop(feed);
            resumes = if self.from == before { resumes + 1 } else { 0 };
            if resumes > MOST_RESUMES {
                return Some(Err(over(lost)));
            }
            begun = match begin(&self.shared, self.from, RESUME_TIMEOUT).await {
                Ok(begun) => begun,
                Err(error) => return Some(Err(over(error))),
            };
        }
    }

    async fn follow(&mut self, feed: &mut Feed) -> End {
        let mut look = tokio::time::interval(self.shared.config.silence / LOOKS);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut silent = 0;
        loop {
            tokio::select! {
                biased;
                () = self.events.closed() => return End::Unheard,
                heard = feed.next() => {
                    silent = 0;
                    match heard {
                        Ok(Heard::Begun(_) | Heard::Alive) => {}
                        Ok(Heard::Compacted) => return End::Gap,
                        Err(failure) => return End::Lost(failure.error),
                        Ok(Heard::Changes(revision, changes)) => {
                            self.from = self.from.max(revision);
                            if !changes.is_empty()
                                && self.events.send(Ok(WatchEvent::Changed { revision, changes })).await.is_err()
                            {
                                return End::Unheard;
                            }
                        }
                    }
                }
                _ = look.tick() => {
                    silent += 1;
                    if silent == LOOKS && let Err(failure) = feed.ask().await {
                        return End::Lost(failure.error);
                    }
                    if silent > 2 * LOOKS {
                        return End::Lost(Error::new(ErrorKind::Unavailable, "the member of etcd is silent"));
                    }
                }
            }
        }
    }
}

fn over(cause: Error) -> Error {
    Error::new(ErrorKind::Unavailable, "the watch of the store was lost").hint("read anew").caused_by(cause)
}
