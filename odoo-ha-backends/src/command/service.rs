//! One service.

use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;
use odoo_ha_core::error::{Error, ErrorKind};

use crate::common::program;
use crate::common::services::{Activity, Service};

/// Most bytes of a program's path and arguments.
const MOST_BYTES: usize = 16 * 1024;

/// Programs as a [`Service`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandService {
    name: String,
    start: Vec<String>,
    stop: Vec<String>,
    status: Vec<String>,
    kill: Option<Vec<String>>,
}

impl CommandService {
    /// A service that these programs start, stop and look at; each begins with an absolute path.
    ///
    /// # Errors
    ///
    /// `Misconfigured`, naming the program that cannot be one.
    pub fn new(
        name: impl Into<String>,
        start: impl IntoIterator<Item = impl Into<String>>,
        stop: impl IntoIterator<Item = impl Into<String>>,
        status: impl IntoIterator<Item = impl Into<String>>,
    ) -> Result<Self, Error> {
        let name = name.into();
        let service = Self {
            start: checked(&name, "start", start)?,
            stop: checked(&name, "stop", stop)?,
            status: checked(&name, "status", status)?,
            kill: None,
            name,
        };
        Ok(service)
    }

    /// With a program that ends it at once when `stop` does not.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub fn kill(mut self, kill: impl IntoIterator<Item = impl Into<String>>) -> Result<Self, Error> {
        self.kill = Some(checked(&self.name, "kill", kill)?);
        Ok(self)
    }

    async fn order(&self, what: &str, command: &[String], timeout: Duration) -> Result<(), Error> {
        let ended = run(command, timeout).await?;
        if ended.succeeded() {
            return Ok(());
        }
        let what = format!("service {}: its {what} program ended with {}", self.name, ended.said());
        Err(Error::new(ErrorKind::Unknown, what).hint("run it by hand; it must end with 0"))
    }
}

async fn run(command: &[String], timeout: Duration) -> Result<program::Ended, Error> {
    // Checked to be there when it was built.
    let (program, arguments) = command.split_first().map_or(("", command), |(first, rest)| (first.as_str(), rest));
    program::run(Path::new(program), arguments, timeout).await
}

fn checked(name: &str, key: &str, command: impl IntoIterator<Item = impl Into<String>>) -> Result<Vec<String>, Error> {
    let command: Vec<String> = command.into_iter().map(Into::into).collect();
    let wrong = |what: &str| Error::new(ErrorKind::Misconfigured, format!("service {name}: its {key} program {what}"));
    if command.first().is_none_or(|program| !Path::new(program).is_absolute()) {
        return Err(wrong("does not begin with an absolute path")
            .hint("write the program and each argument by itself, [\"/usr/bin/program\", \"argument\"]"));
    }
    if command.iter().any(|argument| argument.contains('\0')) {
        return Err(wrong("contains a zero byte"));
    }
    if command.iter().map(String::len).sum::<usize>() > MOST_BYTES {
        return Err(wrong("is longer than 16 KiB").hint("put it into a script"));
    }
    Ok(command)
}

#[async_trait]
impl Service for CommandService {
    fn name(&self) -> &str {
        &self.name
    }

    async fn start(&self, timeout: Duration) -> Result<(), Error> {
        let began = tokio::time::Instant::now();
        // The program need not know that starting what runs is fine.
        if self.activity(timeout).await? == Activity::Running {
            return Ok(());
        }
        self.order("start", &self.start, timeout.saturating_sub(began.elapsed())).await
    }

    async fn stop(&self, timeout: Duration) -> Result<(), Error> {
        let began = tokio::time::Instant::now();
        // A look that fails, or takes its time, keeps nothing running.
        if matches!(self.activity(timeout / 4).await, Ok(Activity::Stopped)) {
            return Ok(());
        }
        self.order("stop", &self.stop, timeout.saturating_sub(began.elapsed())).await
    }

    async fn kill(&self, timeout: Duration) -> Result<(), Error> {
        match &self.kill {
            Some(kill) => self.order("kill", kill, timeout).await,
            None => {
                let what = format!("service {}: no program is there to kill it", self.name);
                Err(Error::new(ErrorKind::Unsupported, what).hint("name one with kill"))
            }
        }
    }

    async fn activity(&self, timeout: Duration) -> Result<Activity, Error> {
        let cannot = |what: &str| Error::new(ErrorKind::Unavailable, format!("service {}: {what}", self.name));
        let ended = run(&self.status, timeout).await.map_err(|error| match error.kind() {
            ErrorKind::Unknown => cannot("its status program did not end").caused_by(error),
            _ => error,
        })?;
        match ended.code {
            Some(0) => Ok(Activity::Running),
            Some(1..=3) => Ok(Activity::Stopped),
            Some(_) | None => Err(cannot(&format!("its status program ended with {}", ended.said()))
                .hint("0 means that it runs, 1 to 3 that it does not")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_absolute() {
        let with = |start: &[&str]| CommandService::new("odoo", start.to_vec(), ["/bin/true"], ["/bin/true"]);
        assert!(with(&["/bin/true", "a b", ""]).is_ok());
        for start in [&[] as &[&str], &["true"], &["/bin/true", "a\0b"]] {
            let error = with(start).expect_err("it is none");
            assert!(error.to_string().starts_with("service odoo: its start program"), "{error}");
        }
        let error = with(&["/bin/true"]).expect("it is one").kill(["kill"]).expect_err("it is relative");
        assert!(error.to_string().contains("its kill program"), "{error}");
    }
}
