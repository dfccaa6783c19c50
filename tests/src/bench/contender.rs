//! A process that may lead: this program, started once more.
//!
//! It says on its standard output, one line each and stamped by the machine's clock, what [`Word`] knows. It is killed as a node is: without
//! a word.

use std::fmt;
use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use super::{Fallible, clock};

/// What a contender says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Word {
    /// Whether it leads.
    Leads(bool),
    /// Whether, as far as it can see, nothing is missing: the others stand ready, or it does itself.
    Whole(bool),
    /// What it does on the way.
    Step(String),
}

impl Word {
    /// Says it, now.
    pub(super) fn say(&self) {
        println!("{} {self}", clock::now().as_nanos());
    }

    fn parse(line: &str) -> Option<(Duration, Self)> {
        let (stamp, words) = line.split_once(' ')?;
        let word = match words.split_once(' ')? {
            ("leads", yes) => Self::Leads(yes.parse().ok()?),
            ("whole", yes) => Self::Whole(yes.parse().ok()?),
            ("step", what) => Self::Step(what.to_owned()),
            _ => return None,
        };
        Some((Duration::from_nanos(stamp.parse().ok()?), word))
    }
}

impl fmt::Display for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Leads(yes) => write!(f, "leads {yes}"),
            Self::Whole(yes) => write!(f, "whole {yes}"),
            Self::Step(what) => write!(f, "step {what}"),
        }
    }
}

#[derive(Debug)]
pub(super) struct Contender {
    name: String,
    arguments: Vec<String>,
    log: PathBuf,
    child: Option<Child>,
    said: Arc<Mutex<Said>>,
}

#[derive(Debug, Default)]
struct Said {
    words: Vec<(Duration, Word)>,
    leads: bool,
    whole: bool,
}

impl Contender {
    /// Starts it. What it logs goes to `NAME.log` in the directory.
    pub(super) fn start(name: String, arguments: Vec<String>, log_directory: &Path) -> Fallible<Self> {
        let log = log_directory.join(format!("{name}.log"));
        let mut contender = Self { name, arguments, log, child: None, said: Arc::default() };
        contender.restart()?;
        Ok(contender)
    }

    pub(super) fn restart(&mut self) -> Fallible {
        let log = OpenOptions::new().create(true).append(true).open(&self.log)?;
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--"]).arg(std::env::current_exe()?).args(&self.arguments);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log).kill_on_drop(true);
        let mut child = command.spawn().map_err(|error| format!("{} does not start: {error}", self.name))?;
        let output = child.stdout.take().ok_or("a child without output")?;
        self.child = Some(child);
        // What the one before said is over, and what it says late is nobody's.
        self.said = Arc::default();
        let said = Arc::clone(&self.said);
        tokio::spawn(async move {
            let mut lines = BufReader::new(output).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                let Some((at, word)) = Word::parse(&line) else { continue };
                let mut said = lock(&said);
                match word {
                    Word::Leads(yes) => said.leads = yes,
                    Word::Whole(yes) => said.whole = yes,
                    Word::Step(_) => {}
                }
                said.words.push((at, word));
            }
        });
        Ok(())
    }

    /// Kills it (SIGKILL), and gives the moment before.
    pub(super) fn kill(&mut self) -> Fallible<Duration> {
        let child = self.child.as_mut().ok_or("it does not run")?;
        let at = clock::now();
        child.start_kill()?;
        let mut said = lock(&self.said);
        (said.leads, said.whole) = (false, false);
        Ok(at)
    }

    /// Waits for its end after it was killed.
    pub(super) async fn ended(&mut self) -> Fallible {
        if let Some(mut child) = self.child.take() {
            child.wait().await?;
        }
        Ok(())
    }

    pub(super) fn leads(&self) -> bool {
        lock(&self.said).leads
    }

    pub(super) fn is_whole(&self) -> bool {
        lock(&self.said).whole
    }

    /// Its process id; 0 while it does not run.
    pub(super) fn pid(&self) -> u32 {
        self.child.as_ref().and_then(Child::id).unwrap_or_default()
    }

    /// What it has said since.
    pub(super) fn since(&self, moment: Duration) -> Vec<(Duration, Word)> {
        lock(&self.said).words.iter().filter(|(at, _)| *at >= moment).cloned().collect()
    }

    /// The end of what it said and logged, for an error's text.
    pub(super) fn last_words(&self) -> String {
        let said = lock(&self.said);
        let words: Vec<_> = said.words.iter().rev().take(6).map(|(_, word)| word.to_string()).collect();
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<_> = log.lines().rev().take(5).collect();
        let lines: Vec<_> = lines.into_iter().rev().collect();
        format!("{}: lately: {}\n{}", self.name, words.join(", "), lines.join("\n"))
    }
}

fn lock(said: &Mutex<Said>) -> MutexGuard<'_, Said> {
    said.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_heard_as_it_was_said() {
        for word in [Word::Leads(true), Word::Whole(false), Word::Step("voting since 1".into())] {
            assert_eq!(Word::parse(&format!("17 {word}")), Some((Duration::from_nanos(17), word)));
        }
        assert_eq!(Word::parse("warning: something else"), None);
    }
}
