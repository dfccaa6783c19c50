//! What the machine offers: PostgreSQL's programs, a user for them, free ports.

use std::net::TcpListener;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::trouble::Trouble;

/// The oldest and newest major version of PostgreSQL that the library knows.
const SUPPORTED: std::ops::RangeInclusive<u32> = 13..=18;

/// The programs that the library runs.
const PROGRAMS: [&str; 6] = ["postgres", "initdb", "pg_ctl", "pg_basebackup", "pg_rewind", "pg_controldata"];

const INSTALL: &str = "Install it (Debian and Ubuntu: apt-get install postgresql; or `make setup` as root), \
                       or name the directory of its programs with --pg-bin.";

/// PostgreSQL's programs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Postgres {
    /// Where they are.
    pub(crate) bin_dir: PathBuf,
    /// As they say it, such as `15.6`.
    pub(crate) version: String,
}

impl Postgres {
    /// Those of the given directory, else the newest supported ones.
    pub(crate) fn find(given: Option<&Path>) -> Result<Self, Trouble> {
        if let Some(dir) = given {
            return Self::in_dir(dir);
        }
        let mut refused = None;
        for dir in places() {
            match Self::in_dir(&dir) {
                Ok(found) => return Ok(found),
                Err(trouble) => refused = refused.or(Some(trouble)),
            }
        }
        Err(refused.unwrap_or_else(|| Trouble::new("No PostgreSQL was found on this machine.").advice(INSTALL)))
    }

    fn in_dir(dir: &Path) -> Result<Self, Trouble> {
        let dir = dir.canonicalize().map_err(|source| {
            Trouble::new(format!("The directory {} cannot be read: {source}.", dir.display())).advice(INSTALL)
        })?;
        if let Some(missing) = PROGRAMS.iter().find(|program| !dir.join(program).is_file()) {
            return Err(Trouble::new(format!("There is no program {missing} in {}.", dir.display())).advice(INSTALL));
        }
        let output = Command::new(dir.join("postgres")).arg("--version").current_dir("/").output();
        let output =
            output.map_err(|source| Trouble::new(format!("{}/postgres cannot be run: {source}.", dir.display())))?;
        let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        let version = version_in(&said).ok_or_else(|| {
            Trouble::new(format!("{}/postgres does not say its version but {said:?}.", dir.display())).advice(INSTALL)
        })?;
        let major = version.split('.').next().and_then(|major| major.parse::<u32>().ok()).unwrap_or(0);
        if !SUPPORTED.contains(&major) {
            return Err(Trouble::new(format!(
                "PostgreSQL {version} in {} is not supported; versions {} to {} are.",
                dir.display(),
                SUPPORTED.start(),
                SUPPORTED.end()
            ))
            .advice(INSTALL));
        }
        Ok(Self { bin_dir: dir, version })
    }
}

/// Where distributions put PostgreSQL's programs, the newest version first, then those on the path.
fn places() -> Vec<PathBuf> {
    let mut versions: Vec<(u32, PathBuf)> = Vec::new();
    for (parent, prefix) in
        [("/usr/lib/postgresql", ""), ("/usr", "pgsql-"), ("/usr/local", "pgsql-"), ("/opt", "pgsql-")]
    {
        for entry in std::fs::read_dir(parent).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let major = name.to_str().and_then(|name| name.strip_prefix(prefix)).and_then(|major| major.parse().ok());
            versions.extend(major.map(|major| (major, entry.path().join("bin"))));
        }
    }
    versions.sort_by_key(|(major, _)| std::cmp::Reverse((SUPPORTED.contains(major), *major)));
    let on_path = std::env::var_os("PATH").unwrap_or_default();
    let on_path = std::env::split_paths(&on_path).filter_map(|dir| {
        let program = dir.join("postgres").canonicalize().ok()?;
        program.parent().map(Path::to_path_buf)
    });
    versions.into_iter().map(|(_, dir)| dir).chain(on_path).filter(|dir| dir.join("postgres").is_file()).collect()
}

