//! What systemd, or whoever speaks its protocol (`sd_notify(3)`), hears of the agent.

use std::io;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use odoo_ha_core::machine::Status;
use sd_notify::NotifyState;

/// What is not taken after so many more is left out: a service manager that hangs must not hold up the node.
const MOST_UNTOLD: usize = 64;

/// Something to tell.
enum Word {
    Ready,
    Reloading,
    Stopping(Duration),
    Status(String),
}

/// Who started the agent, if it listens. Nothing here blocks.
#[derive(Debug)]
pub(crate) struct Supervisor {
    words: Option<SyncSender<Word>>,
    status: String,
}

impl Supervisor {
    /// Whoever is named by the environment.
    pub(crate) fn find() -> Self {
        let listens = std::env::var_os("NOTIFY_SOCKET").is_some();
        let words = listens.then(|| {
            let (words, untold) = sync_channel(MOST_UNTOLD);
            std::thread::spawn(move || tell_all(&untold));
            words
        });
        Self { words, status: String::new() }
    }

    /// It runs, with what its file says.
    pub(crate) fn ready(&self) {
        self.tell(Word::Ready);
    }

    /// It reads its file again.
    pub(crate) fn reloading(&self) {
        self.tell(Word::Reloading);
    }

    /// It leaves, which may take so long.
    pub(crate) fn stopping(&self, limit: Duration) {
        self.tell(Word::Stopping(limit));
    }

    /// For `systemctl status`.
    pub(crate) fn status(&mut self, status: &Status) {
        let leader = status.leader.as_ref().map_or_else(|| "nobody".to_owned(), ToString::to_string);
        let mut text = format!("{} in term {}; {leader} leads", status.state.as_str(), status.term.0);
        if let Some(refusal) = &status.refusal {
            text.push_str("; ");
            text.push_str(&refusal.replace('\n', " "));
        }
        if text != self.status {
            self.tell(Word::Status(text.clone()));
            self.status = text;
        }
    }

    fn tell(&self, word: Word) {
        if let Some(words) = &self.words {
            let _nobody_hears = words.try_send(word);
        }
    }
}

fn tell_all(untold: &Receiver<Word>) {
    while let Ok(word) = untold.recv() {
        if let Err(error) = tell(&word) {
            tracing::debug!(%error, "the service manager does not listen");
        }
    }
}

fn tell(word: &Word) -> io::Result<()> {
    match word {
        Word::Ready => sd_notify::notify(&[NotifyState::Ready]),
        Word::Reloading => sd_notify::notify(&[NotifyState::Reloading, NotifyState::monotonic_usec_now()?]),
        Word::Stopping(limit) => {
            let limit = u32::try_from(limit.as_micros()).unwrap_or(u32::MAX);
            sd_notify::notify(&[NotifyState::Stopping, NotifyState::ExtendTimeoutUsec(limit)])
        }
        Word::Status(text) => sd_notify::notify(&[NotifyState::Status(text)]),
    }
}
