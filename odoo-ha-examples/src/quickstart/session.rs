//! One session with a PostgreSQL, as client, probe and referee open it.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio_postgres::error::SqlState;
use tokio_postgres::{AsyncMessage, Client, Config, NoTls, SimpleQueryMessage};

use super::node_config::NodeConfig;

/// The database, and the role of who looks at it.
const NAME: &str = "postgres";

/// The client's role. No superuser: a client that uses up all connections must not take those reserved for the agent.
pub(crate) const CLIENT: &str = "quickstart";

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum NoAnswer {
    /// There is no session, or it ended, or no answer came in time.
    Silent,
    /// The database refused for another reason.
    Refused(String),
}

impl fmt::Display for NoAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Silent => f.write_str("there was no answer"),
            Self::Refused(why) => write!(f, "it was refused: {why}"),
        }
    }
}

/// An open session. Dropped, it is closed.
pub(crate) struct Session {
    client: Client,
    connection: JoinHandle<()>,
    warned: Arc<AtomicBool>,
}

impl Drop for Session {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

impl Session {
    /// A session through the address.
    pub(crate) async fn through_address(port: u16, deadline: Duration) -> Result<Self, NoAnswer> {
        let mut config = Config::new();
        config.host("127.0.0.1").port(port).user(CLIENT).application_name("quickstart client");
        Self::open(config, deadline).await
    }

    /// A session with this node's own database, whatever it is.
    pub(crate) async fn beside(node: &NodeConfig, deadline: Duration) -> Result<Self, NoAnswer> {
        Self::on_socket(&node.socket_dir(), node.port, deadline).await
    }

    async fn on_socket(socket_dir: &Path, port: u16, deadline: Duration) -> Result<Self, NoAnswer> {
        let mut config = Config::new();
        config.host_path(socket_dir).port(port).user(NAME).application_name("quickstart probe");
        Self::open(config, deadline).await
    }

    async fn open(mut config: Config, deadline: Duration) -> Result<Self, NoAnswer> {
        config.dbname(NAME);
        let connecting = tokio::time::timeout(deadline, config.connect(NoTls)).await.map_err(|_| NoAnswer::Silent)?;
        let (client, mut connection) = connecting.map_err(|error| no_answer(&error))?;
        let warned = Arc::new(AtomicBool::new(false));
        let warn = warned.clone();
        let connection = tokio::spawn(async move {
            while let Some(Ok(message)) = std::future::poll_fn(|context| connection.poll_message(context)).await {
                if let AsyncMessage::Notice(notice) = message
                    && notice.severity() == "WARNING"
                {
                    warn.store(true, Ordering::Release);
                }
            }
        });
        Ok(Self { client, connection, warned })
    }

    /// Runs statements for their effect.
    pub(crate) async fn run(&self, sql: &str) -> Result<(), NoAnswer> {
        self.client.batch_execute(sql).await.map_err(|error| no_answer(&error))
    }

    /// The first column of all rows.
    pub(crate) async fn column(&self, sql: &str) -> Result<Vec<String>, NoAnswer> {
        let messages = self.client.simple_query(sql).await.map_err(|error| no_answer(&error))?;
        let rows = messages.into_iter().filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => row.get(0).map(ToOwned::to_owned),
            _ => None,
        });
        Ok(rows.collect())
    }

    /// Whether the database sent a warning since the last time this was asked: PostgreSQL acknowledges a commit whose wait
    /// for the standby was cancelled, with a warning.
    pub(crate) fn take_warned(&self) -> bool {
        self.warned.swap(false, Ordering::AcqRel)
    }
}

fn no_answer(error: &tokio_postgres::Error) -> NoAnswer {
    let Some(said) = error.as_db_error() else { return NoAnswer::Silent };
    if [SqlState::CANNOT_CONNECT_NOW, SqlState::ADMIN_SHUTDOWN, SqlState::CRASH_SHUTDOWN].contains(said.code()) {
        NoAnswer::Silent
    } else {
        NoAnswer::Refused(said.message().to_owned())
    }
}
