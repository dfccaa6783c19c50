//! A coordination store in one SQLite file, for several processes of one machine.
//!
//! The file is the store: a table of keys and one counter. SQLite's own locks make commits of several processes one after another, and its
//! write-ahead log with `synchronous = FULL` makes an answered commit survive a crash of the machine
//! (<https://www.sqlite.org/wal.html>, <https://www.sqlite.org/pragma.html#pragma_synchronous>). All work with the file happens on threads of
//! the store's own, never on the executor.
//!
//! It never spans machines: SQLite's shared memory does not work over a network file system. It creates the file and nothing
//! else, and it never deletes.
//!
//! To restore a backup, stop every agent first and remove `-wal` and `-shm` beside the file: SQLite would apply the old
//! log to the restored file. A file that was replaced all the same is noticed; the watch tells a gap.
//!
//! Go on with [`SqliteConfig`], then [`SqliteDcs`].

mod client;
mod config;
mod dcs;
mod error;
mod schema;
mod watch;
mod worker;

pub use config::SqliteConfig;
pub use dcs::SqliteDcs;
