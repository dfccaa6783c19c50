//! The client: writes through the address all the time, one write after the other.

use std::time::Duration;

use tokio::time::{sleep, timeout};

use super::clock;
use super::node::Node;
use super::record::{Recorder, Write};
use super::session::{CLIENT, Session};

/// Creates the client's role and the table that it writes to.
pub(crate) fn create() -> String {
    format!(
        "CREATE ROLE {CLIENT} LOGIN; CREATE TABLE quickstart_write (id bigint PRIMARY KEY); \
         GRANT SELECT, INSERT ON quickstart_write TO {CLIENT}"
    )
}

/// Lists what was written.
pub(crate) const LIST: &str = "SELECT id FROM quickstart_write";

/// Between two writes.
const PAUSE: Duration = Duration::from_millis(5);

/// How long opening a session may take.
const CONNECT_DEADLINE: Duration = Duration::from_millis(250);

/// How long a write may take. Then the session is dropped and the write stays unknown: its id is never used again.
const WRITE_DEADLINE: Duration = Duration::from_millis(500);

/// Where it writes to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Writer {
    pub(crate) address_port: u16,
    /// The ports of the nodes' own databases, by which a session knows where it is.
    pub(crate) ports: [u16; 2],
}

impl Writer {
    /// Writes until it is dropped.
    pub(crate) async fn run(self, recorder: Recorder) {
        let mut id = 0;
        loop {
            if let Some((session, by)) = self.connect().await {
                self.write_while_it_works(&session, by, &mut id, &recorder).await;
            }
            sleep(PAUSE).await;
        }
    }

    async fn connect(&self) -> Option<(Session, Option<Node>)> {
        let session = Session::through_address(self.address_port, CONNECT_DEADLINE).await.ok()?;
        let port = timeout(CONNECT_DEADLINE, session.column("SHOW port")).await.ok()?.ok()?;
        let by = Node::BOTH
            .into_iter()
            .find(|node| port.first().is_some_and(|port| *port == self.ports[node.index()].to_string()));
        Some((session, by))
    }

    async fn write_while_it_works(&self, session: &Session, by: Option<Node>, id: &mut i64, recorder: &Recorder) {
        loop {
            *id += 1;
            let statement = format!("INSERT INTO quickstart_write (id) VALUES ({id})");
            let sent = clock::now();
            let done = timeout(WRITE_DEADLINE, session.run(&statement)).await;
            let warned = session.take_warned();
            let acked = matches!(done, Ok(Ok(()))).then(clock::now).filter(|_| !warned);
            recorder.lock().writes.push(Write { id: *id, sent, acked, by });
            if acked.is_none() {
                return;
            }
            sleep(PAUSE).await;
        }
    }
}
