//! One run of the quickstart: in a directory of its own, with a deadline, and with nothing left of it afterwards.

use std::fs::File;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// Several times what a run takes on a busy machine.
const DEADLINE: Duration = Duration::from_secs(180);

/// How long it may take to clear up when it is told to end.
const CLEARING_UP: Duration = Duration::from_secs(20);

/// How long processes may take to be gone.
const PATIENCE: Duration = Duration::from_secs(20);

/// The running program.
pub(crate) struct Demo {
    directory: TempDir,
    child: Child,
}

/// Whether there are programs of PostgreSQL where distributions put them.
pub(crate) fn has_postgresql() -> bool {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    versions.into_iter().any(|version| version.path().join("bin/pg_rewind").exists())
}

impl Demo {
    pub(crate) fn start(mode: &str, dcs: &str) -> Self {
        // Short, as Unix sockets lie in it, and open to PostgreSQL's user.
        let directory = tempfile::Builder::new().prefix("odoo-ha-").tempdir_in("/tmp").unwrap();
        std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        let output = File::create(directory.path().join("output")).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_failover_demo"))
            .args(["--no-color", "--sync", mode, "--dcs", dcs, "--work-dir"])
            .arg(directory.path().join("work"))
            .arg("--report")
            .arg(directory.path().join("report.html"))
            .stdin(Stdio::null())
            .stdout(output.try_clone().unwrap())
            .stderr(output)
            .spawn()
            .unwrap();
        Self { directory, child }
    }

    /// Waits for its end and gives all it said. What it started must be gone by then.
    pub(crate) fn finish(mut self) -> String {
        let ended = wait(&mut self.child, DEADLINE);
        let said = std::fs::read_to_string(self.directory.path().join("output")).unwrap();
        let Some(code) = ended else { panic!("the demo did not end within {DEADLINE:?}:\n{said}") };
        // 1: a limit was missed; whether one of time is for the test to see. 2: it could not run, or not to its end.
        assert!(matches!(code, Some(0 | 1)), "the demo ended with {code:?}:\n{said}");
        assert!(self.directory.path().join("report.html").exists(), "there is no report:\n{said}");
        assert!(!self.directory.path().join("work").exists(), "the work directory is left");
        let began = Instant::now();
        while !processes(self.directory.path()).is_empty() {
            assert!(began.elapsed() < PATIENCE, "processes are left: {:?}", processes(self.directory.path()));
            std::thread::sleep(Duration::from_millis(10));
        }
        said
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            // It clears up when it is asked to.
            let _gone = kill_process(Pid::from_child(&self.child), Signal::TERM);
            if wait(&mut self.child, CLEARING_UP).is_none() {
                _ = self.child.kill();
                _ = self.child.wait();
            }
        }
        for pid in processes(self.directory.path()).into_iter().filter_map(Pid::from_raw) {
            let _gone = kill_process(pid, Signal::KILL);
        }
    }
}

/// Its exit code once it has ended, `None` when it has not in time.
fn wait(child: &mut Child, deadline: Duration) -> Option<Option<i32>> {
    let began = Instant::now();
    while began.elapsed() < deadline {
        if let Some(status) = child.try_wait().unwrap() {
            return Some(status.code());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    None
}

/// Every process that works in this directory or was told of it.
fn processes(directory: &Path) -> Vec<i32> {
    let name = directory.as_os_str().as_encoded_bytes();
    let is_of_it = |pid: &i32| {
        let proc = Path::new("/proc").join(pid.to_string());
        std::fs::read_link(proc.join("cwd")).is_ok_and(|cwd| cwd.starts_with(directory))
            || std::fs::read(proc.join("cmdline")).is_ok_and(|told| told.windows(name.len()).any(|part| part == name))
    };
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).filter(is_of_it).collect()
}
