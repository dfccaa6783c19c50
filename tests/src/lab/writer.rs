//! The client: writes one row a commit over the address, and remembers which were acknowledged.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_postgres::{Client, Config, NoTls};

use super::network::{Host, Network};

/// Longest wait for a connection or an answer. Then the connection is dropped, never the commit cancelled: PostgreSQL takes a cancelled wait
/// for a standby for a commit.
const TIMEOUT: Duration = Duration::from_secs(3);

/// Between two commits, and before another try.
const PAUSE: Duration = Duration::from_millis(5);

/// What the client does not use, the replication password for one, it does not know.
pub(super) const USER: &str = "client";
pub(super) const PASSWORD: &str = "client";

/// One acknowledged row.
#[derive(Clone, Copy, Debug)]
pub(super) struct Acknowledged {
    pub(super) id: i64,
    pub(super) began: Instant,
    pub(super) ended: Instant,
}

/// What the client knows.
#[derive(Debug, Default)]
pub(super) struct Book {
    pub(super) acknowledged: Vec<Acknowledged>,
    /// The last that was tried.
    pub(super) tried: i64,
}

/// A client that writes until it is stopped.
#[derive(Debug)]
pub(super) struct Writer {
    book: Arc<Mutex<Book>>,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Writer {
    /// Begins to write. The table `written` and the role are there.
    pub(super) fn start(host: &Host) -> Self {
        let book = Arc::new(Mutex::new(Book::default()));
        let (stop, stopped) = watch::channel(false);
        let task = host.runtime().spawn(write(Arc::clone(&book), stopped));
        Self { book, stop, task }
    }

    /// Looks at what it knows.
    pub(super) fn look<T>(&self, look: impl FnOnce(&Book) -> T) -> T {
        look(&self.book.lock().expect("nobody panicked with it"))
    }

    /// Ends it, and waits for the answer that is under way.
    pub(super) async fn stop(&mut self) {
        self.stop.send_replace(true);
        (&mut self.task).await.expect("it did not panic");
    }
}

async fn write(book: Arc<Mutex<Book>>, stopped: watch::Receiver<bool>) {
    let mut client: Option<Client> = None;
    let mut id = 0;
    while !*stopped.borrow() {
        tokio::time::sleep(PAUSE).await;
        let Some(connected) = &client else {
            client = connect().await;
            continue;
        };
        id += 1;
        book.lock().expect("nobody panicked with it").tried = id;
        let began = Instant::now();
        let insert = format!("insert into written values ({id})");
        match tokio::time::timeout(TIMEOUT, connected.batch_execute(&insert)).await {
            Ok(Ok(())) => {
                let row = Acknowledged { id, began, ended: Instant::now() };
                book.lock().expect("nobody panicked with it").acknowledged.push(row);
            }
            Ok(Err(_)) | Err(_) => client = None,
        }
    }
}

async fn connect() -> Option<Client> {
    let mut config = Config::new();
    config.host(Network::ADDRESS).port(super::node::PORT).user(USER).password(PASSWORD).dbname("postgres");
    config.application_name("lab_client");
    let (client, connection) = tokio::time::timeout(TIMEOUT, config.connect(NoTls)).await.ok()?.ok()?;
    tokio::spawn(connection);
    Some(client)
}
