//! What can be set about a guard.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use odoo_ha_core::error::{Error, ErrorKind};

use super::acting::HEAD_START;
use super::client::GuardWatchdog;
use super::files;
use super::stop::QUIT_LIMIT;

/// Left for `SIGKILL` and for looking at the processes, after an immediate stop has not been enough.
const KILL_RESERVE: Duration = Duration::from_millis(100);

/// More would eat every ttl that makes sense.
const MOST_BEFORE: Duration = Duration::from_secs(60);

/// Longest path of a Unix socket in bytes, the final zero not counted (`unix(7)`).
const LONGEST_SOCKET_PATH: usize = 107;

/// Most bytes of all paths and arguments together, so that arming fits one line of the protocol when every byte is escaped.
const MOST_BYTES: usize = 4096;

/// How a [`GuardWatchdog`] is set up.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct GuardConfig {
    /// PostgreSQL's data directory, absolute. It need not exist yet.
    pub data_dir: PathBuf,
    /// Where agent and guard meet, absolute, on a local disk; made (mode 0700) when it is not there. Owned by the agent's user and
    /// closed to others. Not inside the data directory, which is replaced as a whole. Default: the data directory with `.guard`
    /// appended to its name.
    pub runtime_dir: PathBuf,
    /// The program that calls [`run_if_guard`](super::run_if_guard) first, absolute. Default: this program.
    pub program: Option<PathBuf>,
    /// How long before the deadline the guard begins to act. From 300 ms (450 ms with a command below) to 60 s; default 600 ms.
    pub acts_before: Duration,
    /// Whether the guard kills the agent first, which closes every socket that it holds. Default: true. A program that serves
    /// several clusters wants false, and then something else has to drop the address of a frozen one.
    pub kill_agent: bool,
    /// A program with its arguments (no shell; the program absolute) that drops the address. The database is stopped when it
    /// ends, or 150 ms after it began; it is killed after 10 s, with its process group. Default: none.
    pub drop_address: Option<Vec<String>>,
    /// A program with its arguments, likewise, that stops the services which this node runs as leader: they outlive the agent, and may
    /// run on one node only. It runs beside `drop_address`, under the same limits. Default: none.
    pub stop_services: Option<Vec<String>>,
}

impl GuardConfig {
    /// A guard for this data directory with the defaults.
    pub fn new(data_dir: impl Into<PathBuf>) -> Self {
        let data_dir = data_dir.into();
        let mut name = data_dir.file_name().unwrap_or_default().to_owned();
        name.push(".guard");
        Self {
            runtime_dir: data_dir.with_file_name(name),
            data_dir,
            program: None,
            acts_before: Duration::from_millis(600),
            kill_agent: true,
            drop_address: None,
            stop_services: None,
        }
    }

    /// With another [`runtime_dir`](Self::runtime_dir).
    #[must_use]
    pub fn runtime_dir(mut self, runtime_dir: impl Into<PathBuf>) -> Self {
        self.runtime_dir = runtime_dir.into();
        self
    }

    /// With another [`program`](Self::program).
    #[must_use]
    pub fn program(mut self, program: impl Into<PathBuf>) -> Self {
        self.program = Some(program.into());
        self
    }

    /// With another [`acts_before`](Self::acts_before).
    #[must_use]
    pub fn acts_before(mut self, acts_before: Duration) -> Self {
        self.acts_before = acts_before;
        self
    }

    /// With another [`kill_agent`](Self::kill_agent).
    #[must_use]
    pub fn kill_agent(mut self, kill_agent: bool) -> Self {
        self.kill_agent = kill_agent;
        self
    }

    /// With a [`drop_address`](Self::drop_address).
    #[must_use]
    pub fn drop_address(mut self, command: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.drop_address = Some(command.into_iter().map(Into::into).collect());
        self
    }

    /// With a command that [stops the services](Self::stop_services).
    #[must_use]
    pub fn stop_services(mut self, command: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.stop_services = Some(command.into_iter().map(Into::into).collect());
        self
    }

    /// The watchdog. Nothing is started before it is armed.
    ///
    /// # Errors
    ///
    /// `Misconfigured`, naming the key and its bounds.
    pub fn build(self) -> Result<GuardWatchdog, Error> {
        self.check()?;
        Ok(GuardWatchdog::new(self))
    }

