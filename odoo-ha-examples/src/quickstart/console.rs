//! What a person reads while it runs: one line an event, and a line that says what is waited for.

use std::io::{self, IsTerminal, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::clock;
use super::node::Node;

/// How often the line that says what is waited for is repeated where it cannot be overwritten.
const REPEAT: Duration = Duration::from_secs(10);

/// Who says something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Who {
    /// A node.
    Node(Node),
    /// The demo itself.
    Demo,
    /// The demo, doing something bad.
    Fault,
}

/// How it is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tone {
    Plain,
    Good,
    Warning,
    Bad,
}

/// Standard output, with time stamps relative to the start. Nothing fails when nobody reads it.
#[derive(Clone)]
pub(crate) struct Console {
    began: Duration,
    terminal: bool,
    colors: bool,
    waiting: Arc<Mutex<Waiting>>,
}

#[derive(Default)]
struct Waiting {
    shown: bool,
    said: Option<(String, Duration)>,
}

impl Console {
    pub(crate) fn new(began: Duration, no_color: bool) -> Self {
        let terminal = io::stdout().is_terminal() && std::env::var_os("TERM").is_none_or(|term| term != "dumb");
        let colors = terminal && !no_color && std::env::var_os("NO_COLOR").is_none_or(|set| set.is_empty());
        Self { began, terminal, colors, waiting: Arc::default() }
    }

    /// One line with the present time.
    pub(crate) fn say(&self, who: Who, tone: Tone, text: &str) {
        self.say_at(clock::now(), who, tone, text);
    }

    /// One line about something that happened at this moment.
    pub(crate) fn say_at(&self, at: Duration, who: Who, tone: Tone, text: &str) {
        let (name, color) = match who {
            Who::Node(node) => (node.name(), if node == Node::A { "36" } else { "35" }),
            Who::Demo => ("", "0"),
            Who::Fault => ("fault", "1;31"),
        };
        let name = self.paint(&format!("{name:<6}"), color);
        let text = self.paint(text, tone.color());
        let since = at.saturating_sub(self.began).as_secs_f64();
        self.line(&format!("{} {name}  {text}", self.paint(&format!("{since:8.3}"), "2")));
    }

    /// A line without a time, such as a heading or a row of a table.
    pub(crate) fn line(&self, text: &str) {
        let mut waiting = self.lock();
        let clear = if waiting.shown { "\r\x1b[K" } else { "" };
        waiting.shown = false;
        Self::write(&format!("{clear}{text}\n"));
    }

    /// Says what is waited for: `what` names it, `detail` changes meanwhile.
    pub(crate) fn wait(&self, since: Duration, what: &str, detail: &str) {
        let now = clock::now();
        let mut waiting = self.lock();
        if self.terminal {
            let turn = ["|", "/", "-", "\\"][usize::try_from(now.as_millis() / 100 % 4).unwrap_or(0)];
            let waited = clock::seconds(now.saturating_sub(since));
            let text: String = format!("  {turn} {what}: {detail} ({waited})").chars().take(terminal_width()).collect();
            waiting.shown = true;
            Self::write(&format!("\r\x1b[K{}", self.paint(&text, "2")));
            return;
        }
        let again = match &waiting.said {
            Some((said, at)) => said != what || now.saturating_sub(*at) >= REPEAT,
            None => true,
        };
        if again {
            waiting.said = Some((what.to_owned(), now));
            Self::write(&format!("                 ... {what}: {detail}\n"));
        }
    }

    /// Takes the line away that says what is waited for.
    pub(crate) fn waited(&self) {
        let mut waiting = self.lock();
        waiting.said = None;
        if std::mem::take(&mut waiting.shown) {
            Self::write("\r\x1b[K");
        }
    }

    /// Colors a piece of text, where there are colors.
    pub(crate) fn tint(&self, text: &str, tone: Tone) -> String {
        self.paint(text, tone.color())
    }

    /// Makes a heading of it, where there are colors.
    pub(crate) fn strong(&self, text: &str) -> String {
        self.paint(text, "1")
    }

    fn paint(&self, text: &str, color: &str) -> String {
        if self.colors && color != "0" { format!("\x1b[{color}m{text}\x1b[0m") } else { text.to_owned() }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(text: &str) {
        let mut out = io::stdout().lock();
        // A reader that went away (`| head`) does not end the demo: it has to clean up.
        let _nobody_reads = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    }
}

impl Tone {
    const fn color(self) -> &'static str {
        match self {
            Self::Plain => "0",
            Self::Good => "32",
            Self::Warning => "33",
            Self::Bad => "31",
        }
    }
}

fn terminal_width() -> usize {
    rustix::termios::tcgetwinsize(io::stdout()).map_or(80, |size| usize::from(size.ws_col).max(20)) - 1
}
