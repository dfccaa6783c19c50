//! A probe beside each database: does it accept writes, whatever the address says?

use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval, timeout};

use super::clock;
use super::node::Node;
use super::node_config::NodeConfig;
use super::record::{Face, Recorder, push_if_new};
use super::session::Session;

/// Creates the table that it writes to.
pub(crate) const CREATE: &str = "CREATE TABLE quickstart_probe (node text, at timestamptz DEFAULT clock_timestamp())";

/// Asked before each write: a standby's log is not filled with writes that it refuses.
const ROLE: &str = "SELECT CASE WHEN pg_is_in_recovery() THEN 'standby' \
                    WHEN to_regclass('quickstart_probe') IS NULL THEN 'empty' ELSE 'primary' END";

/// Between two looks.
const INTERVAL: Duration = Duration::from_millis(50);

/// How long a look may take before the database is said not to answer.
const DEADLINE: Duration = Duration::from_millis(200);

/// Looks until it is dropped.
pub(crate) async fn run(node: Node, config: NodeConfig, recorder: Recorder) {
    let statement = format!("INSERT INTO quickstart_probe (node) VALUES ('{}')", node.name());
    let mut ticks = interval(INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut session = None;
    loop {
        ticks.tick().await;
        let open = match session.take() {
            Some(open) => Ok(open),
            None => Session::beside(&config, DEADLINE).await,
        };
        let face = match open {
            Ok(open) => {
                let face = look(&open, &statement, node, &recorder).await;
                session = (face != Face::Down).then_some(open);
                face
            }
            Err(_) => Face::Down,
        };
        push_if_new(&mut recorder.lock().node_mut(node).database, clock::now(), face);
    }
}

async fn look(session: &Session, statement: &str, node: Node, recorder: &Recorder) -> Face {
    match timeout(DEADLINE, session.column(ROLE)).await {
        Ok(Ok(role)) if role == ["primary"] => {}
        // The table comes soon after the first primary.
        Ok(Ok(role)) if role == ["empty"] => return Face::Primary,
        Ok(Ok(_)) => return Face::Standby,
        Ok(Err(_)) | Err(_) => return Face::Down,
    }
    let write = session.run(statement);
    tokio::pin!(write);
    let done = match timeout(DEADLINE, &mut write).await {
        Ok(done) => done,
        Err(_) => {
            // Not dropped: a session that is dropped while its commit waits for a standby lingers in the database. What
            // is acknowledged late was accepted late.
            push_if_new(&mut recorder.lock().node_mut(node).database, clock::now(), Face::Waiting);
            write.await
        }
    };
    match done {
        Ok(()) if session.take_warned() => Face::Waiting,
        Ok(()) => {
            recorder.lock().node_mut(node).local_acks.push(clock::now());
            Face::Primary
        }
        Err(_) => Face::Down,
    }
}
