//! Who knows the secret, who does not, and that nobody sees it.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use odoo_ha_backends::Secret;
use odoo_ha_backends::peers_http::{HttpPeers, HttpPeersConfig};
use odoo_ha_core::error::ErrorKind;
use odoo_ha_core::failsafe::Reply;
use odoo_ha_core::roles::{Asked, Peers};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::util::SubscriberInitExt;

use super::support::{Listening, ask, exchange, free_address, is, member, request, status};

fn with(secrets: &[&str]) -> HttpPeers {
    let config = HttpPeersConfig::new(free_address(), Secret::new(secrets[0]));
    secrets[1..].iter().fold(config, |config, secret| config.accept(Secret::new(*secret))).build().unwrap()
}

fn accept(asked: Asked) {
    asked.answer(Reply::Accepted);
}

#[tokio::test]
async fn members_with_different_secrets_deny_each_other() {
    let (old, new) = ("the secret of before", "the secret of today.");
    let (asked, asker) = (Listening::start(with(&[old]), accept).await, with(&[new]));
    let chain = is(ErrorKind::Denied, ask(&asker, &asked.url(), 1).await);
    assert!(chain.contains("the same secret"), "{chain}");
    assert_eq!(asked.heard(), []);
}

/// A member is asked by one whose questions it accepts, and answers with a secret that the asker does not know.
#[tokio::test]
async fn a_secret_is_changed_step_by_step_and_everybody_hears_everybody() {
    let (old, new) = ("the secret of before", "the secret of today.");
    let steps: [&[&str]; 4] = [&[old], &[old, new], &[new, old], &[new]];
    for (before, after) in steps.iter().zip(&steps[1..]) {
        for (asked, asker) in [(before, after), (after, before)] {
            let listening = Listening::start(with(asked), accept).await;
            assert_eq!(ask(&with(asker), &listening.url(), 1).await.unwrap(), Reply::Accepted, "{asked:?} {asker:?}");
        }
    }
    let skipped = Listening::start(with(&[old]), accept).await;
    is(ErrorKind::Denied, ask(&with(&[new, old]), &skipped.url(), 1).await);
}

#[tokio::test]
async fn a_secret_comes_from_a_file_and_later_lines_do_not_count() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("secret");
    std::fs::write(&path, "the secret of all of us\r\nnot this line").unwrap();
    let asker = HttpPeersConfig::new(free_address(), Secret::from_file(&path)).build().unwrap();
    let listening = Listening::accepting().await;
    assert_eq!(ask(&asker, &listening.url(), 1).await.unwrap(), Reply::Accepted);
}

/// Collects what is logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn no_secret_is_ever_shown() {
    let log = Log::default();
    let writer = log.clone();
    let logging = tracing_subscriber::fmt().with_max_level(LevelFilter::TRACE).with_writer(move || writer.clone());
    let _logging = logging.finish().set_default();
    let config = HttpPeersConfig::new(free_address(), Secret::new("xyzzy xyzzy xyzzy"));
    let mut shown = format!("{config:?}");
    let peers = config.build().unwrap();
    shown += &format!("{peers:?}");
    let listening = Listening::start(peers, accept).await;
    let stranger = member();
    shown += &is(ErrorKind::Denied, ask(&stranger, &listening.url(), 1).await);
    let twin = HttpPeersConfig::new(listening.address, Secret::new("xyzzy xyzzy xyzzy")).build().unwrap();
    shown += &format!("{:?}", twin.next().await.unwrap_err());
    shown += &format!("{:?}", ask(&twin, &listening.url(), 1).await);
    let refused = exchange(listening.address, &request(Some("xxxx"), b"{}")).await;
    assert_eq!(status(&refused), Some(401));
    shown += &String::from_utf8_lossy(&refused);
    let short = HttpPeersConfig::new(free_address(), Secret::new("xyzzy")).build().unwrap_err();
    shown += &format!("{short:?} {}", short.chain());
    shown += &String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(shown.contains("does not know the secret"), "the log was kept: {shown}");
    assert!(!shown.contains("xyzzy"), "{shown}");
}
