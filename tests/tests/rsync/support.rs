//! Nodes with files, each with an rsync daemon on an address of its own.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, TcpStream};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::time::Duration;

use odoo_ha_backends::rsync::{RsyncConfig, RsyncFilestore};
use odoo_ha_core::database::Endpoint;
use odoo_ha_core::member::MemberId;
use odoo_ha_core::roles::FilestoreSync;
use odoo_ha_core::term::Term;
use odoo_ha_tests::stores::{StoreProcess, eventually, free_port};
use tempfile::TempDir;

/// Longest wait for anything that must happen.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Whom the files belong to where the tests are root: any user that is not.
pub(crate) const OWNER: u32 = 12_345;

/// `abc` and `abd` by their SHA-1, as Odoo names them.
pub(crate) const ABC: &str = "filestore/shop/a9/a9993e364706816aba3e25717850c26c9cd0d89d";
pub(crate) const ABD: &str = "filestore/shop/cb/cb4cc28df0fdbe0ecf9d9662e294b118092a5735";

/// A host with Odoo's `data_dir`.
pub(crate) struct Host {
    pub(crate) name: &'static str,
    folder: TempDir,
    pub(crate) address: Ipv4Addr,
    pub(crate) port: u16,
    pub(crate) daemon: Option<StoreProcess>,
}

impl Host {
    /// Without a daemon.
    pub(crate) fn new(name: &'static str, address: [u8; 4], port: u16) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o755)).unwrap();
        let host = Self { name, folder, address: address.into(), port, daemon: None };
        fs::create_dir(host.data()).unwrap();
        if is_root() {
            chown(host.data(), Some(OWNER), Some(OWNER)).unwrap();
        }
        host
    }

    /// With a daemon that serves its files; `more` in its module, and these arguments.
    pub(crate) async fn serving(mut self, more: &str, arguments: &[&str]) -> Self {
        let config = self.folder.path().join("rsyncd.conf");
        let user = if is_root() { "uid = root\ngid = root\n" } else { "" };
        let module = format!("[odoo]\npath = {}\nread only = yes\n{more}\n", self.data().display());
        fs::write(&config, format!("use chroot = no\nreverse lookup = no\n{user}{module}")).unwrap();
        let mut all: Vec<String> = ["--daemon", "--no-detach", "--log-file=/dev/stderr"].map(str::to_owned).into();
        all.push(format!("--config={}", config.display()));
        all.push(format!("--address={}", self.address));
        all.push(format!("--port={}", self.port));
        all.extend(arguments.iter().map(|argument| (*argument).to_owned()));
        self.daemon = Some(StoreProcess::start("rsyncd", Path::new("/usr/bin/rsync"), all, self.folder.path()));
        self.answers().await;
        self
    }

    /// Waits until the daemon listens.
    pub(crate) async fn answers(&self) {
        let began = std::time::Instant::now();
        while TcpStream::connect((self.address, self.port)).is_err() {
            assert!(began.elapsed() < PATIENCE, "the daemon does not listen");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// A user writes a file.
    pub(crate) fn write(&self, name: &str, content: &str) {
        let path = self.data().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
        self.give_away();
    }

    /// The same, so many seconds ago.
    pub(crate) fn write_old(&self, name: &str, content: &str, seconds: u64) {
        self.write(name, content);
        let then = std::time::SystemTime::now() - Duration::from_secs(seconds);
        fs::File::options().write(true).open(self.data().join(name)).unwrap().set_modified(then).unwrap();
    }

    fn give_away(&self) {
        if is_root() {
            let owner = format!("{OWNER}:{OWNER}");
            let status = std::process::Command::new("chown").args(["-R", &owner]).arg(self.data()).status();
            assert!(status.unwrap().success());
        }
    }

    pub(crate) fn read(&self, name: &str) -> Option<String> {
        fs::read_to_string(self.data().join(name)).ok()
    }

    pub(crate) fn remove(&self, name: &str) {
        fs::remove_file(self.data().join(name)).unwrap();
    }

    pub(crate) async fn has(&self, name: &str, content: &str) {
        let found = async || self.read(name).filter(|found| found == content);
        eventually(&format!("{name} is {content:?} at {}", self.name), PATIENCE, found).await;
    }

    pub(crate) fn member(&self) -> (MemberId, Endpoint) {
        (MemberId::new(self.name).unwrap(), Endpoint { host: self.address.to_string(), port: 5432 })
    }

    /// What pulls files to here, quickly.
    pub(crate) fn config(&self) -> RsyncConfig {
        let source = format!("rsync://{{host}}:{}/odoo/", self.port);
        RsyncConfig::new(self.data(), source, self.path().join("state")).interval(Duration::from_millis(50))
    }

    pub(crate) fn filestore(&self) -> RsyncFilestore {
        self.config().build().unwrap()
    }

    /// The processes of a pull to here, by what they were started with; zombies are none.
    pub(crate) fn pulls(&self) -> Vec<u32> {
        let (data, mut found) = (format!("{}/", self.data().display()), Vec::new());
        for entry in fs::read_dir("/proc").unwrap().flatten() {
            let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
            let arguments = fs::read(entry.path().join("cmdline")).unwrap_or_default();
            if arguments.split(|byte| *byte == 0).any(|argument| argument == data.as_bytes()) {
                found.push(pid);
            }
        }
        found
    }
}

pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// A leader that serves its files, and a copy.
pub(crate) async fn pair(more: &str, arguments: &[&str]) -> (Host, Host) {
    let port = free_port(IpAddr::from([127, 0, 0, 1]));
    let leader = Host::new("a", [127, 0, 0, 1], port).serving(more, arguments).await;
    (leader, Host::new("b", [127, 0, 0, 1], port))
}

pub(crate) async fn follow(files: &RsyncFilestore, term: u64, leader: &Host) {
    let (member, endpoint) = leader.member();
    files.follow(Term(term), &member, Some(&endpoint), PATIENCE).await.unwrap();
}

/// Waits until the status says so. `None` stands for one that cannot be told.
pub(crate) async fn status(files: &RsyncFilestore, what: &str, mut is_so: impl FnMut(Result<u64, String>) -> bool) {
    let look = async || {
        let seen = files.status(PATIENCE).await;
        let seen = match seen {
            Ok(status) => Ok(status.complete_ms_ago.map_or(u64::MAX, |_| status.missing)),
            Err(error) => Err(error.chain()),
        };
        is_so(seen).then_some(())
    };
    eventually(what, PATIENCE, look).await;
}

/// Waits until everything is here that the leader had when this was called: a pass that began later has succeeded.
pub(crate) async fn complete(files: &RsyncFilestore) {
    let began = std::time::Instant::now();
    let look = async || {
        let age = files.status(PATIENCE).await.ok()?.complete_ms_ago?;
        (Duration::from_millis(age) < began.elapsed().saturating_sub(Duration::from_millis(2))).then_some(())
    };
    eventually("a pass that began later succeeds", PATIENCE, look).await;
}
