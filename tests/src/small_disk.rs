//! A file system that is really full: a small one in memory that only the test sees and that ends with it.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Tells the second run of a test that it is on its small disk, and where that is.
const MARK: &str = "ODOO_HA_TEST_SMALL_DISK";

/// Mounts, then runs the test: `SIZE DIRECTORY PROGRAM TEST`.
const MOUNT_AND_RUN: &str = r#"mount -t tmpfs -o "size=$1,mode=755" tmpfs "$2" && exec "$3" --exact "$4" --nocapture"#;

/// A small file system and what fills it.
#[derive(Debug)]
pub struct SmallDisk {
    directory: PathBuf,
}

impl SmallDisk {
    /// Where it is mounted.
    pub fn path(&self) -> &Path {
        &self.directory
    }

    fn filler(&self) -> PathBuf {
        self.directory.join("filler")
    }

    /// Leaves not a byte free.
    pub fn fill(&self) {
        let mut file =
            OpenOptions::new().create(true).append(true).open(self.filler()).expect("an empty file has room");
        for size in [1024 * 1024, 4096, 1] {
            let block = vec![b'x'; size];
            loop {
                match file.write_all(&block) {
                    Ok(()) => {}
                    Err(error) if error.kind() == ErrorKind::StorageFull => break,
                    Err(error) => panic!("the disk cannot be filled: {error}"),
                }
            }
        }
        let more = File::create(self.directory.join("more")).and_then(|mut more| more.write_all(b"x"));
        assert_eq!(more.expect_err("the disk is full").kind(), ErrorKind::StorageFull);
        std::fs::remove_file(self.directory.join("more")).expect("it is ours");
    }

    /// Takes back what [`fill`](Self::fill) took.
    pub fn make_room(&self) {
        std::fs::remove_file(self.filler()).expect("it was filled");
    }

    /// Makes it as large as this, in MiB.
    pub fn resize(&self, megabytes: u32) {
        let size = format!("remount,size={megabytes}m");
        let done = Command::new("mount").args(["-o", &size]).arg(&self.directory).status().expect("mount runs");
        assert!(done.success(), "mount -o {size}");
    }
}

/// Runs `body` on a file system of this size, in KiB. It needs root, to mount: for anybody else it says that it was skipped.
///
/// `test` is the name of the calling test within its program: it is run a second time, in a mount namespace of its own.
pub fn on_small_disk(test: &str, kilobytes: u32, body: impl FnOnce(&SmallDisk)) {
    if let Some(directory) = std::env::var_os(MARK) {
        return body(&SmallDisk { directory: PathBuf::from(directory) });
    }
    if !rustix::process::geteuid().is_root() {
        println!("SKIPPED {test}: mounting a small file system takes root");
        return;
    }
    let directory = tempfile::Builder::new().prefix("odoo-ha-small-").tempdir_in("/tmp").expect("there is room");
    let program = std::env::current_exe().expect("it is running");
    let output = Command::new("unshare")
        .args(["--mount", "--propagation", "private", "sh", "-c", MOUNT_AND_RUN, "sh"])
        .arg(format!("{kilobytes}k"))
        .arg(directory.path())
        .arg(program)
        .arg(test)
        .env(MARK, directory.path())
        .output()
        .expect("unshare runs (package util-linux)");
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    println!("{said}");
    // A name that is not the test's would run none, and pass.
    assert!(output.status.success() && said.contains("1 passed"), "{test} on a small disk: {}", output.status);
}
