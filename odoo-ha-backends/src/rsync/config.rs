//! What can be set about the copying.

use std::path::PathBuf;
use std::time::Duration;

use odoo_ha_core::error::{Error, ErrorKind};

use crate::common::secret::Secret;

use super::filestore::RsyncFilestore;
use super::source::{Source, Way};

/// How a [`RsyncFilestore`] is set up.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RsyncConfig {
    /// Odoo's `data_dir` on this node, absolute. It must be there when a pass runs, and one file system with its `filestore` and `sessions`, which must be
    /// folders and no links; a root agent runs `rsync` as its owner, and demands that nobody but root and that owner can put something else in its place.
    pub path: PathBuf,
    /// Where the leader's is, with `{host}` for the leader's host: `rsync://[USER@]{host}[:PORT]/MODULE/` from an rsync daemon, or
    /// `[USER@]{host}:/FOLDER/` over ssh.
    pub source: String,
    /// A folder of this node's own, absolute, on a local disk, that only the agent's user can write to, and not in `path`. `rsync.term`, `rsync.lock`
    /// and `rsync.names` are kept there.
    pub state_dir: PathBuf,
    /// From the beginning of one pass to that of the next, 50 ms to 1 h. After a pass there is a pause as long as the
    /// pass, at most this long. Default: 1 s, which with the time of a pass bounds what a dead leader's users lose. Each pass has both hosts look at every
    /// file: about 0.3 s for 50,000 without changes.
    pub interval: Duration,
    /// How long the connection may be silent before a pass is given up, in whole seconds, 1 s to 1 h. Default: 30 s.
    pub timeout: Duration,
    /// Longest time of one pass, from `timeout` to 7 days. What it has brought by then stays. Default: 6 h, for a first copy.
    pub pass_timeout: Duration,
    /// Whether sessions that are gone at the leader are deleted here. Default: no.
    pub delete_sessions: bool,
    /// The password of the daemon's user; read before each pass.
    pub password: Option<Secret>,
    /// The program, absolute. Default: `/usr/bin/rsync`.
    pub rsync: PathBuf,
    /// What `rsync` reaches the other host with, a program's absolute path and its arguments, in none of which there is a space or a quote. Default:
    /// `/usr/bin/ssh -o BatchMode=yes -o ConnectTimeout=10`.
    pub ssh: Vec<String>,
}

