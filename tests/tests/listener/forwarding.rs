//! What goes through the address, and what a detach leaves of it.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use odoo_ha_backends::listener::{ListenerAddress, ListenerConfig, Target};
use odoo_ha_core::roles::FloatingIp;
use odoo_ha_core::term::Term;
use tokio::runtime::Runtime;

use crate::{PATIENCE, free_address, wait_until};

const TEN_MB: usize = 10 * 1024 * 1024;

/// An attached address. Its runtime runs only while it is asked something: what is forwarded is forwarded without it.
struct Attached {
    runtime: Runtime,
    address: ListenerAddress,
    listen: SocketAddr,
}

impl Attached {
    fn to(target: Target) -> Self {
        Self::with(ListenerConfig::new(free_address(), target))
    }

    fn with(config: ListenerConfig) -> Self {
        let listen = config.listen;
        let address = config.build().expect("it is right");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime is had");
        runtime.block_on(address.attach(Term(1), PATIENCE)).expect("nobody has it");
        Self { runtime, address, listen }
    }

    fn connect(&self) -> TcpStream {
        let client = TcpStream::connect(self.listen).expect("it listens");
        client.set_read_timeout(Some(PATIENCE)).expect("it is no zero");
        client
    }

    fn detach(&self) {
        self.runtime.block_on(self.address.detach(PATIENCE)).expect("it is ours");
    }
}

fn tcp(service: &TcpListener) -> Target {
    Target::Tcp(service.local_addr().expect("it is bound").to_string())
}

fn service() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").expect("a port is free")
}

/// Bytes that no two places have in common for long.
fn bytes(seed: u32) -> Vec<u8> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    };
    (0..TEN_MB).map(|_| next()).collect()
}

/// Sends ten megabytes each way at once; each side closes its writing half after its own and goes on reading.
fn exchange(
    mut client: TcpStream,
    mut served: impl Read + Write + Send + 'static,
    mut reading: impl Read + Send + 'static,
    end: impl FnOnce() + Send + 'static,
) {
    let (there, back) = (bytes(1), bytes(2));
    let answer = back.clone();
    let writer = thread::spawn(move || {
        served.write_all(&answer).expect("it is forwarded");
        end();
    });
    let reader = thread::spawn(move || {
        let mut received = Vec::new();
        reading.read_to_end(&mut received).expect("it ends in order");
        received
    });
    let mut hearing = client.try_clone().expect("descriptors are left");
    let sent = there.clone();
    let sender = thread::spawn(move || {
        client.write_all(&sent).expect("it is forwarded");
        client.shutdown(Shutdown::Write).expect("it is open");
    });
    let mut received = Vec::new();
    hearing.read_to_end(&mut received).expect("it ends in order");
    assert!(received == back, "what the service sent arrives as it was");
    assert!(reader.join().expect("it read") == there, "what the client sent arrives as it was");
    writer.join().expect("it wrote");
    sender.join().expect("it wrote");
}

#[test]
fn ten_megabytes_each_way_arrive_as_they_were() {
    let service = service();
    let attached = Attached::to(tcp(&service));
    let client = attached.connect();
    let (served, _) = service.accept().expect("it is handed on");
    let (reading, ending) = (served.try_clone().expect("one more"), served.try_clone().expect("one more"));
    exchange(client, served, reading, move || ending.shutdown(Shutdown::Write).expect("it is open"));
}

#[test]
fn a_service_on_a_unix_socket_is_reached_too() {
    let directory = tempfile::tempdir().expect("there is room");
    let path = directory.path().join("service");
    let service = UnixListener::bind(&path).expect("there is room");
    let attached = Attached::to(Target::Unix(path));
    let client = attached.connect();
    let (served, _) = service.accept().expect("it is handed on");
    let (reading, ending) = (served.try_clone().expect("one more"), served.try_clone().expect("one more"));
    exchange(client, served, reading, move || ending.shutdown(Shutdown::Write).expect("it is open"));
}

#[test]
fn a_service_is_found_by_name() {
    let service = service();
    let port = service.local_addr().expect("it is bound").port();
    let attached = Attached::to(Target::Tcp(format!("localhost:{port}")));
    let mut client = attached.connect();
    client.write_all(b"x").expect("it is forwarded");
    let (mut served, _) = service.accept().expect("it is handed on");
    served.read_exact(&mut [0]).expect("it arrives");
}

