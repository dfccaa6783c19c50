//! Log that an old leader had not archived when it lost leadership. As a standby it never would: PostgreSQL archives on a primary only and lets a
//! standby remove its log unarchived, and a rewind removes it as well. So a backup tool's archive would have a hole.
//!
//! What belongs to the cluster's history is archived by the database's own `archive_command`, as PostgreSQL runs it. The rest, which the cluster
//! has left, would lead a recovery astray: it is kept aside.

use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use odoo_ha_core::error::Error;
use odoo_ha_core::lsn::{Lsn, Timeline};
use tokio::time::Instant;

use super::copy::{SPARE_BYTES, free_bytes};
use super::history::History;
use super::{PostgresReplication, SMALL_PROGRAM_TIMEOUT, error, files, instance};

/// How long one run of `archive_command` may take; the first that fails ends the attempt.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(10);

/// After this no other is begun: commits may wait for this member, which is worse than log kept aside.
const ARCHIVE_TIMEOUT: Duration = Duration::from_secs(10);

/// How long so many files may take to be kept aside.
const KEEP_TIMEOUT: Duration = Duration::from_secs(30);
const KEPT_AT_ONCE: usize = 32;

/// Marks a file that waits for the archive (PostgreSQL's xlogarchive.h).
const READY: &str = ".ready";

impl PostgresReplication {
    /// Archives what waits for it and belongs to the history of `theirs`, and keeps aside what of that could not be: a standby removes it. Before a
    /// rewind (`is_stopped`), which removes it as well, what the cluster has left is kept aside, too.
    pub(super) async fn save_unarchived(&self, theirs: &History, is_stopped: bool) -> Result<(), Error> {
        let dir = self.config.data_dir.clone();
        let waiting = files::blocking(move || waiting(&dir)).await?;
        if waiting.is_empty() {
            return Ok(());
        }
        let mode = self.configured("archive_mode").await?;
        // With `always`, a running standby archives by itself.
        if mode == "off" || (mode == "always" && !is_stopped) {
            return Ok(());
        }
        let segment_bytes = self.control().await?.segment_bytes;
        let (ours, left): (Vec<String>, Vec<String>) =
            waiting.into_iter().partition(|name| belongs_to(theirs, name, segment_bytes));
        let mut remaining = self.archive(ours).await?;
        if is_stopped {
            remaining.extend(left);
        }
        if !remaining.is_empty() {
            self.keep_aside(remaining).await?;
        }
        Ok(())
    }

    /// What a setting is by the files, whether or not the database runs.
    async fn configured(&self, name: &str) -> Result<String, Error> {
        let dir = self.data_dir().to_string_lossy();
        let output = self.programs.ask("postgres", &["-D", &dir, "-C", name], SMALL_PROGRAM_TIMEOUT).await?;
        if output.success {
            return Ok(output.stdout.trim_end_matches('\n').to_owned());
        }
        Err(error::of_words(&format!("setting {name} cannot be read"), &output.stderr))
    }

    /// Returns those that could not be archived.
    async fn archive(&self, names: Vec<String>) -> Result<Vec<String>, Error> {
        if names.is_empty() {
            return Ok(names);
        }
        let by_library = self.programs.major() >= 15 && !self.configured("archive_library").await?.is_empty();
        let command = self.configured("archive_command").await?;
        if by_library || command.is_empty() {
            tracing::warn!(member = %self.config.member, files = names.len(), "there is no archive_command by which log could be archived that this old leader had not archived");
            return Ok(names);
        }
        let begun = Instant::now();
        let mut left = names.into_iter();
        while let Some(name) = left.next() {
            self.phase("archiving what the old leader had not archived");
            let why = if begun.elapsed() > ARCHIVE_TIMEOUT {
                Some("it takes too long".to_owned())
            } else {
                self.archive_one(&command, &name).await
            };
            if let Some(why) = why {
                tracing::warn!(member = %self.config.member, file = name, why, "log that this old leader had not archived cannot be archived now");
                return Ok(std::iter::once(name).chain(left).collect());
            }
            tracing::info!(member = %self.config.member, file = name, "log that this old leader had not archived is archived");
            let status = self.data_dir().join("pg_wal/archive_status");
            self.change(move || {
                files::rename(&status.join(format!("{name}{READY}")), &status.join(format!("{name}.done")))
            })
            .await?;
        }
        Ok(Vec::new())
    }

    /// Runs the command as PostgreSQL's archiver does (documentation, "Setting Up WAL Archiving"): by a shell, in the data directory. Says why
    /// it failed.
    async fn archive_one(&self, command: &str, name: &str) -> Option<String> {
        let mut process = self.programs.command("/bin/sh");
        process.current_dir(self.data_dir()).env(instance::MARK, self.data_dir());
        let text = expand(command, name);
        match self.programs.run_command(process, "/bin/sh", &["-c", &text], COMMAND_TIMEOUT).await {
            Ok(output) if output.success => None,
            Ok(output) => Some(error::telling_line(&format!("{}\n{}", output.stdout, output.stderr))),
            Err(error) => Some(error.to_string()),
        }
    }

