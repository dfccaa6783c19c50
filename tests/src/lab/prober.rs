//! Who accepts writes: commits again and again through each database's own socket.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::task::AbortHandle;
use tokio_postgres::Client;

use super::sql;

/// Between two commits of one prober.
const PAUSE: Duration = Duration::from_millis(50);

/// Writes, and says on which timeline: each reign has one of its own, and a later one a higher.
const PROBE: &str = "insert into probed values (clock_timestamp()) returning ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::int::text";

/// A database acknowledged a commit.
#[derive(Clone, Debug)]
pub(super) struct Accepted {
    pub(super) node: String,
    pub(super) timeline: i32,
    pub(super) began: Instant,
    pub(super) ended: Instant,
}

/// What all probers have seen.
pub(super) type Seen = Arc<Mutex<Vec<Accepted>>>;

/// Looks at one node until it is dropped.
#[derive(Debug)]
pub(super) struct Prober(AbortHandle);

impl Prober {
    pub(super) fn start(node: String, socket: PathBuf, seen: Seen) -> Self {
        Self(tokio::spawn(probe(node, socket, seen)).abort_handle())
    }
}

impl Drop for Prober {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn probe(node: String, socket: PathBuf, seen: Seen) {
    let mut client: Option<Client> = None;
    loop {
        tokio::time::sleep(PAUSE).await;
        let Some(connected) = &client else {
            client = sql::open(&socket).await;
            continue;
        };
        let began = Instant::now();
        // Without a limit: a commit that waits for its standby is waited for, as cancelling it would make it one that was acknowledged.
        // In simple protocol, so that there is one answer, and it is there once the commit is.
        match connected.simple_query(PROBE).await {
            Ok(answer) => {
                let timeline = answer.iter().find_map(|message| match message {
                    tokio_postgres::SimpleQueryMessage::Row(row) => row.get(0)?.parse().ok(),
                    _ => None,
                });
                let Some(timeline) = timeline else { continue };
                let accepted = Accepted { node: node.clone(), timeline, began, ended: Instant::now() };
                seen.lock().expect("nobody panicked with it").push(accepted);
            }
            Err(_) if connected.is_closed() => client = None,
            // A standby.
            Err(_) => {}
        }
    }
}
