//! The connection: the only place that knows `tokio_postgres`.

use std::error::Error as StdError;
use std::time::Duration;

use odoo_ha_core::error::{Error, ErrorKind};
use odoo_ha_core::roles::Verdict;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Config, NoTls, SimpleQueryMessage};

use super::config::PostgresProbeConfig;

/// One round trip that commits: a record in the log, flushed here. See the module's documentation.
const WRITE: &str = "BEGIN; SET LOCAL synchronous_commit = local; \
    SELECT pg_logical_emit_message(true, 'odoo_ha_probe', ''); COMMIT";

/// What keeps a database from being written to, as seen by a session of its own.
const LOOK: &str = "SELECT pg_is_in_recovery(), current_setting('transaction_read_only')";

/// Connects anew, looks, commits, and hangs up.
pub(super) async fn write(probe: &PostgresProbeConfig, timeout: Duration) -> Result<Verdict, Error> {
    let mut config = Config::new();
    config
        .host(&probe.host)
        .port(probe.port)
        .user(&probe.user)
        .dbname(&probe.database)
        .application_name("odoo_ha_probe")
        // What is given up here ends there too; PostgreSQL takes 0 for "never".
        .options(format!("-c statement_timeout={}", timeout.as_millis().clamp(1, 86_400_000)));
    if let Some(password) = &probe.password {
        config.password(password.reveal("the password of the probe's role")?.as_str());
    }
    let (client, connection) = match config.connect(NoTls).await {
        Ok(connected) => connected,
        Err(error) => return verdict(probe, error),
    };
    // Both on this task: dropping the check drops the connection with it.
    tokio::select! {
        result = look_and_write(&client) => match result {
            Ok(None) => Ok(Verdict::Healthy),
            Ok(Some(what)) => Ok(Verdict::Unhealthy(format!("{probe} {what}"))),
            Err(error) => verdict(probe, error),
        },
        result = connection => match result {
            Ok(()) => Ok(Verdict::Unhealthy(format!("{probe} closed the connection"))),
            Err(error) => verdict(probe, error),
        },
    }
}

/// What stands against writing, or nothing when it was done.
async fn look_and_write(client: &Client) -> Result<Option<&'static str>, tokio_postgres::Error> {
    let rows = client.simple_query(LOOK).await?;
    let row = rows.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some((row.get(0), row.get(1))),
        _ => None,
    });
    match row {
        Some((Some("f"), Some("off"))) => {}
        Some((Some("t"), _)) => return Ok(Some("is in recovery (a standby)")),
        Some((Some("f"), Some("on"))) => return Ok(Some("is read-only")),
        _ => return Ok(Some("answered with what PostgreSQL does not answer with")),
    }
    client.batch_execute(WRITE).await?;
    Ok(None)
}

/// A refusal of our credentials says nothing about the database's health; everything else does.
fn verdict(probe: &PostgresProbeConfig, error: tokio_postgres::Error) -> Result<Verdict, Error> {
    let ours = [
        SqlState::INVALID_PASSWORD,
        SqlState::INVALID_AUTHORIZATION_SPECIFICATION,
        SqlState::INVALID_CATALOG_NAME,
        SqlState::INSUFFICIENT_PRIVILEGE,
        SqlState::UNDEFINED_FUNCTION,
    ];
    if error.code().is_some_and(|code| ours.contains(code)) {
        return Err(Error::new(ErrorKind::Misconfigured, format!("the probe may not write to {probe}"))
            .hint("give it a role that may connect to the database, and that role's password")
            .caused_by(error));
    }
    let mut what = error.to_string();
    if let Some(cause) = error.source() {
        what = format!("{what}: {cause}");
    }
    Ok(Verdict::Unhealthy(format!("{probe} does not commit: {what}")))
}
