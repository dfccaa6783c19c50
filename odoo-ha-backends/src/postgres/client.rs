//! Sessions with PostgreSQL; nothing of the client library leaves this file.

use std::error::Error as _;
use std::io;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use odoo_ha_core::database::Endpoint;
use odoo_ha_core::error::{Error, ErrorKind};
use odoo_ha_core::lsn::{Lsn, Timeline};
use tokio::task::JoinHandle;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Config, NoTls, SimpleQueryMessage};

use super::error::malformed;
use crate::common::secret::Revealed;

/// How the agent's sessions are set, whatever the database's own settings are: nothing cuts them short. What only newer versions know, and older ones
/// refuse, is in [`options`].
const OPTIONS: &str = "-c search_path=pg_catalog -c statement_timeout=0 -c lock_timeout=0 \
                       -c default_transaction_read_only=off -c default_transaction_isolation=read\\ committed \
                       -c client_min_messages=warning";

/// How long a connection to another member may take.
const UPSTREAM_CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// How long another member may take to open a session, and to answer a question. The kernel of one whose processes hang takes whatever is
/// sent, so that nothing below would ever end the wait.
const UPSTREAM_OPEN_TIMEOUT: Duration = Duration::from_secs(10);
const UPSTREAM_ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

/// The first major version that ends idle sessions, and the first that ends long transactions.
const IDLE_SESSION_TIMEOUT_SINCE: u32 = 14;
const TRANSACTION_TIMEOUT_SINCE: u32 = 17;

/// How the agent's sessions with this major version are set.
pub(super) fn options(major: u32) -> String {
    let newer = [
        (IDLE_SESSION_TIMEOUT_SINCE, " -c idle_session_timeout=0"),
        (TRANSACTION_TIMEOUT_SINCE, " -c transaction_timeout=0"),
    ];
    let known = newer.into_iter().filter(|(since, _)| *since <= major).map(|(_, option)| option);
    std::iter::once(OPTIONS).chain(known).collect()
}

/// How to reach the local database and those of other members.
#[derive(Clone)]
pub(super) struct Access {
    pub(super) socket_dir: PathBuf,
    pub(super) port: u16,
    pub(super) superuser: String,
    pub(super) replication_user: String,
    pub(super) database: String,
    pub(super) password: Option<Revealed>,
    /// How sessions are [set](options). Who streams from another has its major version.
    pub(super) options: String,
}

/// Why there is no session.
#[derive(Debug)]
pub(super) enum NoSession {
    /// Nobody listens.
    NobodyListens,
    /// The database says that it is starting up, shutting down or recovering.
    NotYet,
    /// Anything else.
    Failed(Error),
}

impl From<NoSession> for Error {
    fn from(reason: NoSession) -> Self {
        match reason {
            NoSession::NobodyListens => Self::new(ErrorKind::NotReady, "nobody listens on the database's socket"),
            NoSession::NotYet => Self::new(ErrorKind::NotReady, "the database does not accept connections yet"),
            NoSession::Failed(error) => error,
        }
    }
}

/// One session. Dropped, it is closed.
pub(super) struct Session {
    client: Client,
    connection: JoinHandle<()>,
    /// How long a question may take; `None`: the order's own time is the bound.
    limit: Option<Duration>,
}

impl Drop for Session {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

impl Access {
    /// A new session with the local database, as superuser.
    pub(super) async fn local(&self) -> Result<Session, NoSession> {
        let mut config = Config::new();
        config.host_path(&self.socket_dir).port(self.port).user(&self.superuser);
        self.open(config, None).await
    }

    /// A new session with another member's database.
    pub(super) async fn upstream(&self, endpoint: &Endpoint) -> Result<Session, Error> {
        let mut config = Config::new();
        config.host(&endpoint.host).port(endpoint.port).user(&self.replication_user);
        config.connect_timeout(UPSTREAM_CONNECT_TIMEOUT).tcp_user_timeout(UPSTREAM_CONNECT_TIMEOUT);
        if let Some(password) = &self.password {
            config.password(password.as_str());
        }
        let unavailable = |what: &str| Error::new(ErrorKind::Unavailable, format!("the database at {endpoint} {what}"));
        let opened =
            tokio::time::timeout(UPSTREAM_OPEN_TIMEOUT, self.open(config, Some(UPSTREAM_ANSWER_TIMEOUT))).await;
        match opened.map_err(|_| unavailable(&format!("opened no session within {UPSTREAM_OPEN_TIMEOUT:?}")))? {
            Ok(session) => Ok(session),
            Err(NoSession::NobodyListens | NoSession::NotYet) => Err(unavailable("does not accept connections")),
            Err(NoSession::Failed(error)) => Err(error),
        }
    }