/// The version in `postgres (PostgreSQL) 15.6 (Debian 15.6-0+deb12u1)`.
fn version_in(said: &str) -> Option<String> {
    let version = |word: &str| word.chars().take_while(|c| c.is_ascii_digit() || *c == '.').collect::<String>();
    said.split_whitespace().map(version).find(|word| word.starts_with(|c: char| c.is_ascii_digit()))
}

/// As whom PostgreSQL runs: it refuses to be root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct User {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

impl User {
    /// `postgres` when this is root; `None` when PostgreSQL runs as whoever started the demo.
    pub(crate) fn for_postgres() -> Result<Option<Self>, Trouble> {
        if !rustix::process::geteuid().is_root() {
            return Ok(None);
        }
        let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
        let found = find_user(&passwd, "postgres").or_else(|| {
            let output = Command::new("getent").args(["passwd", "postgres"]).output().ok()?;
            find_user(&String::from_utf8_lossy(&output.stdout), "postgres")
        });
        found.map(Some).ok_or_else(|| {
            Trouble::new("PostgreSQL refuses to run as root, and there is no user \"postgres\" on this machine.")
                .advice("Run this as another user, or add one: useradd --system postgres")
        })
    }

    /// The first directory on the way to `path` that this user may not enter.
    pub(crate) fn stopped_at(self, path: &Path) -> Option<PathBuf> {
        let above = path.ancestors().find(|above| {
            above.metadata().is_ok_and(|metadata| {
                let bit = if metadata.uid() == self.uid {
                    0o100
                } else if metadata.gid() == self.gid {
                    0o010
                } else {
                    0o001
                };
                metadata.mode() & bit == 0
            })
        });
        above.map(Path::to_path_buf)
    }
}

fn find_user(passwd: &str, name: &str) -> Option<User> {
    passwd.lines().find_map(|line| {
        let fields: Vec<&str> = line.split(':').collect();
        match fields.as_slice() {
            [found, _, uid, gid, ..] if *found == name => Some(User { uid: uid.parse().ok()?, gid: gid.parse().ok()? }),
            _ => None,
        }
    })
}

/// Three different ports of the loopback interface that nobody listens on.
pub(crate) fn free_ports() -> Result<[u16; 3], Trouble> {
    let trouble = |source: std::io::Error| Trouble::new(format!("No port of 127.0.0.1 can be taken: {source}."));
    // All are held until the last is found, else the same one could be found twice.
    let listeners =
        [TcpListener::bind(("127.0.0.1", 0)), TcpListener::bind(("127.0.0.1", 0)), TcpListener::bind(("127.0.0.1", 0))];
    let mut ports = [0; 3];
    for (port, listener) in ports.iter_mut().zip(&listeners) {
        let address = match listener {
            Ok(listener) => listener.local_addr().map_err(trouble)?,
            Err(source) => return Err(trouble(std::io::Error::new(source.kind(), source.to_string()))),
        };
        *port = address.port();
    }
    Ok(ports)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_as_distributions_write_them() {
        assert_eq!(version_in("postgres (PostgreSQL) 15.6 (Debian 15.6-0+deb12u1)").as_deref(), Some("15.6"));
        assert_eq!(version_in("postgres (PostgreSQL) 18beta1").as_deref(), Some("18"));
        assert_eq!(version_in("command not found"), None);
    }

    #[test]
    fn a_directory_without_programs_is_refused_with_advice() {
        for dir in ["/proc", "/does/not/exist"] {
            let said = Postgres::find(Some(Path::new(dir))).expect_err("there is none").to_string();
            assert!(said.contains(dir) && said.contains("--pg-bin"), "{said}");
        }
    }

    #[test]
    fn users_are_found_by_whole_name() {
        let passwd = "postgres2:x:1:1::/:\nbroken\npostgres:x:101:104:PostgreSQL:/var/lib/postgresql:/bin/bash\n";
        assert_eq!(find_user(passwd, "postgres"), Some(User { uid: 101, gid: 104 }));
        assert_eq!(find_user(passwd, "odoo"), None);
    }

    #[test]
    fn ports_differ() {
        let [a, b, c] = free_ports().expect("there are thousands");
        assert!(a != b && b != c && a != c && a != 0);
    }
}
