//! Programs of others: an absolute path and an argument list, no shell, a deadline, bounded output, and an end for all that they started.

use std::fs::File;
use std::io;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use odoo_ha_core::error::{Error, ErrorKind};
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Command;
use tokio::time::Instant;

/// How much of each stream is kept; what comes after it is read and dropped.
const MOST_OUTPUT: usize = 16 * 1024;

/// How long output is waited for after the program has ended: what it left running in the background may hold the pipe open for ever.
const DRAIN: Duration = Duration::from_millis(200);

/// What a program that ended by itself said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ended {
    /// Its exit code; `None` when a signal ended it.
    pub(crate) code: Option<i32>,
    /// The beginning of its standard output.
    pub(crate) output: String,
    /// The beginning of its standard error.
    pub(crate) errors: String,
}

/// What a program is given beside its arguments. By default nothing.
#[derive(Default)]
pub(crate) struct Given<'a> {
    /// Variables of its environment, beside `PATH` and `LC_ALL`. They may be secrets: nothing here shows them.
    pub(crate) environment: &'a [(&'static str, &'a str)],
    /// Its standard input.
    pub(crate) input: Option<File>,
    /// Where its standard output goes; [`Ended::output`] is empty then.
    pub(crate) output: Option<File>,
    /// User and group that it runs as, with no other groups; only root can give them.
    pub(crate) user: Option<(u32, u32)>,
    /// Is told its process group, once it has started.
    pub(crate) started: Option<&'a mut (dyn FnMut(Pid) + Send)>,
}

impl Ended {
    #[cfg(any(test, feature = "linux-watchdog", feature = "systemd", feature = "command"))]
    pub(crate) fn succeeded(&self) -> bool {
        self.code == Some(0)
    }

    /// How it ended and the last line that it said, in one line.
    #[cfg(any(test, feature = "linux-watchdog", feature = "systemd", feature = "command"))]
    pub(crate) fn said(&self) -> String {
        let end = self.code.map_or_else(|| "a signal".to_owned(), |code| format!("exit code {code}"));
        let last = |text: &str| text.lines().rev().map(str::trim).find(|line| !line.is_empty()).map(str::to_owned);
        match last(&self.errors).or_else(|| last(&self.output)) {
            Some(line) => format!("{end}: {line}"),
            None => end,
        }
    }
}

/// Kills the program and all that it started unless it is told not to.
struct Leash(Option<Pid>);

impl Drop for Leash {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            // Gone already, or gone soon; its zombie is the runtime's, which waits for children that were dropped.
            _ = kill_process_group(group, Signal::KILL);
        }
    }
}

/// As [`run_with`], with nothing.
#[cfg(any(test, feature = "linux-watchdog", feature = "systemd", feature = "command"))]
pub(crate) async fn run(program: &Path, arguments: &[String], timeout: Duration) -> Result<Ended, Error> {
    run_with(Given::default(), program, arguments, timeout).await
}

/// Runs a program to its end, with nothing of this process's environment. When the future is dropped, or the time is over, it is killed
/// with its process group: it may have done its work all the same.
///
/// # Errors
///
/// `Misconfigured` when it cannot be started, `Unknown` when it did not end in time.
pub(crate) async fn run_with(
    given: Given<'_>,
    program: &Path,
    arguments: &[String],
    timeout: Duration,
) -> Result<Ended, Error> {
    let shown = program.display();
    let mut command = Command::new(program);
    command.args(arguments).env_clear().env("LC_ALL", "C");
    command.env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
    command.current_dir("/").process_group(0).kill_on_drop(true);
    command.envs(given.environment.iter().copied());
    command.stdin(given.input.map_or_else(Stdio::null, Stdio::from));
    command.stdout(given.output.map_or_else(Stdio::piped, Stdio::from)).stderr(Stdio::piped());
    if let Some((user, group)) = given.user {
        command.uid(user).gid(group);
    }
    let mut child = command.spawn().map_err(|error| {
        Error::new(ErrorKind::Misconfigured, format!("{shown} cannot be started"))
            .hint("it must be a program that the agent's user may run")
            .caused_by(error)
    })?;
    // Its copies of what it was given go with it.
    drop(command);
    let mut leash = Leash(child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?)));
    if let (Some(started), Some(group)) = (given.started, leash.0) {
        started(group);
    }
    let (output, errors) = (child.stdout.take(), child.stderr.take());
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let status;
    let deadline = Instant::now() + timeout;
    {
        let mut reading = std::pin::pin!(async { tokio::join!(keep(output, &mut out), keep(errors, &mut err)) });
        let mut read_all = false;
        let ended = tokio::time::timeout_at(deadline, async {
            tokio::select! {
                status = child.wait() => status,
                // It has closed its output and goes on.
                _ = &mut reading => {
                    read_all = true;
                    child.wait().await
                }
            }
        });
        status = match ended.await {
            Ok(status) => status.map_err(|error| {
                Error::new(ErrorKind::Unknown, format!("{shown} could not be waited for")).caused_by(error)
            })?,
            Err(_) => {
                return Err(Error::new(ErrorKind::Unknown, format!("{shown} did not end within {timeout:?}"))
                    .hint("it was killed; it may have done its work all the same"));
            }
        };
        // What it left running on purpose is what a service may be, and its number is its own no more.
        leash.0 = None;
        if !read_all {
            _ = tokio::time::timeout_at(deadline.min(Instant::now() + DRAIN), reading).await;
        }
    }
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Ok(Ended { code: status.code(), output: text(out), errors: text(err) })
}

