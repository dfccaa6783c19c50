//! Members by DNS SRV, from a name server of the test's own.

use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use odoo_ha_backends::etcd::EtcdConfig;
use odoo_ha_core::error::ErrorKind;
use odoo_ha_core::roles::Dcs;

use crate::support::{NEW, Plan, cluster, put, value};

/// Answers every question for SRV records with these ports of `localhost` (RFC 1035, 2782), with the first as the most wanted.
struct NameServer {
    address: SocketAddr,
    ports: Arc<Mutex<Vec<u16>>>,
    silent: Arc<AtomicBool>,
    asked: Arc<Mutex<Vec<String>>>,
    over: Arc<AtomicBool>,
}

impl NameServer {
    fn start(ports: Vec<u16>) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        let server = Self {
            address: socket.local_addr().unwrap(),
            ports: Arc::new(Mutex::new(ports)),
            silent: Arc::default(),
            asked: Arc::default(),
            over: Arc::default(),
        };
        let (ports, silent) = (Arc::clone(&server.ports), Arc::clone(&server.silent));
        let (asked, over) = (Arc::clone(&server.asked), Arc::clone(&server.over));
        std::thread::spawn(move || {
            let mut question = [0; 512];
            while !over.load(Ordering::SeqCst) {
                let Ok((length, from)) = socket.recv_from(&mut question) else { continue };
                let (answer, name) = answer(&question[..length], &ports.lock().unwrap());
                asked.lock().unwrap().push(name);
                if !silent.load(Ordering::SeqCst) {
                    socket.send_to(&answer, from).unwrap();
                }
            }
        });
        server
    }
}

impl Drop for NameServer {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
    }
}

fn answer(question: &[u8], ports: &[u16]) -> (Vec<u8>, String) {
    let mut name = Vec::new();
    let mut at = 12;
    while question[at] != 0 {
        let end = at + 1 + usize::from(question[at]);
        name.push(String::from_utf8_lossy(&question[at + 1..end]).into_owned());
        at = end;
    }
    // The header: the same id, an answer, no error; one question, the answers, nothing more.
    let mut answer = question[..2].to_vec();
    answer.extend([0x81, 0x80, 0, 1, 0, ports.len() as u8, 0, 0, 0, 0]);
    answer.extend(&question[12..at + 5]);
    for (priority, port) in ports.iter().enumerate() {
        let mut record = vec![0, priority as u8, 0, 10];
        record.extend(port.to_be_bytes());
        record.extend(b"\x09localhost\0");
        // The name of the question, SRV, IN, for one second.
        answer.extend([0xc0, 12, 0, 33, 0, 1, 0, 0, 0, 1, 0, record.len() as u8]);
        answer.extend(record);
    }
    (answer, name.join("."))
}

fn config(server: &NameServer) -> EtcdConfig {
    EtcdConfig::discover(cluster("shop"), "example.test").name_server(server.address)
}

#[tokio::test(flavor = "multi_thread")]
async fn members_are_found_and_found_again() {
    // Names come from the machine, so all members have the same: they differ by their ports.
    let (one, two) = (Plan::new(NEW, 1).serving().await, Plan::new(NEW, 1).serving().await);
    let dead = 1;
    let server = NameServer::start(vec![dead, one.members[0].client.port()]);
    let store = config(&server).build().unwrap();
    put(&store, "found").await;
    assert_eq!(value(&one.open()).await.unwrap(), b"found");
    let asked = server.asked.lock().unwrap().first().cloned();
    assert_eq!(asked.unwrap().to_lowercase(), "_etcd-client._tcp.example.test");
    // DNS falls silent: what is known goes on.
    server.silent.store(true, Ordering::SeqCst);
    put(&store, "known").await;
    // All members move: it is noticed when none answers any more.
    server.silent.store(false, Ordering::SeqCst);
    *server.ports.lock().unwrap() = vec![two.members[0].client.port()];
    one.members[0].process.kill();
    put(&store, "moved").await;
    assert_eq!(value(&two.open()).await.unwrap(), b"moved");
}

#[tokio::test(flavor = "multi_thread")]
async fn dns_that_is_silent_or_empty_is_unavailable_in_time() {
    let server = NameServer::start(vec![]);
    for silent in [false, true] {
        server.silent.store(silent, Ordering::SeqCst);
        let store = config(&server).build().unwrap();
        let begun = std::time::Instant::now();
        let time = Duration::from_millis(400);
        let read = store.read(time).await.unwrap_err();
        let committed = store.commit(&crate::support::write(vec![], "x"), time).await.unwrap_err();
        let watched = store.watch(odoo_ha_core::store::Revision(0), time).await.unwrap_err();
        for error in [read, committed, watched] {
            assert_eq!(error.kind(), ErrorKind::Unavailable, "{}", error.chain());
        }
        assert!(begun.elapsed() < 3 * time + Duration::from_secs(5), "{:?}", begun.elapsed());
    }
}
