//! A node's life: from its start to its last words.

use std::path::Path;
use std::time::Duration;

use odoo_ha_backends::postgres::PostgresReplication;
use odoo_ha_core::driver::{HaHandle, HaNode};
use odoo_ha_core::error::{Error, ErrorKind};
use odoo_ha_core::machine::StateName;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::api;
use super::config::{AgentConfig, SecretPlace};
use super::reload;
use super::supervisor::Supervisor;

/// Added to the time of a switchover and to that of a store that does not answer: the rest of leaving in good order.
const LEAVING: Duration = Duration::from_secs(30);

/// How long the file and the database's settings may take to be read and written.
const RELOADING: Duration = Duration::from_secs(40);

/// Runs the node until it has left. SIGTERM and SIGINT hand leadership over, if somebody can take it, stop the database and end; SIGHUP
/// reads the file again.
pub(crate) async fn run(
    file: &Path,
    mut config: AgentConfig,
    node: HaNode,
    database: &PostgresReplication,
) -> Result<(), Error> {
    let [mut term, mut interrupt, mut hang_up] =
        [listen(SignalKind::terminate())?, listen(SignalKind::interrupt())?, listen(SignalKind::hangup())?];
    // What follows from ttl was decided with that of the start: a device that runs gets no other timeout.
    config.watchdog = config.watchdog.map(|watchdog| watchdog.effective(config.timing.timing().ttl));
    let node = node.spawn()?;
    if let Some(section) = &config.api {
        let store = || config.dcs.build(config.cluster.name.clone());
        api::start(section.listen, section.token.as_ref().map(SecretPlace::secret), node.clone(), store)?;
    }
    let mut supervisor = Supervisor::find();
    let mut changes = node.status_changes();
    supervisor.ready();
    let mut leaving = false;
    loop {
        tokio::select! {
            status = changes.next() => match status {
                Some(status) => supervisor.status(&status),
                None => return ended(&node),
            },
            _ = term.recv(), if !leaving => leaving = leave(&node, &config, &supervisor),
            _ = interrupt.recv(), if !leaving => leaving = leave(&node, &config, &supervisor),
            _ = hang_up.recv(), if !leaving => {
                supervisor.reloading();
                // A hung disk must not make the agent deaf to SIGTERM.
                if tokio::time::timeout(RELOADING, read_again(&node, database, file, &mut config)).await.is_err() {
                    // What was written is not known, so the next time it is written again.
                    config.postgres.parameters.insert(String::new(), String::new());
                    tracing::error!("the file could not be taken over within {RELOADING:?}: send SIGHUP again");
                }
                supervisor.ready();
            }
        }
    }
}

/// The node has ended: as it was told to, or otherwise.
fn ended(node: &HaHandle) -> Result<(), Error> {
    if node.status().state == StateName::Stopped {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Unknown, "the node ended before it had left in good order")
        .hint("its log says why; look whether its database and its address are still there"))
}

fn listen(kind: SignalKind) -> Result<Signal, Error> {
    signal(kind).map_err(|error| Error::new(ErrorKind::Unavailable, "signals cannot be heard").caused_by(error))
}

async fn read_again(node: &HaHandle, database: &PostgresReplication, file: &Path, config: &mut AgentConfig) {
    let applied = match AgentConfig::read(file) {
        Ok(new) => reload::apply(node, database, config, new).await,
        Err(error) => Err(error),
    };
    match applied {
        Ok(waiting) if waiting.is_empty() => tracing::info!("the configuration is read again"),
        Ok(waiting) => {
            let waiting = waiting.join(", ");
            tracing::warn!(
                "the configuration is read again; changes of {waiting} wait for a restart of the agent (at once: {})",
                reload::AT_ONCE
            );
        }
        Err(error) => tracing::error!("the configuration stays as it was: {}", error.chain()),
    }
}

/// Begins to leave; the end of the status changes tells when it has left.
fn leave(node: &HaHandle, config: &AgentConfig, supervisor: &Supervisor) -> bool {
    let timing = config.timing.timing();
    let limit = timing.switchover_timeout + 2 * timing.ttl + timing.standby_timeout + LEAVING;
    supervisor.stopping(limit);
    let node = node.clone();
    tokio::spawn(async move {
        match tokio::time::timeout(limit, node.shutdown(true)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!("{}", error.chain()),
            Err(_) => {
                tracing::error!("the node could not be left in good order within {limit:?}");
                node.kill();
            }
        }
    });
    true
}
