//! One pass.

use std::fs::File;
use std::io;
use std::time::Duration;

use odoo_ha_core::error::{Error, ErrorKind};
use rustix::process::Pid;

use crate::common::program::{self, Given};

use super::arrivals;
use super::config::{PASSWORD, RsyncConfig};
use super::error::judge;
use super::folder::{Home, INCOMING, REPLACED};
use super::lock::Lock;
use super::source::Way;

/// Longest wait for an earlier pass's processes, which were killed.
const GONE_WITHIN: Duration = Duration::from_secs(5);

/// The lock's file in `state_dir`.
pub(super) const LOCK: &str = "rsync.lock";

/// What the last pass brought, one name a line.
const NAMES: &str = "rsync.names";

/// Pulls once, and looks at what came. Returns how many files are missing for all that. When it is dropped, its processes are killed.
pub(super) async fn run(config: &RsyncConfig, source: &str, way: Way) -> Result<u64, Error> {
    let lock = Lock::take(&config.state_dir.join(LOCK), GONE_WITHIN).await?;
    let unlookable = |error: io::Error| {
        let what = format!("rsync: what came to {} cannot be looked at", config.path.display());
        if error.kind() == io::ErrorKind::NotADirectory {
            let hint = "below path there must be no symbolic link in the place of a folder: remove it";
            return Error::new(ErrorKind::Misconfigured, what).hint(hint).caused_by(error);
        }
        Error::new(ErrorKind::Disk, what).caused_by(error)
    };
    let names = config.state_dir.join(NAMES);
    let home = Home::open(&config.path)?;
    // What a pass brought that was cut off before it could look: before the folder is emptied of what that replaced.
    match arrivals::check(&home.folder, &names).await {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(unlookable(error)),
    }
    let user = home.prepare()?;
    let unwritable = |error| {
        let what = format!("rsync: {} cannot be written", config.state_dir.display());
        Error::new(ErrorKind::Disk, what).hint("it is state_dir, and must be the agent's own").caused_by(error)
    };
    let (input, output) = (lock.share().map_err(unwritable)?, File::create(&names).map_err(unwritable)?);
    let password = config.password.as_ref().map(|password| password.reveal(PASSWORD)).transpose()?;
    let environment = match way {
        // Said even when there is none, or rsync asks the terminal.
        Way::Daemon => vec![("RSYNC_PASSWORD", password.as_ref().map_or("", |password| password.as_str()))],
        Way::Ssh => Vec::new(),
    };
    let mut started = |group: Pid| lock.is_of(group);
    let given = Given {
        environment: &environment,
        input: Some(input),
        output: Some(output),
        user,
        started: Some(&mut started),
    };
    let ended = program::run_with(given, &config.rsync, &arguments(config, source, way), config.pass_timeout).await;
    let outcome = ended.and_then(|ended| judge(&ended));
    // Also of a pass that failed: some of it came.
    let missing = arrivals::check(&home.folder, &names).await.map_err(unlookable)?;
    // Looked at: a node that is to lead may write these names itself before its next pass.
    File::create(&names).map_err(unwritable)?;
    outcome.map(|()| missing)
}

fn arguments(config: &RsyncConfig, source: &str, way: Way) -> Vec<String> {
    let path = config.path.display();
    let mut arguments: Vec<String> = [
        "--recursive",
        "--times",
        "--omit-dir-times",
        // Of two copies that went apart, the newer file stays.
        "--update",
        // Nothing makes a link, and none is written behind: one that stands here in the place of a folder has been refused, or rsync puts a folder
        // there (--keep-dirlinks would not).
        "--no-links",
        "--no-devices",
        "--no-specials",
        "--no-motd",
        "--out-format=%n",
        // Each name is in the list before its file is in its place.
        "--outbuf=L",
        "--backup",
    ]
    .map(str::to_owned)
    .into();
    arguments.push(format!("--temp-dir={path}/{INCOMING}"));
    arguments.push(format!("--backup-dir={REPLACED}"));
    arguments.push(format!("--timeout={}", config.timeout.as_secs()));
    match way {
        Way::Daemon => arguments.push(format!("--contimeout={}", config.timeout.as_secs())),
        Way::Ssh => arguments.push(format!("--rsh={}", config.ssh.join(" "))),
    }
    if config.delete_sessions {
        // Never the filestore; nor all sessions, where the leader has no folder of them.
        arguments.extend(["--delete", "--filter=P /filestore/***", "--filter=P /sessions/"].map(str::to_owned));
    }
    arguments.extend(["--include=/filestore/***", "--include=/sessions/***", "--exclude=*"].map(str::to_owned));
    arguments.extend(["--".to_owned(), source.to_owned(), format!("{path}/")]);
    arguments
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_but_the_option_deletes_and_no_password_is_among_the_arguments() {
        let config = RsyncConfig::new("/var/lib/odoo", "rsync://{host}/odoo/", "/var/lib/state")
            .password(crate::common::secret::Secret::new("hush"));
        let plain = arguments(&config, "rsync://a/odoo/", Way::Daemon);
        assert!(!plain.iter().any(|argument| argument.contains("delete") || argument.contains("hush")), "{plain:?}");
        let leads_out = |argument: &String| {
            ["--links", "--copy-", "--keep-dirlinks", "--archive"].iter().any(|led| argument.starts_with(led))
        };
        assert!(!plain.iter().any(leads_out) && plain.contains(&"--no-links".to_owned()), "{plain:?}");
        assert_eq!(plain[plain.len() - 3..], ["--", "rsync://a/odoo/", "/var/lib/odoo/"]);
        let deleting = arguments(&config.delete_sessions(true), "a:/odoo/", Way::Ssh);
        let place = |wanted: &str| deleting.iter().position(|argument| argument == wanted).expect(wanted);
        // The first rule that fits counts.
        assert!(place("--filter=P /filestore/***") < place("--include=/filestore/***"));
        assert!(deleting.contains(&"--rsh=/usr/bin/ssh -o BatchMode=yes -o ConnectTimeout=10".to_owned()));
    }
}
