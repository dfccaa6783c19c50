//! PostgreSQL's own programs: found, started with an argument list, bounded in time and output, and ended with all they started.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use odoo_ha_core::error::{Error, ErrorKind};
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Command;

use super::error::{self, misconfigured};
use super::user::Owner;

/// The oldest and the newest major version that the agent knows.
pub(super) const SUPPORTED: std::ops::RangeInclusive<u32> = 13..=18;

/// Where distributions put PostgreSQL's programs, one directory a major version.
const PLACES: &str = "/usr/lib/postgresql";

/// How much of a program's output is kept, from its beginning and from its end.
const MAX_OUTPUT_BYTES: usize = 64 * 1024;

/// What a program said.
#[derive(Debug)]
pub(super) struct Output {
    /// Whether it ended with 0.
    pub(super) success: bool,
    /// Standard output.
    pub(super) stdout: String,
    /// Standard error.
    pub(super) stderr: String,
}

/// The programs of one version of PostgreSQL.
#[derive(Clone)]
pub(super) struct Programs {
    bin_dir: PathBuf,
    major: u32,
    work_dir: PathBuf,
    owner: Owner,
}

impl fmt::Debug for Programs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Programs").field("bin_dir", &self.bin_dir).field("major", &self.major).finish_non_exhaustive()
    }
}

impl Programs {
    /// Those of the given directory; else those that fit the data; else the newest supported ones.
    pub(super) fn find(bin_dir: Option<&Path>, data_dir: &Path, owner: Owner) -> Result<Self, Error> {
        let of = |bin_dir: PathBuf, major| Self { bin_dir, major, work_dir: PathBuf::from("/"), owner };
        let data_major = data_version(data_dir)?;
        if let Some(dir) = bin_dir {
            let major = program_version(dir)?;
            check_versions(major, data_major, data_dir)?;
            return Ok(of(dir.to_path_buf(), major));
        }
        let mut found: Vec<(u32, PathBuf)> = Vec::new();
        for entry in std::fs::read_dir(PLACES).into_iter().flatten().flatten() {
            let dir = entry.path().join("bin");
            let named = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok());
            if named.is_some_and(|major| SUPPORTED.contains(&major)) && dir.join("postgres").is_file() {
                found.push((program_version(&dir)?, dir));
            }
        }
        found.sort();
        let chosen = match data_major {
            Some(wanted) => found.iter().rev().find(|(major, _)| *major == wanted),
            None => found.last(),
        };
        match (chosen, data_major) {
            (Some((major, dir)), _) => Ok(of(dir.clone(), *major)),
            (None, Some(wanted)) => Err(misconfigured(format!(
                "the data in {} are of PostgreSQL {wanted}, which is not installed in {PLACES}",
                data_dir.display()
            ))
            .hint(format!("install PostgreSQL {wanted}, or set bin_dir; supported are {}", supported()))),
            (None, None) => Err(misconfigured(format!("no PostgreSQL was found in {PLACES}"))
                .hint(format!("install PostgreSQL (versions {}), or set bin_dir", supported()))),
        }
    }

    /// The same, working in this directory: what runs there and was left over is found by it.
    pub(super) fn in_dir(mut self, dir: &Path) -> Self {
        self.work_dir = dir.to_path_buf();
        self
    }

    /// Their major version.
    pub(super) const fn major(&self) -> u32 {
        self.major
    }

    /// The directory they work in.
    pub(super) fn work_dir(&self) -> &Path {
        &self.work_dir
    }

    /// A command with nothing of the agent's environment, as PostgreSQL's user, in a process group of its own.
    pub(super) fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.bin_dir.join(program));
        command.env_clear().env("LC_ALL", "C").env("PATH", "/usr/local/bin:/usr/bin:/bin");
        command.env("PGPASSFILE", self.work_dir.join("pgpass"));
        command.current_dir(&self.work_dir).process_group(0).stdin(Stdio::null());
        if let Owner::Other { uid, gid } = self.owner {
            // The standard library drops root's other groups along with it.
            command.uid(uid).gid(gid);
        }
        command
    }

    /// Runs a small program that only reads, and may run beside any order: it works nowhere near the data, so no stop ends it.
    pub(super) async fn ask(&self, program: &str, arguments: &[&str], timeout: Duration) -> Result<Output, Error> {
        let mut command = self.command(program);
        command.current_dir("/");
        self.run_command(command, program, arguments, timeout).await
    }

    /// Runs a program to its end. When the future is dropped or the time is over, it is killed with all it started.
    pub(super) async fn run(&self, program: &str, arguments: &[&str], timeout: Duration) -> Result<Output, Error> {
        self.run_command(self.command(program), program, arguments, timeout).await
    }

    /// Runs a prepared command to its end, as [`run`](Self::run) does.
    pub(super) async fn run_command(
        &self,
        mut command: Command,
        program: &str,
        arguments: &[&str],
        timeout: Duration,
    ) -> Result<Output, Error> {
        command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|source| self.cannot_start(program, source))?;
        let mut group = Group::new(child.id());
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let ended = tokio::time::timeout(timeout, async {
            let (mut out, mut err) = (Vec::new(), Vec::new());
            let status = {
                let mut reading =
                    std::pin::pin!(async { tokio::join!(bounded(stdout, &mut out), bounded(stderr, &mut err)) });
                tokio::select! {
                    status = child.wait() => {
                        _ = tokio::time::timeout(DRAIN, reading).await;
                        status
                    }
                    // It has closed its output and goes on.
                    _ = &mut reading => child.wait().await,
                }
            };
            (text_of(out), text_of(err), status)
        });
        let (stdout, stderr, status) = ended
            .await
            .map_err(|_| Error::new(ErrorKind::Unknown, format!("{program} did not end in time and was killed")))?;
        group.has_ended();
        let status = status.map_err(|source| error::io(format!("{program} cannot be waited for"), source))?;
        Ok(Output { success: status.success(), stdout, stderr })
    }

    /// As [`run`](Self::run), and an error when it fails.
    pub(super) async fn succeed(&self, program: &str, arguments: &[&str], timeout: Duration) -> Result<Output, Error> {
        let output = self.run(program, arguments, timeout).await?;
        if output.success {
            return Ok(output);
        }
        let words = format!("{}\n{}", output.stderr, output.stdout);
        Err(error::of_words(&format!("{program} failed"), &words))
    }

    /// The error of a program that could not be started.
    pub(super) fn cannot_start(&self, program: &str, source: std::io::Error) -> Error {
        misconfigured(format!("{} cannot be started", self.bin_dir.join(program).display()))
            .hint("check that PostgreSQL is installed there and that its user may run it")
            .caused_by(source)
    }
}