async fn keep(stream: Option<impl AsyncRead + Unpin>, kept: &mut Vec<u8>) -> io::Result<()> {
    let Some(mut stream) = stream else { return Ok(()) };
    let mut piece = [0; 4096];
    loop {
        let length = stream.read(&mut piece).await?;
        if length == 0 {
            return Ok(());
        }
        let room = MOST_OUTPUT - kept.len();
        kept.extend_from_slice(&piece[..length.min(room)]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn sh(script: &str, timeout: Duration) -> Result<Ended, Error> {
        run(Path::new("/bin/sh"), &["-c".to_owned(), script.to_owned()], timeout).await
    }

    #[tokio::test]
    async fn output_is_bounded_and_the_end_is_told() {
        let time = Duration::from_secs(20);
        let ended = sh("yes | head -c 1000000; echo no such thing >&2; exit 3", time).await.expect("it ends");
        assert_eq!((ended.code, ended.output.len()), (Some(3), MOST_OUTPUT));
        assert_eq!(ended.said(), "exit code 3: no such thing");
        assert!(!ended.succeeded());
        let ended = sh("kill -9 $$", time).await.expect("it ends");
        assert_eq!((ended.code, ended.said()), (None, "a signal".to_owned()));
        let missing = run(Path::new("/nowhere/program"), &[], time).await.expect_err("it is not there");
        assert_eq!(missing.kind(), ErrorKind::Misconfigured);
    }

    #[tokio::test]
    async fn what_does_not_end_is_killed_with_all_that_it_started() {
        let file = std::env::temp_dir().join(format!("odoo-ha-program-{}", std::process::id()));
        let script = format!("sleep 1000 & echo $! > {}; wait", file.display());
        let late = sh(&script, Duration::from_millis(300)).await.expect_err("it does not end");
        assert_eq!(late.kind(), ErrorKind::Unknown);
        let pid: u32 = std::fs::read_to_string(&file).expect("it wrote").trim().parse().expect("a number");
        std::fs::remove_file(&file).expect("it is there");
        let began = std::time::Instant::now();
        let lives = || std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "));
        while lives() {
            assert!(began.elapsed() < Duration::from_secs(20), "{pid} lives on");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    #[tokio::test]
    async fn what_it_leaves_in_the_background_lives_on_when_it_has_just_ended_in_time() {
        // Less time than its output, which is held open, would be waited for. A busy machine may not even start it within that.
        let mut tries = 0;
        let ended = loop {
            match sh("sleep 1000 & echo $!", DRAIN - Duration::from_millis(10)).await {
                Ok(ended) => break ended,
                Err(late) => assert!(tries < 20, "{late}"),
            }
            tries += 1;
        };
        let pid = Pid::from_raw(ended.output.trim().parse().expect("a number")).expect("a process");
        // Nobody else waits for it here: one that was killed would be gone, or a zombie.
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).expect("it is there");
        assert!(stat.contains(") S "), "{stat}");
        rustix::process::kill_process(pid, Signal::KILL).expect("it lives on");
    }

    #[tokio::test]
    async fn what_it_leaves_in_the_background_is_not_waited_for() {
        let began = std::time::Instant::now();
        let ended = sh("sleep 1000 & echo $!", Duration::from_secs(60)).await.expect("it ends");
        assert!(ended.succeeded() && began.elapsed() < Duration::from_secs(30));
        let pid = Pid::from_raw(ended.output.trim().parse().expect("a number")).expect("a process");
        rustix::process::kill_process(pid, Signal::KILL).expect("it lives on");
    }
}
