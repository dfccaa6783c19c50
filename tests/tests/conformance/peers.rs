//! Ways from member to member, and the suite against some that are broken on purpose.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use odoo_ha_backends::Secret;
use odoo_ha_backends::memory::MemoryPeers;
use odoo_ha_backends::peers_http::HttpPeersConfig;
use odoo_ha_core::conformance::{self, PeersBench, PeersPair};
use odoo_ha_core::error::{Error, ErrorKind};
use odoo_ha_core::failsafe::{Question, Reply};
use odoo_ha_core::roles::{Asked, Peers};
use odoo_ha_tests::stores::free_port;
use tokio::net::TcpListener;
use tokio::sync::Mutex;

use crate::timer;

const LOCAL: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

struct Http {
    /// Nobody ever accepts what the kernel has.
    hanging: TcpListener,
}

fn member(secret: &str) -> Arc<dyn Peers> {
    let listen = SocketAddr::new(LOCAL, free_port(LOCAL));
    Arc::new(HttpPeersConfig::new(listen, Secret::new(secret)).build().unwrap())
}

#[async_trait]
impl PeersBench for Http {
    async fn pair(&self) -> Result<PeersPair, Error> {
        Ok((member("the secret of all of us"), member("the secret of all of us")))
    }

    async fn nobody(&self) -> String {
        format!("http://127.0.0.1:{}", free_port(LOCAL))
    }

    async fn hanging(&self) -> Option<String> {
        Some(format!("http://{}", self.hanging.local_addr().unwrap()))
    }

    async fn stranger(&self) -> Option<Arc<dyn Peers>> {
        Some(member("the secret of others..."))
    }
}

#[tokio::test]
async fn http_peers_conform() {
    let bench = Http { hanging: TcpListener::bind("127.0.0.1:0").await.unwrap() };
    let report = conformance::peers(&bench, &timer).await;
    println!("{report}");
    report.assert_passed();
}

#[tokio::test(flavor = "multi_thread")]
async fn http_peers_conform_on_several_threads() {
    let bench = Http { hanging: TcpListener::bind("127.0.0.1:0").await.unwrap() };
    conformance::peers(&bench, &timer).await.assert_passed();
}

struct Memory;

#[async_trait]
impl PeersBench for Memory {
    async fn pair(&self) -> Result<PeersPair, Error> {
        let a = MemoryPeers::new();
        Ok((Arc::new(a.clone()), Arc::new(a.another_member())))
    }

    async fn nobody(&self) -> String {
        "memory:nobody".into()
    }

    async fn hanging(&self) -> Option<String> {
        None
    }
}

#[tokio::test]
async fn memory_peers_conform() {
    let report = conformance::peers(&Memory, &timer).await;
    println!("{report}");
    report.assert_passed();
}

#[tokio::test]
async fn a_silent_member_in_memory_neither_asks_nor_hears() {
    let a = MemoryPeers::new();
    let b = a.another_member();
    let (name, time) = (|name: &str| name.parse().unwrap(), Duration::from_millis(20));
    let question = Question {
        cluster: "shop".parse().unwrap(),
        from: name("node_a"),
        to: name("node_b"),
        mark: Default::default(),
        ttl_ms: 1,
        round: (1, 1),
    };
    b.set_silent(true);
    assert_eq!(a.ask(&b.address(), &question, time).await.unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!(b.ask(&a.address(), &question, time).await.unwrap_err().kind(), ErrorKind::Unavailable);
    b.set_silent(false);
    let at = b.address();
    let (reply, ()) = tokio::join!(a.ask(&at, &question, Duration::from_secs(10)), async {
        b.next().await.unwrap().answer(Reply::Accepted);
    });
    assert_eq!(reply.unwrap(), Reply::Accepted);
}

/// What is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// No answer is taken for an acceptance.
    SilenceIsLeave,
    /// A reply is given to whoever asked last.
    GivesTheLastReply,
    /// Why it was refused is cut.
    CutsReasons,
    /// Large numbers are rounded, as by a reader that knows only doubles.
    RoundsNumbers,
    /// The timeout is not looked at.
    NoTimeouts,
    /// A question is shown twice.
    Repeats,
    /// A dropped wait keeps others from waiting.
    DroppedWaitsLock,
    /// The address is a description.
    LongAddress,
    /// Nothing is denied to anybody.
    AnybodyIsMember,
}

