//! Members, questions, and somebody between them.

use std::fmt::Debug;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use odoo_ha_backends::Secret;
use odoo_ha_backends::peers_http::{HttpPeers, HttpPeersConfig};
use odoo_ha_core::error::{Error, ErrorKind};
use odoo_ha_core::failsafe::{Question, Reply};
use odoo_ha_core::roles::{Asked, Peers};
use odoo_ha_core::term::{Mark, Term};
use odoo_ha_tests::stores::{eventually, free_port};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// For what should simply work.
pub(crate) const TIME: Duration = Duration::from_secs(20);

pub(crate) const SECRET: &str = "the secret of all of us";

const LOCAL: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// Where nobody listens yet.
pub(crate) fn free_address() -> SocketAddr {
    SocketAddr::new(LOCAL, free_port(LOCAL))
}

pub(crate) fn config(listen: SocketAddr) -> HttpPeersConfig {
    HttpPeersConfig::new(listen, Secret::new(SECRET))
}

/// A member that was never asked and does not listen.
pub(crate) fn member() -> Arc<HttpPeers> {
    Arc::new(config(free_address()).build().unwrap())
}

/// Asked by node_a of node_b for the n-th time.
pub(crate) fn question(number: u64) -> Question {
    Question {
        cluster: "shop".parse().unwrap(),
        from: "node_a".parse().unwrap(),
        to: "node_b".parse().unwrap(),
        mark: Mark { term: Term(7), sequence: 70 },
        ttl_ms: 5_000,
        round: (1, number),
    }
}

pub(crate) async fn ask(asker: &HttpPeers, at: &str, number: u64) -> Result<Reply, Error> {
    asker.ask(at, &question(number), TIME).await
}

#[track_caller]
pub(crate) fn is<T: Debug>(kind: ErrorKind, result: Result<T, Error>) -> String {
    let error = result.expect_err("it should have failed");
    assert_eq!(error.kind(), kind, "{}", error.chain());
    error.chain()
}

/// A member that answers, until it is dropped.
pub(crate) struct Listening {
    pub(crate) address: SocketAddr,
    heard: Arc<Mutex<Vec<Question>>>,
    task: JoinHandle<()>,
}

impl Listening {
    /// Listens by now.
    pub(crate) async fn start(peers: HttpPeers, answer: impl Fn(Asked) + Send + 'static) -> Self {
        let address: SocketAddr = peers.address().trim_start_matches("http://").parse().unwrap();
        let heard = Arc::<Mutex<Vec<Question>>>::default();
        let kept = Arc::clone(&heard);
        let task = tokio::spawn(async move {
            loop {
                match peers.next().await {
                    Ok(asked) => {
                        kept.lock().unwrap().push(asked.question.clone());
                        answer(asked);
                    }
                    Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
                }
            }
        });
        let listens = async || TcpStream::connect(address).await.ok();
        drop(eventually("it listens", TIME, listens).await);
        Self { address, heard, task }
    }

    /// Accepts everything.
    pub(crate) async fn accepting() -> Self {
        Self::start(config(free_address()).build().unwrap(), |asked| asked.answer(Reply::Accepted)).await
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What its machine was asked.
    pub(crate) fn heard(&self) -> Vec<Question> {
        self.heard.lock().unwrap().clone()
    }

    /// As its agent dies.
    pub(crate) async fn stop(mut self) {
        self.task.abort();
        let _ = (&mut self.task).await;
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What somebody between two members makes of a request or a response.
type Twist = Box<dyn FnMut(Vec<u8>) -> Vec<u8> + Send>;

/// Somebody between two members who sees and changes what they say.
pub(crate) struct Between {
    pub(crate) address: SocketAddr,
    requests: Arc<Mutex<Vec<Vec<u8>>>>,
    task: JoinHandle<()>,
}

impl Between {
    pub(crate) async fn start(
        target: SocketAddr,
        request: impl FnMut(Vec<u8>) -> Vec<u8> + Send + 'static,
        response: impl FnMut(Vec<u8>) -> Vec<u8> + Send + 'static,
    ) -> Self {
        let listener = TcpListener::bind((LOCAL, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::<Mutex<Vec<Vec<u8>>>>::default();
        let kept = Arc::clone(&requests);
        let (mut request, mut response): (Twist, Twist) = (Box::new(request), Box::new(response));
        let task = tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let asked = read_request(&mut client).await;
                kept.lock().unwrap().push(asked.clone());
                let answer = exchange(target, &request(asked)).await;
                let _ = client.write_all(&response(answer)).await;
            }
        });
        Self { address, requests, task }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// All requests, as they came.
    pub(crate) fn requests(&self) -> Vec<Vec<u8>> {
        self.requests.lock().unwrap().clone()
    }
}

impl Drop for Between {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Sends these bytes and gives all that comes back until the other side closes.
pub(crate) async fn exchange(to: SocketAddr, bytes: &[u8]) -> Vec<u8> {
    let talk = async {
        let mut stream = TcpStream::connect(to).await.unwrap();
        // The other side may have heard enough.
        let _ = stream.write_all(bytes).await;
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        answer
    };
    tokio::time::timeout(TIME, talk).await.expect("it closes")
}

/// A whole request, or what came of it.
pub(crate) async fn read_request(stream: &mut TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        if let Some(head) = end_of_head(&bytes) {
            let text = String::from_utf8_lossy(&bytes[..head]).to_lowercase();
            let length = text.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
            if bytes.len() >= head + length.unwrap_or(0) {
                return bytes;
            }
        }
        if !stream.read_buf(&mut bytes).await.is_ok_and(|read| read > 0) {
            return bytes;
        }
    }
}

fn end_of_head(bytes: &[u8]) -> Option<usize> {
    bytes.windows(4).position(|end| end == b"\r\n\r\n").map(|at| at + 4)
}

/// The status of a response; `None` when it is none.
pub(crate) fn status(response: &[u8]) -> Option<u16> {
    let text = String::from_utf8_lossy(response);
    text.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()
}

/// With another text in it. The body keeps its length only if the texts have the same.
pub(crate) fn replaced(bytes: &[u8], from: &str, to: &str) -> Vec<u8> {
    let text = String::from_utf8(bytes.to_vec()).unwrap();
    assert!(text.contains(from), "{from} is in {text}");
    text.replace(from, to).into_bytes()
}

/// A request with this body and, if any, this tag.
pub(crate) fn request(tag: Option<&str>, body: &[u8]) -> Vec<u8> {
    let tag = tag.map(|tag| format!("odoo-ha-tag: {tag}\r\n")).unwrap_or_default();
    let length = body.len();
    let head = format!("POST /odoo-ha/peers/1 HTTP/1.1\r\nhost: node_b\r\ncontent-length: {length}\r\n{tag}\r\n");
    [head.as_bytes(), body].concat()
}
