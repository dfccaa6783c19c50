//! Hosts: network namespaces with one interface each, all on one bridge.

use std::fs::File;
use std::os::fd::AsFd;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU8, Ordering};
use std::thread::JoinHandle;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use super::programs::run;

/// The lab's own address on the bridge, from which it looks at the store; nothing cuts it.
const DIRECTOR: &str = "10.77.0.254/24";

/// The switch, and how many hosts hang on it.
#[derive(Debug)]
pub struct Network {
    hosts: AtomicU8,
}

impl Network {
    /// Everything that is 10.77.0.
    pub const SUBNET: &'static str = "10.77.0.0/24";
    /// The address that users type.
    pub const ADDRESS: &'static str = "10.77.0.100";

    /// A switch without hosts. One a world.
    pub fn new() -> Self {
        run("ip", &["link", "add", "lab0", "type", "bridge"]);
        run("ip", &["address", "add", DIRECTOR, "dev", "lab0"]);
        run("ip", &["link", "set", "lab0", "up"]);
        Self { hosts: AtomicU8::new(0) }
    }

    /// A new host on it, with an `eth0`.
    pub fn host(&self, name: &str) -> Host {
        let number = self.hosts.fetch_add(1, Ordering::Relaxed) + 1;
        let (port, ip) = (format!("port-{number}"), format!("10.77.0.{number}"));
        run("ip", &["netns", "add", name]);
        run("ip", &["link", "add", &port, "type", "veth", "peer", "name", "eth0", "netns", name]);
        run("ip", &["link", "set", &port, "master", "lab0", "up"]);
        run("ip", &["-n", name, "link", "set", "lo", "up"]);
        run("ip", &["-n", name, "address", "add", &format!("{ip}/24"), "dev", "eth0"]);
        run("ip", &["-n", name, "link", "set", "eth0", "up"]);
        let mac = run("ip", &["-n", name, "-brief", "link", "show", "eth0"]);
        let mac = mac.split_whitespace().nth(2).expect("it has a hardware address").to_owned();
        Host { name: name.to_owned(), port, ip, mac, inside: Mutex::default() }
    }
}

impl Default for Network {
    fn default() -> Self {
        Self::new()
    }
}

/// A host of the lab.
#[derive(Debug)]
pub struct Host {
    name: String,
    port: String,
    ip: String,
    mac: String,
    inside: Mutex<Option<Inside>>,
}

/// A runtime on a thread that lives in the host's network.
#[derive(Debug)]
struct Inside {
    handle: Handle,
    _ends: oneshot::Sender<()>,
}

impl Host {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its address.
    pub fn ip(&self) -> &str {
        &self.ip
    }

    /// What has to stand before a command, so that it runs in this host's network.
    pub fn enter(&self) -> [String; 2] {
        ["nsenter".into(), format!("--net={}", self.namespace())]
    }

    /// Takes the plug out of the switch, with the carrier kept, or puts it back: what a broken switch looks like.
    pub fn plugged(&self, yes: bool) {
        let master: &[&str] = if yes { &["master", "lab0"] } else { &["nomaster"] };
        run("ip", &[&["link", "set", &self.port], master].concat());
    }

    /// Cuts the cable, which the host sees, or mends it.
    pub fn carrier(&self, yes: bool) {
        run("ip", &["link", "set", &self.port, if yes { "up" } else { "down" }]);
    }

    /// From now on it hears nothing of the other's (`false`), or does again. The other way stays as it is.
    pub fn hears(&self, other: &Self, yes: bool) {
        let order = if yes { "-D" } else { "-I" };
        self.filter(&[order, "INPUT", "-i", "eth0", "-m", "mac", "--mac-source", &other.mac, "-j", "DROP"]);
    }

    /// Both ways at once.
    pub fn reaches(&self, other: &Self, yes: bool) {
        self.hears(other, yes);
        other.hears(self, yes);
    }

    /// Whether its interface has an address.
    pub fn has(&self, address: &str) -> bool {
        let shown = run("ip", &["-n", &self.name, "-brief", "address", "show", "dev", "eth0"]);
        shown.split_whitespace().any(|word| word.split('/').next() == Some(address))
    }

    /// Takes the address off its interface, if it is there.
    pub(super) fn forgets(&self, address: &str) {
        run("ip", &["-n", &self.name, "address", "flush", "to", &format!("{address}/32"), "dev", "eth0"]);
    }

    /// A runtime whose tasks run in this host's network.
    pub fn runtime(&self) -> Handle {
        let mut inside = self.inside.lock().expect("nobody panicked with it");
        inside.get_or_insert_with(|| self.start()).handle.clone()
    }

    /// Does something on a thread in this host's network.
    pub fn thread<T: Send + 'static>(&self, body: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
        let namespace = self.namespace();
        std::thread::spawn(move || {
            let namespace = File::open(namespace).expect("the host is there");
            move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network)).expect("this is root");
            body()
        })
    }

    fn start(&self) -> Inside {
        let (started, starts) = std::sync::mpsc::channel();
        let (ends, ended) = oneshot::channel();
        self.thread(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let runtime = runtime.expect("a runtime can be made");
            started.send(runtime.handle().clone()).expect("it is waited for");
            // Ends with an error when the host does, which is the sign.
            let _ = runtime.block_on(ended);
        });
        Inside { handle: starts.recv().expect("the thread starts"), _ends: ends }
    }

    fn namespace(&self) -> String {
        format!("/run/netns/{}", self.name)
    }

    fn filter(&self, rule: &[&str]) {
        let enter = format!("--net={}", self.namespace());
        run("nsenter", &[&[enter.as_str(), "iptables", "-w"], rule].concat());
    }
}