impl RsyncConfig {
    /// A copy here, of what is there.
    pub fn new(path: impl Into<PathBuf>, source: impl Into<String>, state_dir: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            source: source.into(),
            state_dir: state_dir.into(),
            interval: Duration::from_secs(1),
            timeout: Duration::from_secs(30),
            pass_timeout: Duration::from_secs(6 * 3600),
            delete_sessions: false,
            password: None,
            rsync: "/usr/bin/rsync".into(),
            ssh: ["/usr/bin/ssh", "-o", "BatchMode=yes", "-o", "ConnectTimeout=10"].map(str::to_owned).into(),
        }
    }

    /// With another [`interval`](Self::interval).
    #[must_use]
    pub fn interval(mut self, interval: Duration) -> Self {
        self.interval = interval;
        self
    }

    /// With another [`timeout`](Self::timeout).
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// With another [`pass_timeout`](Self::pass_timeout).
    #[must_use]
    pub fn pass_timeout(mut self, pass_timeout: Duration) -> Self {
        self.pass_timeout = pass_timeout;
        self
    }

    /// With or without [`delete_sessions`](Self::delete_sessions).
    #[must_use]
    pub fn delete_sessions(mut self, delete_sessions: bool) -> Self {
        self.delete_sessions = delete_sessions;
        self
    }

    /// With a [`password`](Self::password).
    #[must_use]
    pub fn password(mut self, password: Secret) -> Self {
        self.password = Some(password);
        self
    }

    /// With another [`rsync`](Self::rsync).
    #[must_use]
    pub fn rsync(mut self, rsync: impl Into<PathBuf>) -> Self {
        self.rsync = rsync.into();
        self
    }

    /// With another [`ssh`](Self::ssh).
    #[must_use]
    pub fn ssh(mut self, ssh: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.ssh = ssh.into_iter().map(Into::into).collect();
        self
    }

    /// The filestore, at rest. Makes `state_dir` if it is not there, and starts its thread, which ends when the filestore is dropped.
    ///
    /// # Errors
    ///
    /// `Misconfigured`, naming the key; `Unavailable` when the thread cannot be started.
    pub fn build(self) -> Result<RsyncFilestore, Error> {
        self.check()?;
        RsyncFilestore::start(self)
    }

    /// Whether it can work; looks at nothing outside but the password's place.
    ///
    /// # Errors
    ///
    /// `Misconfigured`, naming the key.
    pub fn check(&self) -> Result<(), Error> {
        let wrong = |what: String| Err(Error::new(ErrorKind::Misconfigured, format!("rsync: {what}")));
        let source = self.source()?;
        for (key, path) in [("path", &self.path), ("state_dir", &self.state_dir), ("rsync", &self.rsync)] {
            if !path.is_absolute()
                || path.to_str().is_none()
                || path.as_os_str().as_encoded_bytes().iter().any(u8::is_ascii_control)
            {
                return wrong(format!("{key} is no absolute path: {}", path.display()));
            }
        }
        if self.state_dir.starts_with(&self.path) {
            return wrong(format!("state_dir {} is in path, which is Odoo's", self.state_dir.display()));
        }
        let hour = Duration::from_secs(3600);
        for (key, value, least, most) in [
            ("interval", self.interval, Duration::from_millis(50), hour),
            ("timeout", self.timeout, Duration::from_secs(1), hour),
            ("pass_timeout", self.pass_timeout, self.timeout, hour * 24 * 7),
        ] {
            if value < least || value > most {
                return wrong(format!("{key} is {value:?}, not between {least:?} and {most:?}"));
            }
        }
        let is_plain = |c: char| !c.is_whitespace() && !c.is_control() && !matches!(c, '"' | '\'' | '\\');
        let ssh_fits = self.ssh.iter().all(|argument| !argument.is_empty() && argument.chars().all(is_plain));
        if !self.ssh.first().is_some_and(|program| program.starts_with('/')) || !ssh_fits {
            return wrong("ssh is no absolute path and arguments without spaces and quotes (put what needs them into ssh_config, and name that with -F)".to_owned());
        }
        match (&self.password, source.way) {
            (Some(_), Way::Ssh) => {
                wrong("there is a password, and ssh takes none (let it find a key with -i in ssh)".to_owned())
            }
            (Some(password), Way::Daemon) => password.reveal(PASSWORD).map(|_| ()),
            (None, Way::Ssh | Way::Daemon) => Ok(()),
        }
    }

    pub(super) fn source(&self) -> Result<Source, Error> {
        Source::new(&self.source)
    }
}

/// The password, as errors name it.
pub(super) const PASSWORD: &str = "the password of the rsync daemon's user";

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> RsyncConfig {
        RsyncConfig::new("/var/lib/odoo", "rsync://{host}/odoo/", "/var/lib/state")
    }

    #[test]
    fn what_cannot_work_is_refused_by_name() {
        assert!(config().check().is_ok());
        let ssh = RsyncConfig { source: "odoo@{host}:/var/lib/odoo/".into(), ..config() };
        assert!(ssh.check().is_ok());
        let wrong = [
            (RsyncConfig { path: "odoo".into(), ..config() }, "path"),
            (RsyncConfig { state_dir: "state".into(), ..config() }, "state_dir"),
            (
                RsyncConfig { state_dir: "/var/lib/odoo/.state".into(), ..config() },
                "state_dir /var/lib/odoo/.state is in path",
            ),
            (config().rsync("rsync"), "rsync is no absolute path"),
            (config().interval(Duration::ZERO), "interval"),
            (config().timeout(Duration::from_millis(999)), "timeout"),
            (config().pass_timeout(Duration::from_secs(3)), "pass_timeout"),
            (config().ssh(["ssh"]), "ssh"),
            (config().ssh(["/usr/bin/ssh", "-o", "ProxyCommand=a b"]), "ssh"),
            (config().ssh([""; 0]), "ssh"),
            (ssh.password(Secret::new("hush")), "ssh takes none"),
            (config().password(Secret::new("")), PASSWORD),
        ];
        for (config, expected) in wrong {
            let error = config.check().expect_err("it is wrong");
            assert_eq!(error.kind(), ErrorKind::Misconfigured);
            assert!(error.to_string().contains(expected) && !error.to_string().contains("hush"), "{error}");
        }
        assert!(!format!("{:?}", config().password(Secret::new("hush"))).contains("hush"));
    }
}
