//! What the guard writes down. A thread of its own does the writing: a hung disk must not hold the guard's loop.

use std::cell::Cell;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::lease::Reign;
use super::protocol::Firing;
use super::{clock, files, proc};

/// How many entries may wait for the disk; more are dropped, for nothing waits for a log.
const WAITING: usize = 64;

/// Longest wait for the disk when the guard ends.
const LAST_WRITE: Duration = Duration::from_secs(2);

/// What a guard that is started again must know. It means nothing after the machine's next start: no process outlives that.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Remembered {
    pub(super) boot_id: String,
    pub(super) newest: Option<Reign>,
    pub(super) acted: Option<Reign>,
    pub(super) last: Option<Firing>,
}

impl Remembered {
    /// Reads it; nothing when there is none of this run of the machine.
    pub(super) fn read(runtime_dir: &Path) -> io::Result<Self> {
        let boot_id = proc::boot_id()?;
        let fresh = Self { boot_id: boot_id.clone(), ..Self::default() };
        match fs::read(files::state(runtime_dir)) {
            Ok(bytes) => {
                let read: Self = serde_json::from_slice(&bytes)?;
                Ok(if read.boot_id == boot_id { read } else { fresh })
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(fresh),
            Err(error) => Err(error),
        }
    }

    fn write(&self, runtime_dir: &Path) -> io::Result<()> {
        let path = files::state(runtime_dir);
        let new = path.with_extension("json.new");
        let mut file = fs::File::create(&new)?;
        file.write_all(&serde_json::to_vec(self)?)?;
        file.sync_data()?;
        fs::rename(new, path)
    }
}

enum Entry {
    Line(String),
    State { ticket: u64, state: Box<Remembered> },
}

/// The way to the disk.
pub(super) struct Journal {
    entries: SyncSender<Entry>,
    ended: Receiver<()>,
    /// What was asked to be remembered, and what has been tried, counted.
    asked: Cell<u64>,
    tried: Arc<AtomicU64>,
}

impl Journal {
    pub(super) fn start(runtime_dir: PathBuf) -> io::Result<Self> {
        let (entries, waiting) = mpsc::sync_channel(WAITING);
        let (end, ended) = mpsc::sync_channel(1);
        let tried = Arc::new(AtomicU64::new(0));
        let trying = Arc::clone(&tried);
        thread::Builder::new().name("journal".to_owned()).spawn(move || {
            write_all(&runtime_dir, &waiting, &trying);
            // Nobody listens when the guard did not wait.
            _ = end.send(());
        })?;
        Ok(Self { entries, ended, asked: Cell::new(0), tried })
    }

    /// Says something to the log. Never waits.
    pub(super) fn say(&self, what: impl Into<String>) {
        _ = self.entries.try_send(Entry::Line(what.into()));
    }

    /// Writes down what must be remembered; a later one replaces it. Never waits; the ticket tells when it is done.
    pub(super) fn remember(&self, what: Remembered) -> u64 {
        let ticket = self.asked.get() + 1;
        self.asked.set(ticket);
        _ = self.entries.try_send(Entry::State { ticket, state: Box::new(what) });
        ticket
    }

    /// Whether what this ticket is for is on disk, or could not be written, which the log says then.
    pub(super) fn is_through(&self, ticket: u64) -> bool {
        self.tried.load(Ordering::Acquire) >= ticket
    }

    /// Waits, within a bound, until everything is on disk.
    pub(super) fn close(self) {
        drop(self.entries);
        _ = self.ended.recv_timeout(LAST_WRITE);
    }
}

fn write_all(runtime_dir: &Path, waiting: &Receiver<Entry>, tried: &AtomicU64) {
    while let Ok(entry) = waiting.recv() {
        match entry {
            Entry::Line(line) => write_line(&line),
            Entry::State { ticket, state } => {
                if let Err(error) = state.write(runtime_dir) {
                    write_line(&format!("could not remember what was done: {error}"));
                }
                tried.store(ticket, Ordering::Release);
            }
        }
    }
}

/// Standard error is the log file.
fn write_line(line: &str) {
    let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    // There is nobody to tell that the log cannot be written.
    _ = writeln!(io::stderr(), "{}.{:03} boot+{} {line}", wall.as_secs(), wall.subsec_millis(), clock::now());
}
