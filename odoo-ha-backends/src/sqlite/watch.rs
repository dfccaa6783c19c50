//! Seeing what other processes commit.

use std::time::{Duration, Instant};

use async_trait::async_trait;
use odoo_ha_core::error::{Error, ErrorKind};
use odoo_ha_core::roles::{DcsWatch, WatchEvent};
use odoo_ha_core::store::Revision;
use tokio::sync::{mpsc, oneshot};

use super::client::Client;
use super::config::SqliteConfig;
use super::error::nothing_happened;

/// Time between two looks. A look is one query of shared memory and one `stat(2)`, some 10 µs; SQLite has no way to be told.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// Longest time that one look may wait for SQLite's recovery of the log.
const LOOK_TIMEOUT: Duration = Duration::from_secs(1);

/// Events that may wait for the reader. When it is full the thread waits too, and what changes meanwhile becomes one event.
const MOST_EVENTS: usize = 16;

/// A running watch: a thread with a connection of its own.
#[derive(Debug)]
pub(super) struct SqliteWatch {
    events: mpsc::Receiver<Result<WatchEvent, Error>>,
}

impl SqliteWatch {
    pub(super) async fn begin(config: SqliteConfig, from: Revision, timeout: Duration) -> Result<Self, Error> {
        let (sender, events) = mpsc::channel(MOST_EVENTS);
        let (ready, begun) = oneshot::channel();
        let deadline = Instant::now() + timeout;
        let run = move || match Client::open(&config, false, deadline) {
            Ok(client) => {
                if ready.send(Ok(())).is_ok() {
                    Looker { client, from, seen: None, sender }.run();
                }
            }
            Err(error) => {
                // Nobody waits any more when this fails.
                let _ = ready.send(Err(error));
            }
        };
        std::thread::Builder::new().name("sqlite-watch".to_owned()).spawn(run).map_err(|error| {
            Error::new(ErrorKind::Unavailable, "a thread for the watch could not be started").caused_by(error)
        })?;
        match tokio::time::timeout(timeout, begun).await {
            Ok(Ok(Ok(()))) => Ok(Self { events }),
            Ok(Ok(Err(error))) => Err(nothing_happened(error)),
            _ => Err(Error::new(ErrorKind::Unavailable, format!("the watch did not begin in {timeout:?}"))),
        }
    }
}

#[async_trait]
impl DcsWatch for SqliteWatch {
    async fn next(&mut self) -> Result<WatchEvent, Error> {
        let event = self.events.recv().await;
        event.unwrap_or_else(|| Err(Error::new(ErrorKind::Unavailable, "the watch is over").hint("read anew")))
    }
}

/// The thread's side.
struct Looker {
    client: Client,
    from: Revision,
    /// `PRAGMA data_version` as last looked at.
    seen: Option<i64>,
    sender: mpsc::Sender<Result<WatchEvent, Error>>,
}

impl Looker {
    fn run(mut self) {
        while !self.sender.is_closed() {
            let event = self.look().map_err(nothing_happened);
            let over = matches!(event, Err(_) | Ok(Some(WatchEvent::Gap)));
            let told = match event.transpose() {
                Some(event) => self.sender.blocking_send(event).is_ok(),
                None => true,
            };
            if over || !told {
                return;
            }
            std::thread::sleep(LOOK_EVERY);
        }
    }

    fn look(&mut self) -> Result<Option<WatchEvent>, Error> {
        if !self.client.is_current()? {
            return Ok(Some(WatchEvent::Gap));
        }
        // Taken before the changes are read: what is committed in between is looked at twice rather than never.
        let version = self.client.data_version()?;
        if self.seen == Some(version) {
            return Ok(None);
        }
        let (revision, changes) = self.client.changes(self.from, Instant::now() + LOOK_TIMEOUT)?;
        self.seen = Some(version);
        if revision < self.from {
            return Ok(Some(WatchEvent::Gap));
        }
        self.from = revision;
        Ok((!changes.is_empty()).then_some(WatchEvent::Changed { revision, changes }))
    }
}
