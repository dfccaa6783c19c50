//! Odoo's `data_dir`, where files arrive in it before they are complete, and as whom.
//!
//! Below it everything belongs to Odoo's user, and this may be root: it is reached by descriptors, and links are not followed.

use std::fs::{self, Metadata};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt, fchown};
use std::path::Path;

use odoo_ha_core::error::{Error, ErrorKind};
use rustix::fs::{AtFlags, Dir, FileType, Mode, Stat, fstat, mkdirat, statat, unlinkat};
use rustix::io::Errno;

use super::beneath::Folder;

/// The folder, below Odoo's `data_dir`, in which files arrive. It is nothing to Odoo, and no other node copies it.
pub const INCOMING: &str = ".odoo-ha-incoming";

/// Where `rsync` puts what it replaces, below Odoo's `data_dir`: until what came in its place has been looked at.
pub(super) const REPLACED: &str = ".odoo-ha-incoming/replaced";

/// Folders within folders that are emptied; the filestore has three, sessions two.
const DEEPEST: u32 = 16;

/// What others than owner and group may do with a folder: make, rename and remove; and that only with what is theirs.
const OTHERS_WRITE: u32 = 0o002;
const GROUP_WRITES: u32 = 0o020;
const STICKY: u32 = 0o1000;

/// Odoo's `data_dir`, looked at.
#[derive(Debug)]
pub(super) struct Home<'a> {
    path: &'a Path,
    pub(super) folder: Folder,
    owned: Stat,
    is_root: bool,
}

impl<'a> Home<'a> {
    /// Opens it, and looks whether files can be brought there without anybody else being written to.
    pub(super) fn open(path: &'a Path) -> Result<Self, Error> {
        let is_root = rustix::process::geteuid().is_root();
        let folder = Folder::open(path).map_err(|error| told(path, "cannot be opened", error))?;
        let owned = fstat(&folder).map_err(|error| told(path, "cannot be looked at", error.into()))?;
        let home = Self { path, folder, owned, is_root };
        if is_root {
            home.is_reached_safely()?;
            home.is_one_s_own("it", &home.owned)?;
        }
        for name in ["filestore", "sessions"] {
            home.look_at(name)?;
        }
        home.has_no_linked_database()?;
        Ok(home)
    }

