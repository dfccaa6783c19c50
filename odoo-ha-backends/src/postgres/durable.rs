//! Whole copies made durable by file system instead of file by file: PostgreSQL's programs would open and flush each of thousands of files.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use odoo_ha_core::error::Error;

use super::{error, files};

/// Since this version the kernel's `syncfs(2)` tells of errors in writing (PostgreSQL documentation, `recovery_init_sync_method`).
const TELLS_ERRORS_SINCE: (u32, u32) = (5, 8);

/// Whether a file system can be flushed as a whole here, and an error in that is told.
pub(super) fn by_file_system() -> bool {
    fs::read_to_string("/proc/sys/kernel/osrelease").is_ok_and(|release| tells_errors(&release))
}

fn tells_errors(release: &str) -> bool {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map_while(|part| part.parse::<u32>().ok());
    matches!((numbers.next(), numbers.next()), (Some(major), Some(minor)) if (major, minor) >= TELLS_ERRORS_SINCE)
}

/// Flushes each file system that a copy lies on: its directory's, its log's, and those of its tablespaces.
pub(super) async fn flush_copy(dir: &Path) -> Result<(), Error> {
    let dir = dir.to_path_buf();
    files::blocking(move || {
        flush(&dir).map_err(|source| error::io(format!("the copy in {} cannot be flushed", dir.display()), source))
    })
    .await
}

fn flush(dir: &Path) -> io::Result<()> {
    for place in places(dir)? {
        rustix::fs::syncfs(File::open(place)?)?;
    }
    Ok(())
}

/// The directories that may lie on file systems of their own.
fn places(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let mut places = vec![dir.to_path_buf(), dir.join("pg_wal")];
    match fs::read_dir(dir.join("pg_tblspc")) {
        Ok(entries) => {
            for entry in entries {
                places.push(entry?.path());
            }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    Ok(places)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_kernels_keep_errors_to_themselves() {
        for release in ["5.8.0", "5.10.0-28-amd64", "6.1.0\n", "10.0"] {
            assert!(tells_errors(release), "{release}");
        }
        for release in ["5.7.19", "4.19.0-26-amd64", "", "x", "5"] {
            assert!(!tells_errors(release), "{release}");
        }
    }

    #[test]
    fn log_and_tablespaces_may_lie_elsewhere() {
        let dir = std::env::temp_dir().join(format!("odoo-ha-durable-{}", std::process::id()));
        fs::create_dir(&dir).unwrap();
        assert!(flush(&dir).is_err(), "there is no log");
        std::os::unix::fs::symlink("..", dir.join("pg_wal")).unwrap();
        fs::create_dir(dir.join("pg_tblspc")).unwrap();
        std::os::unix::fs::symlink("../..", dir.join("pg_tblspc/16384")).unwrap();
        let found = (places(&dir).map(|places| places.len()), flush(&dir));
        fs::remove_dir_all(&dir).unwrap();
        assert_eq!(found.0.unwrap(), 3);
        found.1.unwrap();
    }
}
