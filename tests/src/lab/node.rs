//! A node: a host with an agent and, as the agent decides, a database.

use std::fmt::Write as _;
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use tokio::task::AbortHandle;

use super::network::{Host, Network};
use super::programs::{Programs, run};
use super::sql;
use super::store::CLUSTER;
use crate::stores::StoreProcess;

/// Of every database: each host has one.
pub(super) const PORT: u16 = 5432;

/// Where nodes ask one another.
const PEER_PORT: u16 = 7400;

/// What is said in the file of a node, as far as tests change it.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) founders: Vec<String>,
    pub(super) store: Vec<String>,
    pub(super) timing: String,
    pub(super) policy: String,
    /// More lines of `[cluster]`, and of `[postgres]`.
    pub(super) cluster: String,
    pub(super) postgres: String,
    pub(super) disk_megabytes: Option<u32>,
    /// Whether it has files of Odoo's, and a daemon that serves them.
    pub(super) files: bool,
}

/// A node of the lab.
#[derive(Debug)]
pub struct Node {
    host: Host,
    directory: PathBuf,
    hactl: PathBuf,
    agent: Arc<StoreProcess>,
    rsyncd: Option<StoreProcess>,
    supervisor: AbortHandle,
    restarts: Arc<AtomicUsize>,
    settings: Mutex<Settings>,
}

impl Node {
    /// Writes its file and starts its agent.
    pub(super) fn start(host: Host, programs: &Programs, settings: Settings, place: &Path) -> Self {
        let directory = place.join(host.name());
        std::fs::create_dir(&directory).expect("the lab's place can be written");
        let disk = directory.join("disk");
        std::fs::create_dir(&disk).expect("the lab's place can be written");
        if let Some(megabytes) = settings.disk_megabytes {
            let size = format!("size={megabytes}m,mode=755");
            run("mount", &["-t", "tmpfs", "-o", &size, "tmpfs", &disk.display().to_string()]);
        }
        let secret = place.join("secret");
        std::fs::write(&secret, "what the nodes of the lab share\n").expect("the lab's place can be written");
        let file = directory.join("node.toml");
        write(&host, &directory, &settings);
        let [enter, network] = host.enter();
        let arguments = [network, programs.agent.display().to_string(), "--config".into(), file.display().to_string()];
        let agent = Arc::new(StoreProcess::start(host.name(), Path::new(&enter), arguments, &directory));
        let rsyncd = settings.files.then(|| serve_files(&host, &directory));
        let restarts = Arc::default();
        let supervisor = tokio::spawn(supervise(Arc::clone(&agent), Arc::clone(&restarts))).abort_handle();
        let (hactl, settings) = (programs.hactl.clone(), Mutex::new(settings));
        Self { host, directory, hactl, agent, rsyncd, supervisor, restarts, settings }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        self.host.name()
    }

    /// Where it runs.
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// Its agent's process.
    pub fn agent(&self) -> &StoreProcess {
        &self.agent
    }

    /// How often its supervisor has started its agent again, which had ended unasked: its guard had killed it, for one.
    pub fn restarts(&self) -> usize {
        self.restarts.load(Ordering::Relaxed)
    }

    /// From now on nobody starts its agent again.
    pub fn unsupervised(&self) {
        self.supervisor.abort();
    }

    /// What its guards have logged so far.
    pub(super) fn guard_log(&self) -> String {
        let log = std::fs::read(self.directory.join("guard").join("guard.log")).unwrap_or_default();
        String::from_utf8_lossy(&log).into_owned()
    }

    /// What its agents have logged so far.
    pub fn log(&self) -> String {
        let log = std::fs::read(self.directory.join(format!("{}.log", self.name()))).unwrap_or_default();
        String::from_utf8_lossy(&log).into_owned()
    }

    /// Whether its agents have logged this.
    pub fn said(&self, what: &str) -> bool {
        self.log().contains(what)
    }

    /// Where its database's socket is.
    pub fn socket(&self) -> PathBuf {
        self.directory.join("socket")
    }

    /// Odoo's files, where the [plan](super::Plan::files) has them.
    pub fn files(&self) -> PathBuf {
        self.directory.join("files")
    }

    /// The daemon that serves them.
    pub fn rsyncd(&self) -> Option<&StoreProcess> {
        self.rsyncd.as_ref()
    }

    /// Its database's directory.
    pub fn data(&self) -> PathBuf {
        self.disk().join("data")
    }