    async fn keep_aside(&self, names: Vec<String>) -> Result<(), Error> {
        let (from, place, owner) = (self.data_dir().join("pg_wal"), self.beside.unarchived(), self.owner);
        let (files, aside) = (names.len(), place.clone());
        let (names, has_room) = self
            .change(move || {
                files::make_private_dir(&aside, owner)?;
                // What an earlier try has kept is not copied again.
                let is_kept = |name: &String| {
                    let size = |dir: &Path| dir.join(name).symlink_metadata().map(|metadata| metadata.len()).ok();
                    size(&aside).is_some() && size(&aside) == size(&from)
                };
                let names: Vec<String> = names.into_iter().filter(|name| !is_kept(name)).collect();
                let size = |name: &String| from.join(name).symlink_metadata().map_or(0, |metadata| metadata.len());
                let bytes: u64 = names.iter().map(size).sum();
                let has_room = free_bytes(&aside)? >= bytes.saturating_add(SPARE_BYTES);
                Ok((names, has_room))
            })
            .await?;
        let why = if has_room {
            self.copy_aside(&names, &place).await.err().map(|error| error.chain())
        } else {
            Some("there is no room".into())
        };
        match why {
            None => {
                tracing::warn!(member = %self.config.member, files, directory = %place.display(), "log that was not archived is kept aside before it is removed; archive it by hand if the archive is to have no hole, and remove it");
            }
            Some(why) => {
                tracing::error!(member = %self.config.member, directory = %place.display(), why, "log that was not archived cannot be kept aside: it will be removed");
            }
        }
        Ok(())
    }

    /// Copies log files there and flushes them, as PostgreSQL's user: the agent may be root, and both directories are that user's, who could have
    /// put links there.
    async fn copy_aside(&self, names: &[String], aside: &Path) -> Result<(), Error> {
        let from = self.data_dir().join("pg_wal");
        let text = |path: &Path| path.to_string_lossy().into_owned();
        for names in names.chunks(KEPT_AT_ONCE) {
            self.phase("keeping aside what the old leader had not archived");
            let mut copy = vec!["--".to_owned()];
            copy.extend(names.iter().map(|name| text(&from.join(name))));
            copy.push(text(aside));
            let mut flush = vec!["--".to_owned()];
            flush.extend(names.iter().map(|name| text(&aside.join(name))));
            flush.push(text(aside));
            for (program, arguments) in [("/bin/cp", copy), ("/bin/sync", flush)] {
                let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
                self.programs.succeed(program, &arguments, KEEP_TIMEOUT).await?;
            }
        }
        Ok(())
    }
}

/// The files that wait for the archive, in the order in which they were written.
fn waiting(data_dir: &Path) -> Result<Vec<String>, Error> {
    let wal = data_dir.join("pg_wal");
    let status = wal.join("archive_status");
    let entries = match fs::read_dir(&status) {
        Ok(entries) => entries,
        Err(source) if source.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(error::io(format!("directory {} cannot be read", status.display()), source)),
    };
    // What PostgreSQL's archiver takes (pgarch.h), and nothing that somebody else put there.
    let is_log = |name: &&str| {
        let letter = |byte: u8| b"0123456789ABCDEF.history.backup.partial".contains(&byte);
        (16..=40).contains(&name.len()) && name.bytes().all(letter)
    };
    let name =
        |entry: fs::DirEntry| entry.file_name().to_str()?.strip_suffix(READY).filter(is_log).map(ToOwned::to_owned);
    let mut names: Vec<String> = entries.flatten().filter_map(name).filter(|name| wal.join(name).is_file()).collect();
    names.sort();
    Ok(names)
}

/// Whether a log file, whole, or a file that tells of a timeline, is part of this history.
fn belongs_to(theirs: &History, name: &str, segment_bytes: u64) -> bool {
    let number = |from: usize| name.get(from..from + 8).and_then(|digits| u32::from_str_radix(digits, 16).ok());
    let Some(left) = number(0).and_then(|timeline| theirs.left(Timeline(timeline))) else {
        return false;
    };
    if name.len() == 16 && name.ends_with(".history") {
        return true;
    }
    let (Some(high), Some(low)) = (number(8), number(16)) else { return false };
    let per_id = (0x1_0000_0000 / segment_bytes.max(1)).max(1);
    let end = (u64::from(high) * per_id + u64::from(low) + 1).saturating_mul(segment_bytes);
    let is_whole = name.len() == 24 || name.ends_with(".backup");
    is_whole && Lsn(end) <= left
}

/// `%p` is the file's path from the data directory on, `%f` its name, `%%` a percent sign.
fn expand(command: &str, name: &str) -> String {
    let mut text = String::new();
    let mut letters = command.chars().peekable();
    while let Some(letter) = letters.next() {
        match (letter, letters.peek()) {
            ('%', Some('p')) => text.push_str(&format!("pg_wal/{name}")),
            ('%', Some('f')) => text.push_str(name),
            ('%', Some('%')) => text.push('%'),
            (letter, _) => {
                text.push(letter);
                continue;
            }
        }
        letters.next();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEGMENT: u64 = 16 * 1024 * 1024;

    #[test]
    fn only_whole_files_before_the_switch_belong_to_the_history() {
        let theirs = History::parse(Timeline(3), "1\t0/3000028\tx\n").expect("a valid history");
        for (name, belongs) in [
            ("000000010000000000000002", true),
            ("000000010000000000000003", false),
            ("000000010000000000000002.00000028.backup", true),
            ("000000010000000000000002.partial", false),
            ("000000020000000000000002", false),
            ("000000030000000000000009", true),
            ("00000002.history", false),
            ("00000003.history", true),
            ("holiday.jpg", false),
        ] {
            assert_eq!(belongs_to(&theirs, name, SEGMENT), belongs, "{name}");
        }
    }

    #[test]
    fn the_command_is_read_as_postgresql_reads_it() {
        assert_eq!(expand("cp %p /a/%f # 100%% %x %", "0001"), "cp pg_wal/0001 /a/0001 # 100% %x %");
    }
}