    /// Makes the folder for arriving files, or empties it of what an earlier pass has left. Returns user and group that `rsync` is to run as;
    /// `None`: as this process.
    pub(super) fn prepare(&self) -> Result<Option<(u32, u32)>, Error> {
        match mkdirat(&self.folder, INCOMING, Mode::RWXU) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return Err(self.wrong("cannot be written to", error)),
        }
        let no_place = "has something in it that is no folder where files can arrive";
        let incoming = self.folder.inner(INCOMING).map_err(|error| self.wrong(no_place, error))?;
        let found = fstat(&incoming).map_err(|error| self.wrong(no_place, error))?;
        if self.is_root && found.st_uid != self.owned.st_uid {
            // Just made, and empty. Anything else is no folder of ours: Odoo's user may rename what is in its folder, whosever it is.
            if !is_empty(&incoming).map_err(|error| self.wrong(no_place, error))? {
                let what = format!("rsync: {INCOMING} in {} is not its owner's, and not empty", self.path.display());
                return Err(Error::new(ErrorKind::Misconfigured, what).hint("look what it is, and remove it"));
            }
            let changed = fchown(&incoming, Some(self.owned.st_uid), Some(self.owned.st_gid));
            changed.map_err(|error| {
                let what = "has a folder for arriving files that cannot be given to its owner";
                self.wrong(what, Errno::INVAL).caused_by(error)
            })?;
        }
        empty(&incoming, 0)
            .map_err(|error| self.wrong("has a folder for arriving files that cannot be emptied", error))?;
        Ok((self.is_root && self.owned.st_uid != 0).then_some((self.owned.st_uid, self.owned.st_gid)))
    }

    /// Whether nobody but root and its owner can put another folder in its place, one that is somebody else's: `rsync` runs as its owner. By the
    /// way that it is named, and by where that leads.
    fn is_reached_safely(&self) -> Result<(), Error> {
        let unseen = |error| told(self.path, "cannot be looked at", error);
        let real = fs::canonicalize(self.path).map_err(unseen)?;
        for above in self.path.ancestors().skip(1).chain(real.ancestors().skip(1)) {
            let found: Metadata = fs::metadata(above).map_err(unseen)?;
            let is_open = found.mode() & OTHERS_WRITE != 0 && found.mode() & STICKY == 0;
            if is_open || !(found.uid() == 0 || found.uid() == self.owned.st_uid) {
                let what = format!(
                    "rsync: {} is in {}, where others than root and its owner could put something else in its place",
                    self.path.display(),
                    above.display()
                );
                return Err(Error::new(ErrorKind::Misconfigured, what).hint(
                    "the folders above path must belong to root or to Odoo's user, and nobody else may write to them",
                ));
            }
        }
        Ok(())
    }

    /// Whether a folder in which `rsync` would run as root is root's alone.
    fn is_one_s_own(&self, name: &str, found: &Stat) -> Result<(), Error> {
        let is_root_s = found.st_uid == 0 && found.st_mode & (GROUP_WRITES | OTHERS_WRITE) == 0;
        if !self.is_root || self.owned.st_uid != 0 || is_root_s {
            return Ok(());
        }
        let path = self.path.display();
        let what = format!(
            "rsync: {path} belongs to root, but others may write to {name}: it would run as root among their files"
        );
        Err(Error::new(ErrorKind::Misconfigured, what)
            .hint("path must belong to Odoo's user, as everything below it; then rsync runs as that user"))
    }

    fn look_at(&self, name: &str) -> Result<(), Error> {
        let found = match statat(&self.folder, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(found) => found,
            Err(Errno::NOENT) => return Ok(()),
            Err(error) => return Err(self.wrong("cannot be looked at", error)),
        };
        if FileType::from_raw_mode(found.st_mode) != FileType::Directory {
            return Err(self.no_link(name));
        }
        // A rename does not lead from one file system to another: files would grow where Odoo reads them.
        if found.st_dev != self.owned.st_dev {
            let what = format!("rsync: {} is on another file system than {name} in it", self.path.display());
            return Err(Error::new(ErrorKind::Misconfigured, what).hint(
                "mount the file system as Odoo's whole data_dir, or leave only one of them apart by a data_dir of its own",
            ));
        }
        self.is_one_s_own(name, &found)
    }

    /// `rsync` would put a folder in the place of a link.
    fn has_no_linked_database(&self) -> Result<(), Error> {
        let unseen = |error: Errno| self.wrong("has a filestore that cannot be looked at", error);
        let filestore = match self.folder.inner("filestore") {
            Ok(filestore) => filestore,
            Err(Errno::NOENT) => return Ok(()),
            Err(error) => return Err(unseen(error)),
        };
        for entry in Dir::read_from(&filestore).map_err(unseen)? {
            let entry = entry.map_err(unseen)?;
            let is_link = match entry.file_type() {
                FileType::Symlink => true,
                // Not every file system says it in the list.
                FileType::Unknown => statat(&filestore, entry.file_name(), AtFlags::SYMLINK_NOFOLLOW)
                    .is_ok_and(|found| FileType::from_raw_mode(found.st_mode) == FileType::Symlink),
                _ => false,
            };
            if is_link {
                return Err(self.no_link(&format!("filestore/{}", entry.file_name().to_string_lossy())));
            }
        }
        Ok(())
    }

    fn no_link(&self, name: &str) -> Error {
        let name: String = name.chars().filter(|c| !c.is_control()).collect();
        let what =
            format!("rsync: {name} in {} is a symbolic link or no folder, and is not gone into", self.path.display());
        Error::new(ErrorKind::Misconfigured, what)
            .hint("put the folder itself there, or name the place that it leads to by a path of its own")
    }

    fn wrong(&self, what: &str, error: Errno) -> Error {
        told(self.path, what, error.into())
    }
}

fn told(path: &Path, what: &str, error: io::Error) -> Error {
    let is_full = error.kind() == io::ErrorKind::StorageFull;
    let kind = if is_full { ErrorKind::Disk } else { ErrorKind::Misconfigured };
    Error::new(kind, format!("rsync: {} {what}", path.display()))
        .hint("path must be Odoo's data_dir, a directory that belongs to Odoo's user")
        .caused_by(error)
}

fn is_itself(name: &[u8]) -> bool {
    matches!(name, b"." | b"..")
}

