//! Questions to a database through its own socket.

use std::path::Path;
use std::time::Duration;

use tokio_postgres::{Client, Config, NoTls};

/// Longest time of one question; a frozen database answers none.
pub(super) const TIMEOUT: Duration = Duration::from_secs(2);

/// Opens a session as PostgreSQL's superuser.
pub(super) async fn open(socket: &Path) -> Option<Client> {
    let mut config = Config::new();
    config.host_path(socket).port(super::node::PORT).user("postgres").dbname("postgres").application_name("lab");
    let (client, connection) = tokio::time::timeout(TIMEOUT, config.connect(NoTls)).await.ok()?.ok()?;
    // Ends when the client is dropped; what it says is said to the client.
    tokio::spawn(connection);
    Some(client)
}

/// The rows of an answer, as text; `None` when there was none in time.
pub(super) async fn ask(socket: &Path, sql: &str) -> Option<Vec<Vec<String>>> {
    let client = open(socket).await?;
    let rows = tokio::time::timeout(TIMEOUT, client.simple_query(sql)).await.ok()?.ok()?;
    let rows = rows.into_iter().filter_map(|message| match message {
        tokio_postgres::SimpleQueryMessage::Row(row) => {
            Some((0..row.len()).map(|column| row.get(column).unwrap_or_default().to_owned()).collect())
        }
        _ => None,
    });
    Some(rows.collect())
}
