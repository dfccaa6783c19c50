//! A folder of somebody who may be allowed less than this process: gone into step by step, by descriptors, and never through a link.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, Mode, OFlags, open, openat, renameat, unlinkat};
use rustix::io::Errno;
use rustix::path::Arg;

const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// An open folder. What is done in it is done in this very folder, whatever its name leads to meanwhile.
#[derive(Debug)]
pub(super) struct Folder(OwnedFd);

impl Folder {
    /// The one that everything is below. Its name is the operator's: links on the way are followed.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        Ok(Self(open(path, FOLDER, Mode::empty())?))
    }

    /// The folder of this one name in it.
    pub(super) fn inner(&self, name: impl Arg) -> Result<Self, Errno> {
        openat(&self.0, name, FOLDER | OFlags::NOFOLLOW, Mode::empty()).map(Self)
    }

    /// The folder of this name, which may be several, each below the other. `None` when it is not there.
    pub(super) fn below(&self, names: &str) -> io::Result<Option<Self>> {
        let mut found: Option<Self> = None;
        for name in names.split('/') {
            match found.as_ref().unwrap_or(self).inner(name) {
                Ok(inner) => found = Some(inner),
                Err(Errno::NOENT) => return Ok(None),
                Err(Errno::NOTDIR | Errno::LOOP) => {
                    let what = format!("{name} in {names} is a symbolic link or no folder, and is not gone into");
                    return Err(io::Error::new(io::ErrorKind::NotADirectory, what));
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(found)
    }

    /// A file in it, to be read: a link is not followed, and a pipe holds nobody up. `None` when it is no file, or is gone.
    pub(super) fn file(&self, name: &str) -> Option<File> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = File::from(openat(&self.0, name, flags, Mode::empty()).ok()?);
        file.metadata().is_ok_and(|found| found.is_file()).then_some(file)
    }

    /// Brings what has this name to another folder, in place of what has it there.
    pub(super) fn bring(&self, name: &str, to: &Self) -> io::Result<()> {
        Ok(renameat(&self.0, name, &to.0, name)?)
    }

    /// Removes what has this name, a link itself; it may be gone.
    pub(super) fn remove(&self, name: &str) -> io::Result<()> {
        match unlinkat(&self.0, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

impl AsFd for Folder {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