    async fn open(&self, mut config: Config, limit: Option<Duration>) -> Result<Session, NoSession> {
        config.dbname(&self.database).application_name("odoo-ha").options(&self.options);
        let (client, connection) = config.connect(NoTls).await.map_err(no_session)?;
        let connection = tokio::spawn(async move {
            // The session's queries see how it ended.
            let _ended = connection.await;
        });
        Ok(Session { client, connection, limit })
    }
}

/// What PostgreSQL stores of a password: it proves who knows it, and does not give it away (RFC 5803).
pub(super) fn scram_verifier(password: &Revealed) -> String {
    postgres_protocol::password::scram_sha_256(password.as_str().as_bytes())
}

fn no_session(source: tokio_postgres::Error) -> NoSession {
    if let Some(database) = source.as_db_error() {
        let code = database.code();
        if *code == SqlState::CANNOT_CONNECT_NOW {
            return NoSession::NotYet;
        }
        let kind = if *code == SqlState::TOO_MANY_CONNECTIONS {
            ErrorKind::NotReady
        } else if *code == SqlState::INVALID_PASSWORD || *code == SqlState::INVALID_AUTHORIZATION_SPECIFICATION {
            ErrorKind::Denied
        } else {
            ErrorKind::Unavailable
        };
        let what = format!("the database refused a session: {}", database.message());
        return NoSession::Failed(Error::new(kind, what));
    }
    let refused = source
        .source()
        .and_then(|cause| cause.downcast_ref::<io::Error>())
        .is_some_and(|cause| matches!(cause.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused));
    if refused {
        return NoSession::NobodyListens;
    }
    NoSession::Failed(
        Error::new(ErrorKind::Unavailable, "no session with the database could be opened").caused_by(source),
    )
}

impl Session {
    /// Runs statements and hands back the rows of all of them, as text.
    pub(super) async fn rows(&self, sql: &str) -> Result<Vec<Row>, Error> {
        let asking = self.client.simple_query(sql);
        let answer = match self.limit {
            None => asking.await,
            Some(limit) => tokio::time::timeout(limit, asking).await.map_err(|_| {
                Error::new(ErrorKind::Unavailable, format!("the upstream did not answer a question within {limit:?}"))
            })?,
        };
        let messages = answer.map_err(query_failed)?;
        Ok(messages
            .into_iter()
            .filter_map(|message| match message {
                SimpleQueryMessage::Row(row) => {
                    let value = |column| row.try_get(column).ok().flatten().map(ToOwned::to_owned);
                    Some(Row((0..row.len()).map(value).collect()))
                }
                _ => None,
            })
            .collect())
    }

    /// Runs a statement that gives one row.
    pub(super) async fn row(&self, sql: &str) -> Result<Row, Error> {
        let mut rows = self.rows(sql).await?;
        rows.pop().ok_or_else(|| malformed("the database gave no row where one was due"))
    }

    /// Runs statements for their effect, however long they take.
    pub(super) async fn run(&self, sql: &str) -> Result<(), Error> {
        self.client.batch_execute(sql).await.map_err(query_failed)
    }
}

fn query_failed(source: tokio_postgres::Error) -> Error {
    let Some(database) = source.as_db_error() else {
        return Error::new(ErrorKind::Unknown, "the session with the database ended").caused_by(source);
    };
    let code = database.code();
    let kind = if *code == SqlState::INSUFFICIENT_PRIVILEGE {
        ErrorKind::Denied
    } else if *code == SqlState::DISK_FULL || *code == SqlState::IO_ERROR {
        ErrorKind::Disk
    } else if *code == SqlState::CONFIGURATION_LIMIT_EXCEEDED {
        ErrorKind::Misconfigured
    } else {
        ErrorKind::Unknown
    };
    // The message only: details may quote data.
    Error::new(kind, format!("the database refused a statement: {} ({})", database.message(), code.code()))
}

/// One row, as text.
#[derive(Debug)]
pub(super) struct Row(Vec<Option<String>>);

impl Row {
    /// The column, or `None` for SQL's null.
    pub(super) fn get(&self, column: usize) -> Option<&str> {
        self.0.get(column).and_then(Option::as_deref)
    }

    /// The column as text.
    pub(super) fn text(&self, column: usize) -> Result<&str, Error> {
        self.get(column).ok_or_else(|| malformed(format!("column {column} of an answer of the database is empty")))
    }

    /// The column as something that can be parsed.
    pub(super) fn parse<T: FromStr>(&self, column: usize) -> Result<T, Error> {
        let text = self.text(column)?;
        text.parse().map_err(|_| malformed(format!("the database answered {text:?}, which cannot be understood")))
    }

    /// The column as a position; 0/0 for null.
    pub(super) fn lsn(&self, column: usize) -> Result<Lsn, Error> {
        self.get(column).map_or(Ok(Lsn(0)), str::parse)
    }

    /// The column as a truth value; null is false.
    pub(super) fn is_true(&self, column: usize) -> bool {
        self.get(column) == Some("t")
    }

    /// The column as the timeline that begins the name of a log file.
    pub(super) fn timeline_of_file(&self, column: usize) -> Result<Timeline, Error> {
        let name = self.text(column)?;
        let digits = name.get(..8).ok_or_else(|| malformed(format!("{name:?} is no name of a log file")))?;
        u32::from_str_radix(digits, 16)
            .map(Timeline)
            .map_err(|_| malformed(format!("{name:?} is no name of a log file")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_told_what_it_knows() {
        let has = |major, name: &str| options(major).split(' ').any(|word| word == format!("{name}=0"));
        for (name, since) in [("statement_timeout", 13), ("idle_session_timeout", 14), ("transaction_timeout", 17)] {
            let known: Vec<u32> = (13..=18).filter(|major| has(*major, name)).collect();
            assert_eq!(known, (since..=18).collect::<Vec<u32>>(), "{name}");
        }
    }
}
