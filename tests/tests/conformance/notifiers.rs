//! Notifiers that post: what arrives, and what becomes of receivers that are slow, dead, wrong or hostile.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use hmac::{Hmac, KeyInit, Mac};
use odoo_ha_backends::Secret;
use odoo_ha_backends::slack::SlackConfig;
use odoo_ha_backends::webhook::WebhookConfig;
use odoo_ha_core::conformance::{self, NotifierBench};
use odoo_ha_core::error::ErrorKind;
use odoo_ha_core::event::{Event, EventKind, Severity};
use odoo_ha_core::member::{ClusterId, MemberId};
use odoo_ha_core::roles::Notifier;
use odoo_ha_core::term::Term;
use odoo_ha_tests::receiver::{Manner, Receiver};
use rustix::fs::{CWD, Mode, mkfifoat};
use sha2::Sha256;
use tokio::net::TcpSocket;

use crate::timer;

const TIME: Duration = Duration::from_secs(10);

fn webhook(url: String) -> Arc<dyn Notifier> {
    Arc::new(WebhookConfig::new(Secret::new(url)).secret(Secret::new("key")).build().unwrap())
}

fn slack(url: String) -> Arc<dyn Notifier> {
    Arc::new(SlackConfig::new(Secret::new(url)).build().unwrap())
}

fn event(kind: EventKind) -> Event {
    let (cluster, member) = (ClusterId::new("shop").unwrap(), MemberId::new("node_a").unwrap());
    Event::new("node_a-1-2".into(), cluster, member, Term(7), kind, "so it is".into())
}

struct Posting {
    receiver: Receiver,
    dead: Receiver,
    make: fn(String) -> Arc<dyn Notifier>,
    /// Slack is told no id.
    ids: bool,
}

#[async_trait]
impl NotifierBench for Posting {
    fn notifier(&self) -> Arc<dyn Notifier> {
        (self.make)(self.receiver.url())
    }

    async fn arrived(&self) -> Option<Vec<String>> {
        let id = |body: &[u8]| {
            let document: serde_json::Value = serde_json::from_slice(body).unwrap();
            document["id"].as_str().unwrap().to_owned()
        };
        self.ids.then(|| self.receiver.posted().iter().map(|posted| id(&posted.body)).collect())
    }