    /// Where its data lie.
    fn disk(&self) -> PathBuf {
        self.directory.join("disk")
    }

    /// Leaves not a byte free on its disk, which the [plan](super::Plan::disks) has to have made small.
    pub fn fill_disk(&self) {
        let mut file = File::create(self.disk().join("filler")).expect("an empty file has room");
        for size in [1024 * 1024, 4096, 1] {
            while file.write_all(&vec![b'x'; size]).is_ok() {}
        }
    }

    /// Takes back what filled it.
    pub fn empty_disk(&self) {
        std::fs::remove_file(self.disk().join("filler")).expect("it was filled");
    }

    /// Whether this program of PostgreSQL works on its data, or on what will be them.
    pub fn runs(&self, program: &str) -> bool {
        let directory = self.directory.display().to_string();
        let all = std::fs::read_dir("/proc").into_iter().flatten().flatten();
        all.filter(|entry| std::fs::read_link(entry.path().join("exe")).is_ok_and(|exe| exe.ends_with(program))).any(
            |entry| {
                let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
                String::from_utf8_lossy(&line).contains(&directory)
            },
        )
    }

    /// Asks its database; `None` when it does not answer.
    pub async fn ask(&self, sql: &str) -> Option<Vec<Vec<String>>> {
        sql::ask(&self.socket(), sql).await
    }

    /// The processes of its database, the postmaster first.
    pub fn database_processes(&self) -> Vec<Pid> {
        let data = self.data();
        let all = std::fs::read_dir("/proc").into_iter().flatten().flatten();
        let numbers = all.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
        let mut found: Vec<i32> = numbers
            .filter(|pid| std::fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| cwd == data))
            .filter(|pid| std::fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|exe| exe.ends_with("postgres")))
            .collect();
        let file = std::fs::read_to_string(data.join("postmaster.pid")).unwrap_or_default();
        let postmaster = file.lines().next().and_then(|line| line.trim().parse().ok());
        found.sort_by_key(|pid| (Some(*pid) != postmaster, *pid));
        found.into_iter().filter_map(Pid::from_raw).collect()
    }

    /// Sends this to every process of its database.
    pub fn signal_database(&self, signal: Signal) {
        for pid in self.database_processes() {
            // It may have ended by itself.
            let _ = kill_process(pid, signal);
        }
    }

    /// Kills every process of its database.
    pub fn kill_database(&self) {
        self.signal_database(Signal::KILL);
    }

    /// Kills everything that runs on it, and takes its address, as the end of its power does.
    pub fn kill_everything(&self) {
        self.kill_guard();
        self.agent.kill();
        self.kill_guard();
        self.kill_database();
        if let Some(rsyncd) = &self.rsyncd {
            rsyncd.kill();
        }
        self.host.forgets(Network::ADDRESS);
    }

    /// Kills its agent and that one's guard so that neither sees the other die: nothing is left that would stop its database or drop its address.
    ///
    /// # Panics
    ///
    /// When there is no guard.
    pub fn kill_agent_and_guard(&self) {
        // Frozen, it starts no other guard.
        self.agent.freeze();
        assert!(self.kill_guard(), "{} has no guard", self.name());
        self.agent.kill();
    }

    /// Kills its guard. Whether there was one.
    fn kill_guard(&self) -> bool {
        let mut found = false;
        let runtime = self.directory.join("guard");
        let all = std::fs::read_dir("/proc").into_iter().flatten().flatten();
        for pid in all.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok()) {
            let is_its = mentions(Path::new(&format!("/proc/{pid}")), &runtime);
            if is_its && let Some(pid) = Pid::from_raw(pid) {
                found |= kill_process(pid, Signal::KILL).is_ok();
            }
        }
        found
    }

    /// Writes another `[timing]` and has the agent read it (SIGHUP).
    pub fn set_timing(&self, timing: &str) {
        self.change(|settings| timing.clone_into(&mut settings.timing));
    }

    fn change(&self, change: impl FnOnce(&mut Settings)) {
        let mut settings = self.settings.lock().expect("nobody panicked with it");
        change(&mut settings);
        write(&self.host, &self.directory, &settings);
        self.agent.signal(Signal::HUP);
    }

    /// Runs `odoo-hactl` on this node, and waits for its end: what it printed, or what it printed as its error.
    pub fn hactl(&self, arguments: &[&str]) -> Result<String, String> {
        let output = self.hactl_command(arguments).output().expect("the program is there");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
    }

    /// Has `odoo-hactl` tell a wish, and does not wait for the answer.
    pub fn wish(&self, arguments: &[&str]) {
        let mut command = self.hactl_command(arguments);
        let started = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let mut started = started.expect("the program is there");
        // It ends by its own time limit, or with the world.
        std::thread::spawn(move || started.wait());
    }

    /// The same, to be started by whoever does not want to wait.
    pub fn hactl_command(&self, arguments: &[&str]) -> Command {
        let [enter, network] = self.host.enter();
        let mut command = Command::new(enter);
        command.arg(network).arg(&self.hactl).arg("--config").arg(self.directory.join("node.toml")).args(arguments);
        command
    }
}