fn is_empty(folder: &Folder) -> Result<bool, Errno> {
    for entry in Dir::read_from(folder)? {
        if !is_itself(entry?.file_name().to_bytes()) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// A killed `rsync` leaves the file that was just arriving, and every pass what it has replaced.
fn empty(folder: &Folder, depth: u32) -> Result<(), Errno> {
    if depth > DEEPEST {
        return Err(Errno::NAMETOOLONG);
    }
    for entry in Dir::read_from(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        if is_itself(name.to_bytes()) {
            continue;
        }
        let gone = match unlinkat(folder.as_fd(), name, AtFlags::empty()) {
            Err(Errno::ISDIR | Errno::PERM) => {
                empty(&folder.inner(name)?, depth + 1)?;
                unlinkat(folder.as_fd(), name, AtFlags::REMOVEDIR)
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

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, chown, symlink};
    use std::path::PathBuf;

    use super::*;

    /// Any user that is not root.
    const OWNER: u32 = 12_345;

    fn prepare(path: &Path) -> Result<Option<(u32, u32)>, Error> {
        Home::open(path)?.prepare()
    }

    fn home(name: &str) -> PathBuf {
        let home = std::env::temp_dir().join(format!("odoo-ha-rsync-{name}-{}", std::process::id()));
        fs::create_dir_all(home.join("data")).expect("a folder");
        home
    }

    fn refused(path: &Path, says: &str) {
        let error = prepare(path).expect_err(says);
        assert_eq!(error.kind(), ErrorKind::Misconfigured);
        assert!(error.to_string().contains(says), "{error}");
    }

    #[test]
    fn leftovers_go_and_links_are_not_followed() {
        let home = home("folder");
        let (incoming, outside) = (home.join(INCOMING), home.join("outside"));
        fs::create_dir_all(&outside).expect("a folder");
        fs::write(outside.join("kept"), "kept").expect("a file");
        prepare(&home).expect("it can be made");
        fs::write(incoming.join(".left.Ab12Cd"), "half").expect("a file");
        symlink(outside.join("kept"), incoming.join("link")).expect("a link");
        fs::create_dir_all(home.join(REPLACED).join("sessions/ab")).expect("a folder");
        fs::write(home.join(REPLACED).join("sessions/ab/old"), "old").expect("a file");
        symlink(&outside, home.join(REPLACED).join("folder")).expect("a link");
        prepare(&home).expect("it is there");
        assert_eq!(fs::read_dir(&incoming).expect("a folder").count(), 0);
        assert!(outside.join("kept").exists());
        let opened = Folder::open(&home).expect("it is there");
        assert!(opened.inner("outside").expect("a folder").file("kept").is_some() && opened.file("outside").is_none());
        // What is no folder of ours is not gone into.
        fs::remove_dir(&incoming).expect("it is empty");
        symlink(&outside, &incoming).expect("a link");
        assert_eq!(prepare(&home).expect_err("it is a link").kind(), ErrorKind::Misconfigured);
        assert!(outside.join("kept").exists() && opened.file(INCOMING).is_none());
        assert_eq!(prepare(&home.join("nowhere")).expect_err("it is not there").kind(), ErrorKind::Misconfigured);
        fs::remove_dir_all(&home).expect("it is there");
    }

    #[test]
    fn a_linked_folder_is_refused_by_its_name() {
        let home = home("linked");
        let data = home.join("data");
        fs::create_dir_all(data.join("elsewhere")).expect("a folder");
        for name in ["filestore", "sessions"] {
            symlink("elsewhere", data.join(name)).expect("a link");
            refused(&data, &format!("{name} in "));
            fs::remove_file(data.join(name)).expect("it is there");
        }
        fs::create_dir_all(data.join("filestore/other")).expect("a folder");
        symlink("other", data.join("filestore/shop")).expect("a link");
        refused(&data, "filestore/shop in ");
        fs::remove_dir_all(&home).expect("it is there");
    }

    /// Only root can make files of others, and is in danger from them.
    #[test]
    fn root_is_not_led_to_what_is_others() {
        if !rustix::process::geteuid().is_root() {
            println!("skipped: this takes root");
            return;
        }
        let home = home("root");
        let data = home.join("data");
        let mode = |path: &Path, mode| fs::set_permissions(path, PermissionsExt::from_mode(mode)).expect("root may");
        let own = |path: &Path, owner| chown(path, Some(owner), Some(owner)).expect("root may");
        assert_eq!(prepare(&data).expect("all of it is root's"), None);
        // Odoo's user may write to what is root's: rsync does not run as root there.
        mode(&data, 0o775);
        refused(&data, "others may write to it");
        mode(&data, 0o755);
        fs::create_dir(data.join("filestore")).expect("a folder");
        own(&data.join("filestore"), OWNER);
        refused(&data, "others may write to filestore");
        own(&data, OWNER);
        fs::remove_dir(data.join(INCOMING)).expect("it is empty");
        assert_eq!(prepare(&data).expect("it is Odoo's"), Some((OWNER, OWNER)));
        assert_eq!(fs::metadata(data.join(INCOMING)).expect("it is there").uid(), OWNER);
        // A folder of root's that Odoo's user has renamed is neither emptied nor given away.
        fs::remove_dir(data.join(INCOMING)).expect("it is empty");
        fs::create_dir(data.join(INCOMING)).expect("a folder");
        fs::write(data.join(INCOMING).join("kept"), "kept").expect("a file");
        refused(&data, "is not its owner's");
        assert_eq!(fs::metadata(data.join(INCOMING)).expect("it is there").uid(), 0);
        assert!(data.join(INCOMING).join("kept").exists());
        fs::remove_file(data.join(INCOMING).join("kept")).expect("it is there");
        prepare(&data).expect("an empty one is taken");
        // Somebody else could put another folder in its place.
        own(&home, OWNER + 1);
        refused(&data, "could put something else in its place");
        own(&home, OWNER);
        prepare(&data).expect("its owner may");
        mode(&home, 0o777);
        refused(&data, "could put something else in its place");
        mode(&home, 0o1777);
        prepare(&data).expect("of what is others', nobody can");
        mode(&home, 0o755);
        // By a link that is somebody else's.
        let linked = home.join("by");
        fs::create_dir(&linked).expect("a folder");
        symlink(&data, linked.join("data")).expect("a link");
        prepare(&linked.join("data")).expect("it is root's link");
        own(&linked, OWNER + 1);
        refused(&linked.join("data"), "could put something else in its place");
        fs::remove_dir_all(&home).expect("it is there");
    }
}
