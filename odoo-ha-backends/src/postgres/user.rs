//! As whom PostgreSQL's programs run.

use std::path::Path;

use odoo_ha_core::error::Error;

use super::error::{self, misconfigured};

/// The user that PostgreSQL's programs and files belong to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    /// The agent's own.
    Same,
    /// Another one; the agent is root.
    Other {
        /// Its number.
        uid: u32,
        /// Its group.
        gid: u32,
    },
}

impl Owner {
    /// Finds the user: PostgreSQL refuses to run as root, so root needs one; anybody else runs it as himself.
    pub(super) fn find(run_as: Option<&str>) -> Result<Self, Error> {
        if !rustix::process::geteuid().is_root() {
            return match run_as {
                None => Ok(Self::Same),
                Some(name) => match lookup(name)? {
                    Some((uid, _)) if uid == rustix::process::geteuid().as_raw() => Ok(Self::Same),
                    Some(_) => Err(misconfigured(format!("only root can run PostgreSQL as user {name:?}"))
                        .hint("run the agent as that user or as root, or leave the setting out")),
                    None => Err(unknown(name)),
                },
            };
        }
        let name = run_as.unwrap_or("postgres");
        match lookup(name)? {
            Some((0, _)) => Err(misconfigured(format!("PostgreSQL does not run as root, and user {name:?} is root"))
                .hint("name another user for PostgreSQL's programs")),
            Some((uid, gid)) => Ok(Self::Other { uid, gid }),
            None => Err(unknown(name)),
        }
    }

    /// Checks that this user may enter every directory above `path`.
    pub(super) fn check_can_reach(self, path: &Path) -> Result<(), Error> {
        use std::os::unix::fs::MetadataExt;
        let Self::Other { uid, gid } = self else { return Ok(()) };
        for above in path.ancestors().skip(1) {
            let Ok(metadata) = above.metadata() else { continue };
            let mode = metadata.mode();
            let may_enter = if metadata.uid() == uid {
                mode & 0o100 != 0
            } else if metadata.gid() == gid {
                mode & 0o010 != 0
            } else {
                mode & 0o001 != 0
            };
            if !may_enter {
                return Err(misconfigured(format!(
                    "PostgreSQL's user (uid {uid}) may not enter {}, above {}",
                    above.display(),
                    path.display()
                ))
                .hint("choose a data directory elsewhere, or give the user the right to enter (chmod o+x)"));
            }
        }
        Ok(())
    }
}

fn unknown(name: &str) -> Error {
    misconfigured(format!("there is no user {name:?} on this machine"))
        .hint("install PostgreSQL's packages, or name the user that PostgreSQL runs as")
}

/// The user's number and group, from the local user file or, failing that, from the name service.
fn lookup(name: &str) -> Result<Option<(u32, u32)>, Error> {
    let local = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    if let Some(found) = find_line(&local, name) {
        return Ok(Some(found));
    }
    if name.starts_with('-') {
        return Ok(None);
    }
    let output = std::process::Command::new("/usr/bin/getent").args(["passwd", name]).env_clear().output();
    match output {
        Ok(output) => Ok(find_line(&String::from_utf8_lossy(&output.stdout), name)),
        Err(source) if source.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(error::io(format!("user {name:?} cannot be looked up"), source)),
    }
}

fn find_line(passwd: &str, name: &str) -> Option<(u32, u32)> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let matches = fields.next() == Some(name);
        let _password = fields.next();
        let uid = fields.next()?.parse().ok()?;
        let gid = fields.next()?.parse().ok()?;
        matches.then_some((uid, gid))
    })
}