/// Starts an rsync daemon on this host, for whoever asks.
fn serve_files(host: &Host, directory: &Path) -> StoreProcess {
    let (files, config) = (directory.join("files"), directory.join("rsyncd.conf"));
    let module = format!("[odoo]\npath = {}\nread only = yes\nuid = root\ngid = root\n", files.display());
    std::fs::create_dir(&files).expect("the lab's place can be written");
    std::fs::write(&config, format!("use chroot = no\nreverse lookup = no\n{module}"))
        .expect("the lab's place can be written");
    let [enter, network] = host.enter();
    let mut arguments = vec![network, "/usr/bin/rsync".to_owned()];
    arguments.extend(["--daemon", "--no-detach", "--log-file=/dev/stderr"].map(str::to_owned));
    arguments.push(format!("--config={}", config.display()));
    StoreProcess::start("rsyncd", Path::new(&enter), arguments, directory)
}

/// Starts an agent again that has ended unasked, as systemd does.
async fn supervise(agent: Arc<StoreProcess>, restarts: Arc<AtomicUsize>) {
    loop {
        tokio::time::sleep(Duration::from_millis(100)).await;
        if agent.has_ended_unasked() {
            agent.restart();
            restarts.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Whether a process has this path among its arguments.
fn mentions(process: &Path, path: &Path) -> bool {
    let line = std::fs::read(process.join("cmdline")).unwrap_or_default();
    line.split(|byte| *byte == 0).any(|word| Path::new(&*String::from_utf8_lossy(word)) == path)
}

/// Renamed into place: an agent that reads it meanwhile reads the one or the other.
fn write(host: &Host, directory: &Path, settings: &Settings) {
    let (file, new) = (directory.join("node.toml"), directory.join("node.toml.new"));
    let written = std::fs::write(&new, text(host, directory, settings)).and_then(|()| std::fs::rename(&new, &file));
    written.expect("the lab's place can be written");
}

fn text(host: &Host, directory: &Path, settings: &Settings) -> String {
    let Settings { founders, store, timing, policy, cluster, postgres, disk_megabytes: _, files } = settings;
    let (name, ip, directory) = (host.name(), host.ip(), directory.display());
    let secret = format!("{{ file = \"{}/secret\" }}", super::PLACE);
    let mut text = String::new();
    // Writing to a string does not fail.
    let _ = write!(
        text,
        "[cluster]\nname = \"{CLUSTER}\"\nmember = \"{name}\"\nfounders = {founders:?}\nstate_dir = \"{directory}/state\"\n{cluster}\n\
         [dcs.etcd]\nendpoints = {store:?}\n\
         [postgres]\ndata_dir = \"{directory}/disk/data\"\nsocket_dir = \"{directory}/socket\"\nhost = \"{ip}\"\nport = {PORT}\nlisten = \"*\"\n\
         networks = [\"{}\"]\npassword = {secret}\n{postgres}\n\
         [address.linux]\naddress = \"{}/24\"\ninterface = \"eth0\"\n\
         [guard]\nruntime_dir = \"{directory}/guard\"\n[peers]\nlisten = \"{ip}:{PEER_PORT}\"\nsecret = {secret}\n\
         [timing]\n{timing}\n[policy]\n{policy}\n",
        Network::SUBNET,
        Network::ADDRESS,
    );
    if *files {
        let source = "rsync://{host}/odoo/";
        let _ = write!(
            text,
            "[filestore.rsync]\npath = \"{directory}/files\"\nsource = \"{source}\"\ninterval = \"200ms\"\n"
        );
    }
    text
}

impl Drop for Node {
    fn drop(&mut self) {
        self.supervisor.abort();
    }
}
