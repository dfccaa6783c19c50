//! The directory in which everything of one run lies.

use std::fs::{self, DirBuilder};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

use super::clock;
use super::host::User;
use super::node::Node;
use super::trouble::Trouble;

/// Longest path in bytes: PostgreSQL's Unix sockets lie below it, and the kernel allows them 107.
const LONGEST: usize = 64;

/// The directory. Only what this run put there is ever removed.
#[derive(Clone, Debug)]
pub(crate) struct WorkDir {
    path: PathBuf,
    ours: bool,
}

impl WorkDir {
    /// The given directory, empty or not there yet; else a new one where temporary files go.
    pub(crate) fn make(given: Option<&Path>, user: Option<User>) -> Result<Self, Trouble> {
        let (path, ours) = match given {
            Some(path) => Self::given(path)?,
            None => (Self::temporary(user)?, true),
        };
        let work_dir = Self { path, ours };
        let ready = work_dir.prepare(user);
        if ready.is_err() {
            work_dir.remove()?;
        }
        ready.map(|()| work_dir)
    }

    /// Its path.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// What belongs to one node.
    pub(crate) fn node(&self, node: Node) -> PathBuf {
        self.path.join(node.name())
    }

    /// Removes everything that a run put there.
    pub(crate) fn remove(&self) -> Result<(), Trouble> {
        let removed = if self.ours {
            fs::remove_dir_all(&self.path)
        } else {
            fs::read_dir(&self.path).and_then(|mut entries| {
                entries.try_for_each(|entry| {
                    let path = entry?.path();
                    if path.is_dir() && !path.is_symlink() { fs::remove_dir_all(path) } else { fs::remove_file(path) }
                })
            })
        };
        match removed {
            Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
                Err(Trouble::new(format!("The work directory {} could not be removed: {source}.", self.path.display())))
            }
            _ => Ok(()),
        }
    }

    fn given(path: &Path) -> Result<(PathBuf, bool), Trouble> {
        let cannot = |source: &std::io::Error| {
            Trouble::new(format!("The work directory {} cannot be used: {source}.", path.display()))
                .advice("Name another one with --work-dir, or leave the option out.")
        };
        let ours = match fs::read_dir(path) {
            Ok(mut entries) => {
                if entries.next().is_some() {
                    return Err(Trouble::new(format!("The work directory {} is not empty.", path.display()))
                        .advice("Name one that is empty or not there yet; nothing of yours is touched."));
                }
                false
            }
            Err(source) if source.kind() == std::io::ErrorKind::NotFound => {
                create(path).map_err(|source| cannot(&source))?;
                true
            }
            Err(source) => return Err(cannot(&source)),
        };
        Ok((path.canonicalize().map_err(|source| cannot(&source))?, ours))
    }

    fn temporary(user: Option<User>) -> Result<PathBuf, Trouble> {
        let mut tried = Vec::new();
        for parent in [std::env::temp_dir(), PathBuf::from("/tmp"), PathBuf::from("/var/tmp")] {
            let Ok(parent) = parent.canonicalize() else { continue };
            if let Some(closed) = user.and_then(|user| user.stopped_at(&parent)) {
                tried.push(format!("user postgres may not enter {}", closed.display()));
                continue;
            }
            let unique = clock::now().as_nanos() % 0x1000_0000;
            let path = parent.join(format!("odoo-ha-{}-{unique:07x}", std::process::id()));
            if path.as_os_str().len() > LONGEST {
                tried.push(format!("the path {} is too long", path.display()));
                continue;
            }
            match create(&path) {
                Ok(()) => return Ok(path),
                Err(source) => tried.push(format!("{} cannot be made: {source}", path.display())),
            }
        }
        tried.dedup();
        Err(Trouble::new(format!("There is no place for a work directory: {}.", tried.join("; ")))
            .advice("Name one with --work-dir."))
    }

    fn prepare(&self, user: Option<User>) -> Result<(), Trouble> {
        let path = self.path.display();
        if self.path.as_os_str().len() > LONGEST {
            return Err(Trouble::new(format!("The path of the work directory {path} is longer than {LONGEST} bytes."))
                .advice("Choose a shorter one: Unix sockets lie below it."));
        }
        if let Some(closed) = user.and_then(|user| user.stopped_at(&self.path)) {
            return Err(Trouble::new(format!(
                "PostgreSQL will run as user postgres, who may not enter {} on the way to {path}.",
                closed.display()
            ))
            .advice("Choose a work directory elsewhere, such as below /tmp, or run this as another user."));
        }
        for node in Node::BOTH {
            let dir = self.node(node);
            let made =
                create(&dir).and_then(|()| user.map_or(Ok(()), |user| chown(&dir, Some(user.uid), Some(user.gid))));
            made.map_err(|source| {
                Trouble::new(format!("The directory {} cannot be made: {source}.", dir.display()))
                    .advice("Choose another work directory with --work-dir.")
            })?;
        }
        Ok(())
    }
}

/// Makes a directory that everybody may enter, whatever the umask is. Data and sockets in it are protected by themselves.
fn create(path: &Path) -> std::io::Result<()> {
    DirBuilder::new().mode(0o755).create(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_with_content_is_left_alone() {
        let parent = WorkDir::temporary(None).expect("there is a temporary directory");
        fs::write(parent.join("mine"), "precious").expect("it can be written");
        let said = WorkDir::make(Some(&parent), None).expect_err("it is not empty").to_string();
        assert!(said.contains("is not empty"), "{said}");
        assert!(parent.join("mine").exists());
        fs::remove_dir_all(&parent).expect("it is ours");
    }

    #[test]
    fn an_empty_directory_survives_and_a_new_one_does_not() {
        let parent = WorkDir::temporary(None).expect("there is a temporary directory");
        let empty = WorkDir::make(Some(&parent), None).expect("it is empty");
        assert!(empty.node(Node::B).is_dir());
        empty.remove().expect("it is ours");
        assert_eq!(fs::read_dir(&parent).expect("it is still there").count(), 0);
        let new = WorkDir::make(Some(&parent.join("new")), None).expect("it can be made");
        new.remove().expect("it is ours");
        assert!(!parent.join("new").exists());
        fs::remove_dir_all(&parent).expect("it is ours");
    }

    #[test]
    fn what_cannot_be_made_is_said_with_its_reason() {
        let said = WorkDir::make(Some(Path::new("/proc/nothing")), None).expect_err("nobody can").to_string();
        assert!(said.contains("/proc/nothing") && said.contains("--work-dir"), "{said}");
    }
}