    fn failing(&self) -> Option<Arc<dyn Notifier>> {
        Some((self.make)(self.dead.url()))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn webhook_and_slack_conform() {
    for (make, ids) in [(webhook as fn(String) -> Arc<dyn Notifier>, true), (slack, false)] {
        let (receiver, dead) = (Receiver::start(Manner::status(204)).await, Receiver::start(Manner::SaysNothing).await);
        let report = conformance::notifier(&Posting { receiver, dead, make, ids }, &timer).await;
        println!("{report}");
        report.assert_passed();
    }
}

#[tokio::test]
async fn what_arrives_is_the_event_and_is_signed() {
    let receiver = Receiver::start(Manner::status(200)).await;
    webhook(receiver.url()).notify(&event(EventKind::DatabaseDied), TIME).await.unwrap();
    let posted = receiver.posted().remove(0);
    let body = String::from_utf8(posted.body.clone()).unwrap();
    let document: serde_json::Value = serde_json::from_str(&body).unwrap();
    for (field, value) in [("id", "node_a-1-2"), ("cluster", "shop"), ("severity", "warning"), ("sentence", "so it is")]
    {
        assert_eq!(document[field], value, "{body}");
    }
    assert_eq!((&document["term"], &document["kind"]["event"]), (&7.into(), &"database_died".into()), "{body}");
    assert!(posted.head.starts_with("post /services/hush http/1.1\r\n"), "{}", posted.head);
    let mut mac = Hmac::<Sha256>::new_from_slice(b"key").unwrap();
    mac.update(&posted.body);
    let digits: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    assert!(posted.head.contains(&format!("x-odoo-ha-signature: sha256={digits}\r\n")), "{}", posted.head);

    slack(receiver.url()).notify(&event(EventKind::Serving), TIME).await.unwrap();
    let posted = receiver.posted().remove(1);
    assert_eq!(String::from_utf8(posted.body).unwrap(), r#"{"text":"shop on node_a (term 7): so it is"}"#);
}

#[tokio::test]
async fn what_is_not_severe_enough_is_not_sent() {
    let receiver = Receiver::start(Manner::status(200)).await;
    let url = || Secret::new(receiver.url());
    let notifiers: [Arc<dyn Notifier>; 2] = [
        Arc::new(WebhookConfig::new(url()).least(Severity::Warning).build().unwrap()),
        Arc::new(SlackConfig::new(url()).least(Severity::Warning).build().unwrap()),
    ];
    for notifier in notifiers {
        for kind in [EventKind::Serving, EventKind::DatabaseDied, EventKind::Refusal { why: "full".into() }] {
            notifier.notify(&event(kind), TIME).await.unwrap();
        }
    }
    assert_eq!(receiver.posted().len(), 4);
}

#[tokio::test]
async fn every_misbehaviour_has_its_kind_and_no_error_names_the_url() {
    // A port where nobody listens, kept from others by being bound.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let closed = format!("http://{}/services/hush", socket.local_addr().unwrap());
    let elsewhere = Receiver::start(Manner::status(200)).await;
    let redirect = format!("HTTP/1.1 307 Away\r\nlocation: {}\r\ncontent-length: 0\r\n\r\n", elsewhere.url());
    let endless = "HTTP/1.1 500 Error\r\ncontent-length: 999999999999\r\n\r\nbegins".to_owned();
    let cases = [
        (Manner::status(500), ErrorKind::Unavailable),
        (Manner::Says(endless), ErrorKind::Unavailable),
        (Manner::status(429), ErrorKind::Unavailable),
        (Manner::status(401), ErrorKind::Denied),
        (Manner::status(404), ErrorKind::Misconfigured),
        (Manner::Says(redirect), ErrorKind::Misconfigured),
        (Manner::Says("SSH-2.0-OpenSSH_9.2\r\n\r\n".into()), ErrorKind::Unknown),
        (Manner::HangsUp, ErrorKind::Unknown),
        (Manner::SaysNothing, ErrorKind::Unknown),
        (Manner::Drips, ErrorKind::Unknown),
    ];
    let mut trials = vec![(closed, ErrorKind::Unavailable, "nobody listens".to_owned())];
    for (manner, kind) in cases {
        trials.push((Receiver::start(manner.clone()).await.url(), kind, format!("{manner:?}")));
    }
    for (url, kind, what) in trials {
        for make in [webhook as fn(String) -> Arc<dyn Notifier>, slack] {
            let (notifier, began) = (make(url.clone()), Instant::now());
            let error = notifier.notify(&event(EventKind::Serving), Duration::from_millis(500)).await.unwrap_err();
            assert_eq!(error.kind(), kind, "{what}: {}", error.chain());
            assert!(began.elapsed() < TIME, "{what}");
            let said = format!("{} {notifier:?}", error.chain());
            assert!(!said.contains("hush") && !said.contains("key"), "{what}: {said}");
        }
    }
    assert!(elsewhere.posted().is_empty(), "a redirect was followed");
}

#[test]
fn a_url_that_is_none_is_refused_and_not_repeated() {
    for url in ["hush", "ftp://hush/", "http://", "/services/hush", "file:///hush"] {
        let refused = WebhookConfig::new(Secret::new(url)).build().unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Misconfigured, "{url}");
        assert!(!refused.chain().contains("hush"), "{}", refused.chain());
    }
    let refused = SlackConfig::new(Secret::new("https://hooks.example/hush")).ca_file("/nowhere/ca.pem").build();
    assert!(refused.unwrap_err().to_string().contains("/nowhere/ca.pem"));
    let refused = WebhookConfig::new(Secret::new("http://a/")).secret(Secret::from_file("/nowhere/key")).build();
    assert!(refused.unwrap_err().to_string().contains("/nowhere/key"));
}

/// A secret on a share that hangs: opening a FIFO that nobody writes to does the same.
#[tokio::test]
async fn a_secret_that_hangs_costs_no_more_than_the_time_there_is() {
    let receiver = Receiver::start(Manner::status(200)).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("secret");
    std::fs::write(&file, "key").unwrap();
    let config = WebhookConfig::new(Secret::new(receiver.url())).secret(Secret::from_file(&file));
    let notifier = config.build().unwrap();
    std::fs::remove_file(&file).unwrap();
    mkfifoat(CWD, &file, Mode::RUSR | Mode::WUSR).unwrap();
    // On one thread: were it blocked, this test's own clock would stand still with it. Somebody writes in the end, so that no thread is left waiting.
    let (answered, answer) = std::sync::mpsc::channel();
    let writer = std::thread::spawn({
        let file = file.clone();
        move || {
            let answer = answer.recv_timeout(TIME);
            std::fs::write(&file, "key\n").unwrap();
            answer.expect("it answers before the secret does");
        }
    });
    let (began, given) = (Instant::now(), Duration::from_millis(200));
    let error = notifier.notify(&event(EventKind::Serving), given).await.unwrap_err();
    assert!(answered.send(()).is_ok() && began.elapsed() < TIME);
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{}", error.chain());
    assert!(error.to_string().contains("was not read within"), "{error}");
    writer.join().unwrap();
    assert!(receiver.posted().is_empty(), "nothing is sent late, or unsigned");
}
