//! A TCP proxy that can be told to fail.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::thread::JoinHandle;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// What a proxy does with its connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mood {
    /// Bytes pass.
    Open,
    /// Connections are closed, new ones as soon as they are made.
    Cut,
    /// Connections are accepted and held, and nothing passes in either direction. What was sent passes when it is open again.
    Stall,
    /// What clients send passes, what is answered is held.
    Mute,
}

#[derive(Clone, Debug)]
struct Rules {
    everybody: Mood,
    /// By process id of the client.
    processes: BTreeMap<u32, Mood>,
    over: bool,
}

/// A proxy before one server, on a thread of its own. It ends with its value.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    rules: watch::Sender<Rules>,
    thread: Option<JoinHandle<()>>,
}

impl Proxy {
    /// Listens on a free port of this address, or on a certain one where the port is not 0, and forwards to the target.
    pub fn start(listen: SocketAddr, target: SocketAddr) -> Self {
        let listener = std::net::TcpListener::bind(listen).expect("the address is this machine's");
        listener.set_nonblocking(true).expect("sockets can be");
        let address = listener.local_addr().expect("it is bound");
        let (rules, heard) = watch::channel(Rules { everybody: Mood::Open, processes: BTreeMap::new(), over: false });
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime can be made");
        let thread = std::thread::spawn(move || runtime.block_on(accept(listener, target, heard)));
        Self { address, rules, thread: Some(thread) }
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on, for whomever no other mood is set.
    pub fn set(&self, mood: Mood) {
        self.rules.send_modify(|rules| rules.everybody = mood);
    }

    /// From now on, for the connections of one process of this machine and user.
    pub fn set_for(&self, process: u32, mood: Mood) {
        self.rules.send_modify(|rules| {
            rules.processes.insert(process, mood);
        });
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.rules.send_modify(|rules| rules.over = true);
        if let Some(thread) = self.thread.take() {
            // A panic in it has been printed.
            let _ = thread.join();
        }
    }
}

async fn accept(listener: std::net::TcpListener, target: SocketAddr, mut rules: watch::Receiver<Rules>) {
    let listener = TcpListener::from_std(listener).expect("it is a listener");
    let mut over = rules.clone();
    loop {
        tokio::select! {
            _ = over.wait_for(|rules| rules.over) => return,
            accepted = listener.accept() => {
                let Ok((client, peer)) = accepted else { continue };
                rules.mark_unchanged();
                let inode = inode_of(peer);
                let link = Link { inode, rules: rules.clone() };
                tokio::spawn(serve(client, target, link));
            }
        }
    }
}

/// What both directions of one connection know.
#[derive(Clone)]
struct Link {
    /// The client's socket, as the kernel counts them; `None`: it was not found.
    inode: Option<u64>,
    rules: watch::Receiver<Rules>,
}

impl Link {
    /// The mood for this connection, now.
    fn mood(&mut self) -> Mood {
        let rules = self.rules.borrow_and_update().clone();
        let Some(inode) = self.inode else {
            // One that cannot be told from others would slip through a partition: it has to connect again.
            return if rules.processes.is_empty() { rules.everybody } else { Mood::Cut };
        };
        let owner = rules.processes.iter().find(|(process, _)| owns(**process, inode));
        owner.map_or(rules.everybody, |(_, mood)| *mood)
    }

    /// Waits until this holds of the mood; `false` when connections are cut.
    async fn wait_until(&mut self, passes: fn(Mood) -> bool) -> bool {
        loop {
            let mood = self.mood();
            if mood == Mood::Cut {
                return false;
            }
            if passes(mood) {
                return true;
            }
            if self.rules.changed().await.is_err() {
                return false;
            }
        }
    }
}

async fn serve(client: TcpStream, target: SocketAddr, mut link: Link) {
    if !link.wait_until(|mood| mood != Mood::Stall).await {
        return;
    }
    let Ok(server) = TcpStream::connect(target).await else { return };
    // Latency would be the proxy's own doing.
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
    // Either end ends both.
    tokio::select! {
        () = pump(from_client, to_server, link.clone(), |mood| matches!(mood, Mood::Open | Mood::Mute)) => {}
        () = pump(from_server, to_client, link, |mood| mood == Mood::Open) => {}
    }
}

async fn pump(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut link: Link, passes: fn(Mood) -> bool) {
    let mut buffer = vec![0; 64 * 1024];
    while link.wait_until(passes).await {
        tokio::select! {
            changed = link.rules.changed() => if changed.is_err() { return },
            read = from.read(&mut buffer) => match read {
                // The mood may have changed since: nothing passes that was read too late.
                Ok(count) if count > 0 => {
                    if !link.wait_until(passes).await || to.write_all(&buffer[..count]).await.is_err() {
                        return;
                    }
                }
                _ => return,
            }
        }
    }
}

/// How often the kernel's table of sockets is read: it is told in parts, and what changes between two parts may hide a socket.
const MOST_LOOKS: usize = 10;

/// The kernel's number of the socket that is bound to this local address (proc(5), `/proc/net/tcp`).
fn inode_of(local: SocketAddr) -> Option<u64> {
    let IpAddr::V4(ip) = local.ip() else { return None };
    let wanted = format!("{:08X}:{:04X}", u32::from_ne_bytes(ip.octets()), local.port());
    let look = || {
        let table = std::fs::read_to_string("/proc/net/tcp").ok()?;
        table.lines().find_map(|line| {
            let mut fields = line.split_whitespace().skip(1);
            (fields.next()? == wanted).then(|| fields.nth(7)?.parse().ok())?
        })
    };
    // 0 is a connection whose process has closed it: nobody waits there any more.
    (0..MOST_LOOKS).find_map(|_| look()).filter(|inode| *inode != 0)
}

/// Whether the process has this socket open.
fn owns(process: u32, inode: u64) -> bool {
    let wanted = format!("socket:[{inode}]");
    let Ok(files) = std::fs::read_dir(format!("/proc/{process}/fd")) else { return false };
    files.flatten().any(|file| std::fs::read_link(file.path()).is_ok_and(|link| link.as_os_str() == wanted.as_str()))
}
