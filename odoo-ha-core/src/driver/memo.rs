//! What a member keeps beside its data: one small file, and the lock that lets only one agent use it.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind};
use crate::machine::Memo;
use crate::member::{ClusterId, MemberId};

/// The format that this version writes. It reads this one and no newer.
const FORMAT: u32 = 1;

/// Largest file that is read, in bytes. What is written has some hundred.
const MAX_BYTES: u64 = 64 * 1024;

const FILE: &str = "memo.json";
const NEW_FILE: &str = "memo.json.new";
const LOCK: &str = "lock";

#[derive(Serialize, Deserialize)]
struct Written {
    format: u32,
    cluster: ClusterId,
    member: MemberId,
    memo: Memo,
}

#[derive(Deserialize)]
struct FormatOnly {
    format: u32,
}

/// The directory with the memo, locked for as long as this value lives.
#[derive(Debug)]
pub(super) struct MemoFile {
    directory: PathBuf,
    cluster: ClusterId,
    member: MemberId,
    /// The number of the newest memo that was written; one write at a time.
    newest: Mutex<u64>,
    /// `flock(2)`: the kernel lets go of it when the process dies, however it dies.
    _lock: File,
}

impl MemoFile {
    /// Locks the directory, made if its parent exists, and reads the memo in it; a first memo is empty.
    ///
    /// # Errors
    ///
    /// `Misconfigured`: another agent uses the directory, or it belongs to another cluster or member. `Malformed`: the memo is broken or
    /// a newer version's. `Disk`: it cannot be read or written. A memo is never ignored: it is what keeps this member from acting on a
    /// store that forgot.
    pub(super) fn open(directory: &Path, cluster: &ClusterId, member: &MemberId) -> Result<(Self, Memo), Error> {
        match fs::create_dir(directory) {
            Ok(()) => sync_directory(directory.parent().unwrap_or(directory))
                .map_err(|cause| disk("the state directory cannot be made durable", directory, cause))?,
            Err(cause) if cause.kind() == io::ErrorKind::AlreadyExists => {}
            Err(cause) => return Err(disk("the state directory cannot be made", directory, cause)),
        }
        let lock = lock(directory)?;
        let memo = read(directory, cluster, member)?.unwrap_or_default();
        let file = Self {
            directory: directory.to_owned(),
            cluster: cluster.clone(),
            member: member.clone(),
            newest: Mutex::new(0),
            _lock: lock,
        };
        Ok((file, memo))
    }

    /// Writes the memo and returns when it is durable. Blocks. `number` grows with every memo; one that is older than what was written
    /// is not written.
    ///
    /// # Errors
    ///
    /// `Disk`: the old memo or the new one is there. `Conflict`: a newer one is there.
    pub(super) fn write(&self, number: u64, memo: &Memo) -> Result<(), Error> {
        let mut newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        if number < *newest {
            return Err(Error::new(ErrorKind::Conflict, "a newer memo was written already"));
        }
        let written =
            Written { format: FORMAT, cluster: self.cluster.clone(), member: self.member.clone(), memo: memo.clone() };
        let bytes = serde_json::to_vec_pretty(&written)
            .map_err(|cause| Error::new(ErrorKind::Malformed, "the memo cannot be written as text").caused_by(cause))?;
        *newest = number;
        self.replace(&bytes).map_err(|cause| disk("the memo cannot be written", &self.directory.join(FILE), cause))
    }

    fn replace(&self, bytes: &[u8]) -> io::Result<()> {
        let new = self.directory.join(NEW_FILE);
        let mut file = File::create(&new)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&new, self.directory.join(FILE))?;
        sync_directory(&self.directory)
    }
}

fn disk(what: &str, path: &Path, cause: io::Error) -> Error {
    Error::new(ErrorKind::Disk, format!("{what}: {}", path.display()))
        .hint("check the path, its owner and mode, and the free space")
        .caused_by(cause)
}

fn sync_directory(directory: &Path) -> io::Result<()> {
    // The parent of a relative name of one part is the empty path.
    let directory = if directory.as_os_str().is_empty() { Path::new(".") } else { directory };
    File::open(directory)?.sync_all()
}

fn lock(directory: &Path) -> Result<File, Error> {
    let path = directory.join(LOCK);
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        .map_err(|cause| disk("the lock cannot be opened", &path, cause))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut holder = String::new();
            let holder = match (&file).take(32).read_to_string(&mut holder) {
                Ok(_) if holder.trim().parse::<u32>().is_ok() => format!("process {}", holder.trim()),
                _ => "a process that did not leave its id".to_owned(),
            };
            return Err(Error::new(
                ErrorKind::Misconfigured,
                format!("another agent uses the state directory {}: {holder}", directory.display()),
            )
            .hint("one agent a data directory: stop the other one, or give this one its own directory"));
        }
        Err(TryLockError::Error(cause)) => return Err(disk("the lock cannot be taken", &path, cause)),
    }
    // Only for the sentence above: the lock is the kernel's, not this text.
    let _ = file.set_len(0).and_then(|()| writeln!(&file, "{}", std::process::id()));
    Ok(file)
}