#[test]
fn detach_resets_everything_that_is_open() {
    const CLIENTS: usize = 100;
    let service = service();
    let attached = Attached::to(tcp(&service));
    let mut open: Vec<(TcpStream, TcpStream)> =
        (0..CLIENTS).map(|_| (attached.connect(), service.accept().expect("it is handed on").0)).collect();
    for (client, served) in &mut open {
        client.write_all(b"x").expect("it is forwarded");
        served.read_exact(&mut [0]).expect("it arrives");
    }
    let began = Instant::now();
    attached.detach();
    let detached = began.elapsed();
    for (client, served) in &mut open {
        for side in [client, served] {
            let ended = side.read(&mut [0]).expect_err("it is reset, not ended");
            assert_eq!(ended.kind(), ErrorKind::ConnectionReset);
        }
    }
    let closed = began.elapsed();
    println!(
        "detach of {CLIENTS} connections: answered after {} µs, all reset after {} µs",
        detached.as_micros(),
        closed.as_micros()
    );
    assert!(closed < Duration::from_millis(100), "{closed:?}");
    let refused = TcpStream::connect(attached.listen).expect_err("nobody listens");
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
}

#[test]
fn detach_does_not_wait_for_a_reader_that_is_slow() {
    let service = service();
    let attached = Attached::to(tcp(&service));
    let client = attached.connect();
    let (mut served, _) = service.accept().expect("it is handed on");
    let written = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&written);
    let writer = thread::spawn(move || {
        while let Ok(more) = served.write(&[0; 65536]) {
            count.fetch_add(more, Ordering::Relaxed);
        }
    });
    // A reader that does not read stops the writer: nothing is queued without end.
    let mut before = usize::MAX;
    wait_until("the writer stands still", || {
        std::thread::sleep(Duration::from_millis(200));
        let now = written.load(Ordering::Relaxed);
        now == std::mem::replace(&mut before, now) && now > 0
    });
    assert!(before < 64 * 1024 * 1024, "{before} bytes are queued");
    let began = Instant::now();
    attached.detach();
    writer.join().expect("it is reset");
    assert!(began.elapsed() < Duration::from_millis(100), "{:?}", began.elapsed());
    drop(client);
}

#[test]
fn a_service_that_breaks_off_is_seen_as_broken_off() {
    let service = service();
    let attached = Attached::to(tcp(&service));
    let mut client = attached.connect();
    let (served, _) = service.accept().expect("it is handed on");
    rustix::net::sockopt::set_socket_linger(&served, Some(Duration::ZERO)).expect("it is a socket");
    drop(served);
    let ended = client.read(&mut [0]).expect_err("it is no ordinary end");
    assert_eq!(ended.kind(), ErrorKind::ConnectionReset);
}

#[test]
fn a_service_that_is_not_there_resets_the_client() {
    let attached = Attached::to(Target::Tcp(free_address().to_string()));
    let ended = attached.connect().read(&mut [0]).expect_err("it is reset");
    assert_eq!(ended.kind(), ErrorKind::ConnectionReset);
}

#[test]
fn a_service_that_does_not_accept_is_waited_for_within_bounds() {
    let directory = tempfile::tempdir().expect("there is room");
    let path = directory.path().join("service");
    // Nobody accepts, and the queue is full: connecting to it waits.
    let socket = rustix::net::socket(rustix::net::AddressFamily::UNIX, rustix::net::SocketType::STREAM, None)
        .expect("a socket is had");
    let address = rustix::net::SocketAddrUnix::new(&path).expect("it is short");
    rustix::net::bind(&socket, &address).expect("there is room");
    rustix::net::listen(&socket, 0).expect("it is bound");
    let config = ListenerConfig::new(free_address(), Target::Unix(path)).connect_timeout(Duration::from_millis(300));
    let attached = Attached::with(config);
    let _first = attached.connect();
    let began = Instant::now();
    let ended = attached.connect().read(&mut [0]).expect_err("it is reset");
    assert_eq!(ended.kind(), ErrorKind::ConnectionReset);
    let waited = began.elapsed();
    assert!(waited >= Duration::from_millis(300) && waited < PATIENCE, "{waited:?}");
}
