//! Where files arrive before they are complete, and as whom.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::fs::fchown;
use std::path::Path;

use odoo_ha_core::error::{Error, ErrorKind};
use rustix::fs::{AtFlags, Dir, Mode, OFlags, fstat, mkdirat, open, openat, statat, unlinkat};
use rustix::io::Errno;

/// The folder, below Odoo's `data_dir`, in which files arrive. It is nothing to Odoo, and no other node copies it.
pub const INCOMING: &str = ".odoo-ha-incoming";

/// Where `rsync` puts what it replaces, below Odoo's `data_dir`: until what came in its place has been looked at.
pub(super) const REPLACED: &str = ".odoo-ha-incoming/replaced";

/// Folders within folders that are emptied; the filestore has three, sessions two.
const DEEPEST: u32 = 16;

/// Makes the folder, or empties it of what an earlier pass has left. Returns user and group that `rsync` is to run as; `None`: as this process.
///
/// Done by descriptors, and links are not followed: below `path` everything belongs to Odoo's user, and this may be root.
pub(super) fn prepare(path: &Path) -> Result<Option<(u32, u32)>, Error> {
    let wrong = |what: &str, error: Errno| {
        let kind = if error == Errno::NOSPC { ErrorKind::Disk } else { ErrorKind::Misconfigured };
        Error::new(kind, format!("rsync: {} {what}", path.display()))
            .hint("path must be Odoo's data_dir, a directory that belongs to Odoo's user")
            .caused_by(std::io::Error::from(error))
    };
    let directory = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let home = open(path, directory, Mode::empty()).map_err(|error| wrong("cannot be opened", error))?;
    let owned = fstat(&home).map_err(|error| wrong("cannot be looked at", error))?;
    for name in ["filestore", "sessions"] {
        match statat(&home, name, AtFlags::empty()) {
            // A rename does not lead from one file system to another: files would grow where Odoo reads them.
            Ok(inner) if inner.st_dev != owned.st_dev => {
                let what = format!("rsync: {} is on another file system than {name} in it", path.display());
                return Err(Error::new(ErrorKind::Misconfigured, what)
                    .hint("mount the file system as Odoo's whole data_dir, or leave only one of them apart by a data_dir of its own"));
            }
            Ok(_) | Err(Errno::NOENT) => {}
            Err(error) => return Err(wrong("cannot be looked at", error)),
        }
    }
    match mkdirat(&home, INCOMING, Mode::RWXU) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(error) => return Err(wrong("cannot be written to", error)),
    }
    let incoming = openat(&home, INCOMING, directory | OFlags::NOFOLLOW, Mode::empty())
        .map_err(|error| wrong("has something in it that is no folder where files can arrive", error))?;
    let is_root = rustix::process::geteuid().is_root();
    if is_root {
        let changed = fchown(&incoming, Some(owned.st_uid), Some(owned.st_gid));
        changed.map_err(|error| {
            wrong("has a folder for arriving files that cannot be given to its owner", Errno::INVAL).caused_by(error)
        })?;
    }
    empty(&incoming, 0).map_err(|error| wrong("has a folder for arriving files that cannot be emptied", error))?;
    Ok((is_root && owned.st_uid != 0).then_some((owned.st_uid, owned.st_gid)))
}

/// A killed `rsync` leaves the file that was just arriving, and every pass what it has replaced.
fn empty(folder: &OwnedFd, depth: u32) -> Result<(), Errno> {
    if depth > DEEPEST {
        return Err(Errno::NAMETOOLONG);
    }
    for entry in Dir::read_from(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        let gone = match unlinkat(folder, name, AtFlags::empty()) {
            Err(Errno::ISDIR | Errno::PERM) => {
                let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                empty(&openat(folder, name, flags, Mode::empty())?, depth + 1)?;
                unlinkat(folder, name, AtFlags::REMOVEDIR)
            }
            other => other,
        };
        match gone {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// A file of Odoo's, to be read: a link is not followed, and a pipe holds nobody up. `None` when it is no file, or is gone.
pub(super) fn open_file(path: &Path) -> Option<File> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = File::from(open(path, flags, Mode::empty()).ok()?);
    file.metadata().is_ok_and(|found| found.is_file()).then_some(file)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn leftovers_go_and_links_are_not_followed() {
        let home = std::env::temp_dir().join(format!("odoo-ha-rsync-folder-{}", std::process::id()));
        let (incoming, outside) = (home.join(INCOMING), home.join("outside"));
        std::fs::create_dir_all(&outside).expect("a folder");
        std::fs::write(outside.join("kept"), "kept").expect("a file");
        prepare(&home).expect("it can be made");
        std::fs::write(incoming.join(".left.Ab12Cd"), "half").expect("a file");
        symlink(outside.join("kept"), incoming.join("link")).expect("a link");
        std::fs::create_dir_all(home.join(REPLACED).join("sessions/ab")).expect("a folder");
        std::fs::write(home.join(REPLACED).join("sessions/ab/old"), "old").expect("a file");
        symlink(&outside, home.join(REPLACED).join("folder")).expect("a link");
        prepare(&home).expect("it is there");
        assert_eq!(std::fs::read_dir(&incoming).expect("a folder").count(), 0);
        assert!(outside.join("kept").exists());
        assert!(open_file(&outside.join("kept")).is_some() && open_file(&outside).is_none());
        // What is no folder of ours is not gone into.
        std::fs::remove_dir(&incoming).expect("it is empty");
        symlink(&outside, &incoming).expect("a link");
        assert_eq!(prepare(&home).expect_err("it is a link").kind(), ErrorKind::Misconfigured);
        assert!(outside.join("kept").exists() && open_file(&incoming).is_none());
        assert_eq!(prepare(&home.join("nowhere")).expect_err("it is not there").kind(), ErrorKind::Misconfigured);
        std::fs::remove_dir_all(&home).expect("it is there");
    }
}
