//! A real PostgreSQL instance with its processes, seen through `/proc` by the test's own eyes.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use odoo_ha_backends::guard::now;
use odoo_ha_core::time::Moment;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// An empty cluster, made once, copied by all instances, and removed with the last of them.
static TEMPLATE: Mutex<Weak<TempDir>> = Mutex::new(Weak::new());

fn template() -> Arc<TempDir> {
    let mut kept = TEMPLATE.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(template) = kept.upgrade() {
        return template;
    }
    let home = home();
    let mut initdb = as_database_user(&program("initdb"));
    run(initdb.args(["--no-sync", "-A", "trust", "-U", "postgres", "-D"]).arg(home.path().join("data")));
    let template = Arc::new(home);
    *kept = Arc::downgrade(&template);
    template
}

/// A running instance in a directory of its own; stopped and removed when it goes out of scope.
pub(crate) struct Instance {
    home: TempDir,
    name: &'static str,
    clients: Vec<Child>,
    template: Arc<TempDir>,
}

impl Instance {
    pub(crate) fn start() -> Self {
        Self::start_named("data")
    }

    pub(crate) fn start_named(name: &'static str) -> Self {
        let home = home();
        let instance = Self { home, name, clients: Vec::new(), template: template() };
        run(Command::new("cp").arg("-a").arg(instance.template.path().join("data")).arg(instance.data_dir()));
        instance.start_again();
        instance
    }

    pub(crate) fn start_again(&self) {
        let options = format!("-c listen_addresses='' -k {} -c fsync=off", self.home.path().display());
        let log = self.home.path().join("log");
        let mut start = as_database_user(&program("pg_ctl"));
        start.args(["start", "-w", "-t", "60", "-o", &options, "-D"]).arg(self.data_dir()).arg("-l").arg(log);
        run(&mut start);
    }

    pub(crate) fn data_dir(&self) -> PathBuf {
        self.home.path().join(self.name)
    }

    pub(crate) fn runtime_dir(&self) -> PathBuf {
        self.home.path().join("run")
    }

    /// Opens sessions that are busy until somebody stops them.
    pub(crate) fn open_sessions(&mut self, count: usize) {
        for _ in 0..count {
            let mut client = Command::new(program("psql"));
            client
                .args(["-U", "postgres", "-d", "postgres", "-c", "select pg_sleep(1000)", "-h"])
                .arg(self.home.path());
            self.clients.push(client.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("psql starts"));
        }
        crate::wait_until("the sessions are busy", || {
            self.query("select count(*) from pg_stat_activity where wait_event = 'PgSleep'") == count.to_string()
        });
    }

    pub(crate) fn query(&self, sql: &str) -> String {
        let mut client = Command::new(program("psql"));
        client.args(["-U", "postgres", "-d", "postgres", "-Atc", sql, "-h"]).arg(self.home.path());
        let output = client.output().expect("psql runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("psql prints text").trim().to_owned()
    }

    /// The living processes that work in the data directory.
    pub(crate) fn processes(&self) -> Vec<i32> {
        let data_dir = self.data_dir();
        let all = fs::read_dir("/proc").expect("/proc is there").flatten();
        all.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
            .filter(|pid| fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|directory| directory == data_dir))
            .filter(|pid| state(*pid).is_some_and(|state| !matches!(state, 'Z' | 'X')))
            .collect()
    }

    /// What runs with this instance's runtime directory as an argument: a paused guard, for one, stays for ever.
    fn guards(&self) -> Vec<i32> {
        let runtime_dir = self.runtime_dir();
        let wanted = runtime_dir.to_str().expect("it is text");
        let all = fs::read_dir("/proc").expect("/proc is there").flatten();
        all.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
            .filter(|pid: &i32| {
                let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
                line.split(|byte| *byte == 0).skip(1).any(|argument| argument == wanted.as_bytes())
            })
            .collect()
    }

    pub(crate) fn postmaster(&self) -> i32 {
        let file = fs::read_to_string(self.data_dir().join("postmaster.pid")).expect("the instance runs");
        file.lines().next().and_then(|line| line.parse().ok()).expect("it begins with the number")
    }

    /// Waits for the moment at which no process is left.
    pub(crate) fn gone_at(&self) -> Moment {
        let mut at = now();
        crate::wait_until("every process of the instance is gone", || {
            // Before the look: the processes were gone at some time before its end, not later than the look says.
            let is_empty = self.processes().is_empty();
            at = now();
            is_empty
        });
        at
    }

    /// Something that calls itself PostgreSQL, is PostgreSQL's user's, and closed to that user's eyes, since its program may not be
    /// read. `called` is what its command line begins with.
    pub(crate) fn start_closed(&self, called: &str) -> Child {
        let program = self.home.path().join("postgres");
        fs::copy("/bin/sleep", &program).expect("there is sleep");
        fs::set_permissions(&program, fs::Permissions::from_mode(0o711)).expect("it is ours");
        let owner = fs::metadata(self.data_dir()).expect("it is there");
        let mut command = Command::new(program);
        command.arg0(called).arg("1000").current_dir(self.data_dir()).uid(owner.uid()).gid(owner.gid());
        command.spawn().expect("it starts")
    }

    pub(crate) fn freeze(&self, pids: &[i32]) {
        for pid in pids {
            kill_process(Pid::from_raw(*pid).expect("a number of a process"), Signal::STOP).expect("it lives");
        }
        crate::wait_until("they stand still", || pids.iter().all(|pid| state(*pid) == Some('T')));
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        let mut left = self.processes();
        left.extend(self.guards());
        for pid in left {
            _ = kill_process(Pid::from_raw(pid).expect("a number of a process"), Signal::KILL);
        }
        for client in &mut self.clients {
            _ = client.kill();
            _ = client.wait();
        }
    }
}

fn state(pid: i32) -> Option<char> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(')')?.1.trim_start().chars().next()
}

/// A directory in which the database's user may write, with a short name for sockets.
fn home() -> TempDir {
    let home = tempfile::Builder::new().prefix("guard").tempdir_in("/tmp").expect("there is room");
    if rustix::process::geteuid().is_root() {
        run(Command::new("chown").arg("postgres").arg(home.path()));
    }
    home
}

/// PostgreSQL refuses to run as root.
fn as_database_user(program: &Path) -> Command {
    if !rustix::process::geteuid().is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("runuser");
    command.args(["-u", "postgres", "--"]).arg(program);
    command
}

/// The newest of Debian's versions, else that on PATH.
fn program(name: &str) -> PathBuf {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> =
        versions.map(|entry| entry.path().join("bin").join(name)).filter(|path| path.exists()).collect();
    found.sort();
    found.pop().unwrap_or_else(|| PathBuf::from(name))
}

fn run(command: &mut Command) {
    let status = command.current_dir("/tmp").stdout(Stdio::null()).status().expect("the program is there");
    assert!(status.success(), "{command:?}: {status}");
}