    /// Whether a watchdog can be built of it; looks at no disk.
    ///
    /// # Errors
    ///
    /// `Misconfigured`, naming the key and its bounds.
    pub fn check(&self) -> Result<(), Error> {
        check_path("data_dir", &self.data_dir)?;
        check_path("runtime_dir", &self.runtime_dir)?;
        if let Some(program) = &self.program {
            check_path("program", program)?;
        }
        if self.runtime_dir.starts_with(&self.data_dir) {
            return Err(wrong("guard: runtime_dir lies inside data_dir")
                .hint("choose a directory beside it: a data directory is replaced as a whole"));
        }
        let length = files::socket(&self.runtime_dir).as_os_str().as_bytes().len();
        if length > LONGEST_SOCKET_PATH {
            return Err(wrong(format!("guard: the socket in runtime_dir has a path of {length} bytes")).hint(format!(
                "choose a shorter runtime_dir: a socket's path has at most {LONGEST_SOCKET_PATH} bytes"
            )));
        }
        let least = self.least_before();
        if self.acts_before < least || self.acts_before > MOST_BEFORE {
            return Err(wrong(format!("guard: acts_before is {} ms", self.acts_before.as_millis())).hint(format!(
                "choose {} ms to {} ms: head start of the commands if any ({} ms) + immediate stop ({} ms) + kill ({} ms) <= acts_before",
                least.as_millis(),
                MOST_BEFORE.as_millis(),
                HEAD_START.as_millis(),
                QUIT_LIMIT.as_millis(),
                KILL_RESERVE.as_millis()
            )));
        }
        self.check_commands()
    }

    fn commands(&self) -> impl Iterator<Item = (&'static str, &Vec<String>)> {
        let named = [("drop_address", &self.drop_address), ("stop_services", &self.stop_services)];
        named.into_iter().filter_map(|(key, command)| Some((key, command.as_ref()?)))
    }

    fn check_commands(&self) -> Result<(), Error> {
        let mut bytes = self.data_dir.as_os_str().len() + self.runtime_dir.as_os_str().len();
        for (key, command) in self.commands() {
            match command.first() {
                Some(program) if Path::new(program).is_absolute() => {}
                Some(_) | None => {
                    return Err(wrong(format!("guard: {key} does not begin with the absolute path of a program")));
                }
            }
            if command.iter().any(|argument| argument.contains('\0')) {
                return Err(wrong(format!("guard: {key} contains a zero byte")));
            }
            bytes += command.iter().map(String::len).sum::<usize>();
        }
        if bytes > MOST_BYTES {
            return Err(wrong(format!("guard: paths and commands have {bytes} bytes together"))
                .hint(format!("at most {MOST_BYTES}; put the command into a script")));
        }
        Ok(())
    }

    fn least_before(&self) -> Duration {
        let head_start = if self.commands().next().is_some() { HEAD_START } else { Duration::ZERO };
        head_start + QUIT_LIMIT + KILL_RESERVE
    }
}

fn check_path(key: &str, path: &Path) -> Result<(), Error> {
    if !path.is_absolute() {
        return Err(wrong(format!("guard: {key} is not an absolute path: {}", path.display())));
    }
    match path.to_str() {
        Some(text) if !text.contains('\0') => Ok(()),
        Some(_) | None => Err(wrong(format!("guard: {key} is no plain text: {}", path.display()))),
    }
}

fn wrong(what: impl Into<String>) -> Error {
    Error::new(ErrorKind::Misconfigured, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(config: GuardConfig) -> String {
        let error = config.build().expect_err("it is wrong");
        assert_eq!(error.kind(), ErrorKind::Misconfigured);
        error.to_string()
    }

    #[test]
    fn defaults_lie_beside_the_data() {
        let config = GuardConfig::new("/var/lib/postgresql/15/main");
        assert_eq!(config.runtime_dir, Path::new("/var/lib/postgresql/15/main.guard"));
        assert!(config.check().is_ok());
    }

    #[test]
    fn what_cannot_work_is_refused_by_name() {
        let fine = || GuardConfig::new("/x/data");
        assert!(refused(GuardConfig::new("data")).contains("data_dir is not an absolute path"));
        assert!(refused(fine().runtime_dir("/x/data/run")).contains("inside data_dir"));
        assert!(refused(fine().runtime_dir(format!("/{}", "x".repeat(100)))).contains("112 bytes"));
        assert!(refused(fine().acts_before(Duration::from_millis(299))).contains("300 ms to 60000 ms"));
        assert!(refused(fine().acts_before(Duration::from_secs(61))).contains("61000 ms"));
        let command = || fine().drop_address(["/bin/true"]);
        assert!(command().acts_before(Duration::from_millis(450)).check().is_ok());
        assert!(refused(command().acts_before(Duration::from_millis(449))).contains("450 ms to"));
        assert!(refused(fine().drop_address(["true"])).contains("absolute path of a program"));
        assert!(refused(fine().stop_services(["true"])).contains("stop_services does not begin"));
        assert!(refused(fine().drop_address(Vec::<String>::new())).contains("absolute path of a program"));
        assert!(refused(fine().drop_address(["/bin/echo".to_owned(), "x".repeat(5_000)])).contains("at most 4096"));
    }
}
