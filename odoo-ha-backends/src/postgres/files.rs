//! Files that survive a power cut: written beside their place, flushed, renamed, their directory flushed.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, fchown, lchown};
use std::path::Path;

use odoo_ha_core::error::{Error, ErrorKind};

use super::error;
use super::user::Owner;

/// The largest file that is read whole (settings, history files, pid files).
const MAX_READ_BYTES: u64 = 4 * 1024 * 1024;

/// A last part of a path that is a link is an error: links in a directory of another user's are not followed by root.
pub(super) const NO_LINKS: i32 = rustix::fs::OFlags::NOFOLLOW.bits().cast_signed();

/// Runs what may block on a disk away from the runtime's threads, so that deadlines hold on a hung disk.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(source) => Err(Error::new(ErrorKind::Unknown, "work on files was cut short").caused_by(source)),
    }
}

/// Replaces the file by this content, durably: after a power cut it has the old or the new content.
pub(super) fn write_durably(path: &Path, content: &[u8], owner: Owner) -> Result<(), Error> {
    let failed = |source| error::io(format!("{} cannot be written", path.display()), source);
    let mut name = path.as_os_str().to_owned();
    name.push(".odoo-ha-new");
    let temporary = Path::new(&name);
    let write = || -> io::Result<()> {
        // Made new, never opened: the agent may be root, and the directory is another user's, who could have put a link there.
        match fs::remove_file(temporary) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => return Err(source),
            _ => {}
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(temporary)?;
        owner.give_file(&file)?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(temporary, path)?;
        sync_parent(path)
    };
    write().map_err(failed)
}

/// Flushes the directory that holds this path.
pub(super) fn sync_parent(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(parent) => File::open(parent)?.sync_all(),
        None => Ok(()),
    }
}

/// The text of a file; `None` when there is none.
pub(super) fn read(path: &Path) -> Result<Option<String>, Error> {
    let failed = |source| error::io(format!("{} cannot be read", path.display()), source);
    let file = match OpenOptions::new().read(true).custom_flags(NO_LINKS).open(path) {
        Ok(file) => file,
        Err(source) if source.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(failed(source)),
    };
    let mut bytes = Vec::new();
    file.take(MAX_READ_BYTES).read_to_end(&mut bytes).map_err(failed)?;
    Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
}

/// Removes a file durably, if there is one.
pub(super) fn remove(path: &Path) -> Result<(), Error> {
    let failed = |source| error::io(format!("{} cannot be removed", path.display()), source);
    match fs::remove_file(path) {
        Ok(()) => sync_parent(path).map_err(failed),
        Err(source) if source.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(source) => Err(failed(source)),
    }
}

/// Removes a directory and all it holds, if there is one.
pub(super) fn remove_tree(path: &Path) -> Result<(), Error> {
    match fs::remove_dir_all(path) {
        Ok(()) => Ok(()),
        Err(source) if source.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(source) => Err(error::io(format!("directory {} cannot be removed", path.display()), source)),
    }
}

/// Renames durably.
pub(super) fn rename(from: &Path, to: &Path) -> Result<(), Error> {
    let failed = |source| error::io(format!("{} cannot be renamed to {}", from.display(), to.display()), source);
    fs::rename(from, to).map_err(failed)?;
    sync_parent(from).and_then(|()| sync_parent(to)).map_err(failed)
}

/// Makes a directory that only its owner may enter, if there is none.
pub(super) fn make_private_dir(path: &Path, owner: Owner) -> Result<(), Error> {
    let failed = |source| error::io(format!("directory {} cannot be made", path.display()), source);
    match fs::DirBuilder::new().mode(0o700).create(path) {
        Ok(()) => owner.give(path).and_then(|()| sync_parent(path)).map_err(failed),
        Err(source) if source.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(source) => Err(failed(source)),
    }
}

/// Whether there is nothing in this directory, or no directory.
pub(super) fn is_empty_dir(path: &Path) -> Result<bool, Error> {
    match fs::read_dir(path) {
        Ok(mut entries) => Ok(entries.next().is_none()),
        Err(source) if source.kind() == io::ErrorKind::NotFound => Ok(true),
        Err(source) => Err(error::io(format!("directory {} cannot be read", path.display()), source)),
    }
}

/// The last bytes of a file as text; empty when it cannot be read.
pub(super) fn tail(path: &Path, from: u64, max_bytes: u64) -> String {
    let read = || -> io::Result<String> {
        use std::io::{Seek, SeekFrom};
        let mut file = File::open(path)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(from.max(length.saturating_sub(max_bytes))))?;
        let mut bytes = Vec::new();
        file.take(max_bytes).read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    read().unwrap_or_default()
}

impl Owner {
    /// Gives a directory to this user.
    fn give(self, path: &Path) -> io::Result<()> {
        match self {
            Self::Same => Ok(()),
            Self::Other { uid, gid } => lchown(path, Some(uid), Some(gid)),
        }
    }

    /// Gives an open file to this user.
    pub(super) fn give_file(self, file: &File) -> io::Result<()> {
        match self {
            Self::Same => Ok(()),
            Self::Other { uid, gid } => fchown(file, Some(uid), Some(gid)),
        }
    }
}