/// How long output is waited for after the program has ended: what it left running in the background may hold the pipe open for ever.
const DRAIN: Duration = Duration::from_millis(200);

/// The processes of one program; killed when dropped before it ended by itself.
struct Group(Option<Pid>);

impl Group {
    fn new(pid: Option<u32>) -> Self {
        Self(pid.and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw))
    }

    /// It ended by itself: its number may be another's by now.
    fn has_ended(&mut self) {
        self.0 = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            // An empty group is what is wanted.
            let _gone = kill_process_group(group, Signal::KILL);
        }
    }
}

/// Reads to the end and keeps the beginning and the last part.
async fn bounded(stream: Option<impl AsyncRead + Unpin>, kept: &mut Vec<u8>) {
    let Some(mut stream) = stream else { return };
    let mut buffer = [0_u8; 4096];
    loop {
        match stream.read(&mut buffer).await {
            Ok(0) | Err(_) => break,
            Ok(count) => kept.extend(buffer.iter().take(count)),
        }
        if kept.len() > 2 * MAX_OUTPUT_BYTES {
            let tail = kept.split_off(kept.len() - MAX_OUTPUT_BYTES / 2);
            kept.truncate(MAX_OUTPUT_BYTES / 2);
            kept.extend(tail);
        }
    }
}

fn text_of(output: Vec<u8>) -> String {
    String::from_utf8_lossy(&output).into_owned()
}

/// The supported versions as text.
pub(super) fn supported() -> String {
    format!("{} to {}", SUPPORTED.start(), SUPPORTED.end())
}

/// Which major version's data are in this directory; `None` when there are none.
pub(super) fn data_version(data_dir: &Path) -> Result<Option<u32>, Error> {
    match super::files::read(&data_dir.join("PG_VERSION"))? {
        None => Ok(None),
        Some(text) => text.trim().parse().map(Some).map_err(|_| {
            misconfigured(format!("the data in {} are of an unknown version {:?}", data_dir.display(), text.trim()))
        }),
    }
}

fn program_version(bin_dir: &Path) -> Result<u32, Error> {
    let program = bin_dir.join("postgres");
    let output = std::process::Command::new(&program).arg("--version").env_clear().current_dir("/").output();
    let output = output.map_err(|source| {
        misconfigured(format!("{} cannot be run", program.display()))
            .hint("set bin_dir to the directory of PostgreSQL's programs")
            .caused_by(source)
    })?;
    let text = String::from_utf8_lossy(&output.stdout);
    let digits = |word: &str| word.chars().take_while(char::is_ascii_digit).collect::<String>();
    text.split_whitespace().map(digits).find_map(|word| word.parse().ok()).ok_or_else(|| {
        misconfigured(format!("{} does not say which version it is", program.display()))
            .hint("set bin_dir to the directory of PostgreSQL's programs")
    })
}

fn check_versions(major: u32, data_major: Option<u32>, data_dir: &Path) -> Result<(), Error> {
    if !SUPPORTED.contains(&major) {
        return Err(misconfigured(format!("PostgreSQL {major} is not supported"))
            .hint(format!("supported are versions {}", supported())));
    }
    match data_major {
        Some(data) if data != major => Err(misconfigured(format!(
            "the data in {} are of PostgreSQL {data}, the programs of {major}",
            data_dir.display()
        ))
        .hint("set bin_dir to the programs that fit the data, or upgrade the data with pg_upgrade")),
        _ => Ok(()),
    }
}