/// A member that is broken in one way.
#[derive(Debug)]
struct Broken {
    inner: Arc<dyn Peers>,
    fault: Fault,
    last: Mutex<Option<Reply>>,
    waits: AtomicU64,
    again: Mutex<Option<Question>>,
}

#[async_trait]
impl Peers for Broken {
    fn address(&self) -> String {
        match self.fault {
            Fault::LongAddress => self.inner.address() + &" ".repeat(300),
            _ => self.inner.address(),
        }
    }

    async fn ask(&self, at: &str, question: &Question, timeout: Duration) -> Result<Reply, Error> {
        let mut question = question.clone();
        if self.fault == Fault::RoundsNumbers {
            question.round.1 = question.round.1 as f64 as u64;
        }
        // As fast as the timer of the suite.
        let time = if self.fault == Fault::NoTimeouts { Duration::from_secs(3600) } else { timeout / 20 };
        let reply = self.inner.ask(at.trim_end(), &question, time).await;
        match (self.fault, reply) {
            (Fault::SilenceIsLeave, Err(_)) => Ok(Reply::Accepted),
            (Fault::CutsReasons, Ok(Reply::Refused(why))) => Ok(Reply::Refused(why.chars().take(20).collect())),
            (Fault::GivesTheLastReply, Ok(reply)) => {
                let mut last = self.last.lock().await;
                Ok(last.get_or_insert(reply).clone())
            }
            (_, reply) => reply,
        }
    }

    async fn next(&self) -> Result<Asked, Error> {
        if self.fault == Fault::Repeats
            && let Some(question) = self.again.lock().await.take()
        {
            return Ok(Asked::new(question, |_| ()));
        }
        if self.fault == Fault::DroppedWaitsLock && self.waits.fetch_add(1, Ordering::SeqCst) > 0 {
            return std::future::pending().await;
        }
        let asked = self.inner.next().await;
        self.waits.store(0, Ordering::SeqCst);
        if self.fault == Fault::Repeats
            && let Ok(asked) = &asked
        {
            *self.again.lock().await = Some(asked.question.clone());
        }
        asked
    }
}

struct BrokenBench(Fault);

impl BrokenBench {
    fn broken(&self, inner: MemoryPeers) -> Arc<dyn Peers> {
        Arc::new(Broken {
            inner: Arc::new(inner),
            fault: self.0,
            last: Mutex::default(),
            waits: AtomicU64::new(0),
            again: Mutex::default(),
        })
    }
}

#[async_trait]
impl PeersBench for BrokenBench {
    async fn pair(&self) -> Result<PeersPair, Error> {
        let a = MemoryPeers::new();
        let b = a.another_member();
        Ok((self.broken(a), self.broken(b)))
    }

    async fn nobody(&self) -> String {
        "memory:nobody".into()
    }

    async fn stranger(&self) -> Option<Arc<dyn Peers>> {
        (self.0 == Fault::AnybodyIsMember).then(|| self.broken(MemoryPeers::new()))
    }
}

/// Runs the suite over a broken implementation and demands that this check, among others or alone, finds it.
async fn caught(fault: Fault, by: &str) {
    let report = conformance::peers(&BrokenBench(fault), &crate::hasty_timer).await;
    let names: Vec<_> = report.failures().map(|(name, _)| name).collect();
    println!("{fault:?}: {names:?}");
    assert!(names.contains(&by), "{fault:?} was not caught by {by} but by {names:?}\n{report}");
}

#[tokio::test]
async fn broken_ways_are_caught() {
    caught(Fault::SilenceIsLeave, "a_dropped_question_is_no_reply").await;
    caught(Fault::SilenceIsLeave, "nobody_there_is_unavailable").await;
    caught(Fault::GivesTheLastReply, "replies_are_not_swapped").await;
    caught(Fault::CutsReasons, "a_reply_comes_back_as_it_was_given").await;
    caught(Fault::RoundsNumbers, "a_question_arrives_as_it_was_asked").await;
    caught(Fault::NoTimeouts, "a_question_without_answer_costs_its_time").await;
    caught(Fault::Repeats, "a_question_arrives_once").await;
    caught(Fault::DroppedWaitsLock, "a_dropped_next_loses_nothing_for_good").await;
    caught(Fault::LongAddress, "its_address_is_short_and_can_be_asked").await;
    caught(Fault::AnybodyIsMember, "a_stranger_is_denied").await;
}