fn read(directory: &Path, cluster: &ClusterId, member: &MemberId) -> Result<Option<Memo>, Error> {
    let path = directory.join(FILE);
    let mut bytes = Vec::new();
    match File::open(&path) {
        Ok(file) => file.take(MAX_BYTES + 1).read_to_end(&mut bytes),
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(cause) => Err(cause),
    }
    .map_err(|cause| disk("the memo cannot be read", &path, cause))?;
    let broken = |what: &str| {
        Error::new(ErrorKind::Malformed, format!("{what}: {}", path.display())).hint(
            "restore it from a backup of this very node; or, with this agent stopped and the cluster led by another member, move \
             it away together with the data directory and let the member be cloned anew",
        )
    };
    if bytes.len() as u64 > MAX_BYTES {
        return Err(broken("the memo is too large"));
    }
    let format: FormatOnly =
        serde_json::from_slice(&bytes).map_err(|cause| broken("the memo cannot be understood").caused_by(cause))?;
    if format.format > FORMAT {
        return Err(Error::new(
            ErrorKind::Malformed,
            format!(
                "the memo has format {}, this version understands up to {FORMAT}: {}",
                format.format,
                path.display()
            ),
        )
        .hint("a newer version of odoo-ha ran here; use that one or a later one"));
    }
    let written: Written =
        serde_json::from_slice(&bytes).map_err(|cause| broken("the memo cannot be understood").caused_by(cause))?;
    if written.cluster != *cluster || written.member != *member {
        return Err(Error::new(
            ErrorKind::Misconfigured,
            format!(
                "the state directory belongs to member {} of cluster {}, not to member {member} of cluster {cluster}: {}",
                written.member,
                written.cluster,
                directory.display()
            ),
        )
        .hint("give each member a state directory of its own"));
    }
    Ok(Some(written.memo))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::term::{Mark, Term};
    use std::sync::atomic::{AtomicU32, Ordering};

    /// An empty directory that is removed at the end.
    struct Scratch(PathBuf);

    impl Scratch {
        fn new() -> Self {
            static NEXT: AtomicU32 = AtomicU32::new(0);
            let name = format!("odoo-ha-memo-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
            let path = std::env::temp_dir().join(name);
            fs::create_dir(&path).unwrap();
            Self(path)
        }

        fn open(&self) -> Result<(MemoFile, Memo), Error> {
            MemoFile::open(&self.0.join("state"), &ClusterId::new("shop").unwrap(), &MemberId::new("a").unwrap())
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn memo(term: u64) -> Memo {
        Memo { mark: Mark { term: Term(term), sequence: 7 }, led: Term(term), ..Memo::default() }
    }

    #[test]
    fn what_was_written_is_read_by_the_next_start() {
        let scratch = Scratch::new();
        let (file, first) = scratch.open().unwrap();
        assert_eq!(first, Memo::default());
        file.write(1, &memo(3)).unwrap();
        file.write(2, &memo(4)).unwrap();
        assert_eq!(file.write(1, &memo(5)).unwrap_err().kind(), ErrorKind::Conflict);
        // What a crash in the midst of a write left is no memo.
        fs::write(scratch.0.join("state").join(NEW_FILE), b"{").unwrap();
        drop(file);
        assert_eq!(scratch.open().unwrap().1, memo(4));
    }

    #[test]
    fn a_second_agent_is_refused_and_told_who_has_it() {
        let scratch = Scratch::new();
        let held = scratch.open().unwrap();
        let refused = scratch.open().unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Misconfigured);
        assert!(refused.to_string().contains(&format!("process {}", std::process::id())), "{refused}");
        drop(held);
        scratch.open().unwrap();
    }

    #[test]
    fn a_broken_newer_or_foreign_memo_is_refused_and_left() {
        let scratch = Scratch::new();
        drop(scratch.open().unwrap());
        let path = scratch.0.join("state").join(FILE);
        for (text, kind, word) in [
            (r#"{"format":1,"cluster"#, ErrorKind::Malformed, "understood"),
            ("", ErrorKind::Malformed, "understood"),
            (r#"{"format":2,"memo":{}}"#, ErrorKind::Malformed, "newer version"),
            (
                r#"{"format":1,"cluster":"other","member":"a","memo":{"cluster":null,"mark":{"term":1,"sequence":1},"led":0,"intent":null}}"#,
                ErrorKind::Misconfigured,
                "cluster other",
            ),
        ] {
            fs::write(&path, text).unwrap();
            let refused = scratch.open().unwrap_err();
            assert_eq!(refused.kind(), kind, "{text}");
            assert!(refused.to_string().contains(word), "{refused}");
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
    }
}
