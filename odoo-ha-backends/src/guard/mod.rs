//! The `guard` backend: a [`Watchdog`](odoo_ha_core::roles::Watchdog) that is a process of its own.
//!
//! The agent feeds the guard with absolute deadlines of `CLOCK_BOOTTIME`. When a deadline comes near and no newer one was fed (the
//! agent was killed, frozen, starved), the guard kills the agent, so that every socket the agent holds is closed, runs an optional
//! command that drops the address, and stops **every** process of the PostgreSQL instance: an immediate stop (`SIGQUIT`,
//! PostgreSQL documentation, "Shutting Down the Server"), then `SIGKILL`, until a look into `/proc` shows none of them.
//!
//! # Embedding
//!
//! The guard is the embedder's own program, started a second time. One line makes that possible, first in `main`:
//!
//! ```no_run
//! odoo_ha_backends::guard::run_if_guard();
//! // everything else
//! ```
//!
//! Then a [`GuardConfig`] builds the [`GuardWatchdog`].
//!
//! # What it never does
//!
//! It never goes past a deadline, never acts for an older start of the agent than the newest it has seen, and, once it has acted,
//! feeds on nothing until it is armed anew. While it is armed its loop touches no disk (log and state are written by a thread of
//! their own, the instance is found in `/proc` alone), so a hung disk does not hold it.
//!
//! # What it cannot do
//!
//! - Guard **and** agent killed together leave the database running: only a kernel watchdog helps there. A guard killed alone is
//!   seen by the agent within milliseconds ([`lost`](odoo_ha_core::roles::Watchdog::lost)). Under systemd, the unit needs
//!   `KillMode=process`, else stopping the unit, or (with `mixed`) the end of the agent, kills both.
//! - The guard inherits every file descriptor of the agent that is not close-on-exec (all of std's and tokio's are).
//! - Right after a suspension of the machine a backend may run some milliseconds before the guard does.
//! - A process in an uninterruptible sleep dies when the kernel lets go of it; the guard keeps trying and says so.
//! - Where another user's processes work is told only to who may know: a guard that is neither PostgreSQL's user nor has `CAP_SYS_PTRACE` looks as
//!   that user does, which takes `CAP_SETUID` and `CAP_SETGID`; to end them takes `CAP_KILL`. Without these it is not armed, and says why. Should it
//!   lose sight later, it goes on looking and does not say that it has ended ([`Firing::unseen`]). A program that PostgreSQL had started and
//!   that has become yet another user, and an orphan, is found with `CAP_SYS_PTRACE` only.
//! - What a command of its own puts into another session or process group outlives that command's time.
//! - An instance in another mount namespace than the guard (a container) is not found.
//!
//! # Where to go next
//!
//! [`config`](GuardConfig) what can be set · `lease.rs` what is granted and refused, without clock or world · `process.rs` the guard's loop ·
//! `stop.rs` how an instance is stopped · `proc.rs` what `/proc` shows · `sight.rs` what of it the guard may see · `rights.rs` whether that suffices · `client.rs` the agent's side · `protocol.rs` what they say.

mod acting;
mod begin;
mod client;
mod clock;
mod config;
mod connection;
mod family;
mod files;
mod journal;
mod lease;
mod peer;
mod proc;
mod process;
mod protocol;
mod rights;
mod sight;
mod spawn;
mod stop;

pub use self::client::GuardWatchdog;
pub use self::config::GuardConfig;
pub use self::protocol::{Firing, GuardState, GuardStatus};
pub use crate::common::clock::now;

/// The first argument that makes a program the guard.
pub(crate) const FLAG: &str = "--odoo-ha-guard";

/// Runs the guard and exits when this process was started to be one; returns at once otherwise.
///
/// To be called first in `main`, before threads, runtimes and the parsing of arguments: it looks only at the first argument.
pub fn run_if_guard() {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next().is_some_and(|first| first == FLAG) {
        std::process::exit(process::run(arguments));
    }
}
