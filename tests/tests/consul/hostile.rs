//! Servers that are no Consul, or a broken one.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use odoo_ha_core::error::ErrorKind;
use odoo_ha_core::roles::Dcs;
use odoo_ha_core::store::{Guard, Key, Revision};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::{client, failure, write};

/// Some seconds: what never ends must not make the tests long.
const TIME: Duration = Duration::from_secs(2);

const FINE: &str = "HTTP/1.1 200 OK\r\nX-Consul-Index: 7\r\nContent-Length: 2\r\n\r\n[]";

/// What it answers to a listing, and to a transaction.
struct Script {
    listing: Vec<u8>,
    transaction: Vec<u8>,
    /// Whether it goes on sending the last byte for ever.
    endless: bool,
}

async fn serve(script: Script) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let script = std::sync::Arc::new(script);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let script = std::sync::Arc::clone(&script);
            tokio::spawn(async move {
                let mut request = vec![0; 64 * 1024];
                let count = stream.read(&mut request).await.unwrap_or(0);
                let answer = if request[..count].starts_with(b"GET") { &script.listing } else { &script.transaction };
                let _ = stream.write_all(answer).await;
                if answer.is_empty() {
                    // Holds the connection.
                    let _ = stream.read(&mut request).await;
                }
                let more = vec![b' '; 64 * 1024];
                while script.endless && stream.write_all(&more).await.is_ok() {}
            });
        }
    });
    address
}

fn with_body(status: &str, body: &str) -> Vec<u8> {
    format!(
        "HTTP/1.1 {status}\r\nX-Consul-Index: 7\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
    .into()
}

fn pair(value: &str, index: &str) -> String {
    format!(r#"[{{"Key":"odoo-ha/shop/leader","Value":{value},"Flags":0,"CreateIndex":1,"ModifyIndex":{index}}}]"#)
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_listings_are_malformed() {
    let long_header = format!("HTTP/1.1 200 OK\r\nX-Long: {}\r\n", "x".repeat(2_000_000));
    let cases: Vec<(&str, Vec<u8>, bool)> = vec![
        ("not JSON", with_body("200 OK", "<html>hello</html>"), false),
        ("another type", with_body("200 OK", "{}"), false),
        ("no base64", with_body("200 OK", &pair(r#""%%%%""#, "5")), false),
        ("a number as value", with_body("200 OK", &pair("5", "5")), false),
        ("a text as version", with_body("200 OK", &pair(r#""YQ==""#, r#""5""#)), false),
        ("no index", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n[]".to_vec(), false),
        ("an index of zero", FINE.replace("Index: 7", "Index: 0").into(), false),
        ("an index too large", FINE.replace("Index: 7", "Index: 99999999999999999999").into(), false),
        (
            "another server's 404",
            b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".to_vec(),
            false,
        ),
        (
            "a redirection",
            b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n".to_vec(),
            false,
        ),
        ("without an end", b"HTTP/1.1 200 OK\r\nX-Consul-Index: 7\r\nConnection: close\r\n\r\n[".to_vec(), true),
        (
            "a length that is a lie",
            b"HTTP/1.1 200 OK\r\nX-Consul-Index: 7\r\nContent-Length: 99999999999999\r\n\r\n[".to_vec(),
            true,
        ),
    ];
    for (what, listing, endless) in cases {
        let address = serve(Script { listing, transaction: Vec::new(), endless }).await;
        let store = client(&[format!("http://{address}")]);
        let began = Instant::now();
        let (kind, text) = failure(store.read(TIME).await);
        assert_eq!(kind, ErrorKind::Malformed, "{what}: {text}");
        assert_eq!(failure(store.watch(Revision(7), TIME).await).0, ErrorKind::Malformed, "{what}");
        assert!(began.elapsed() < 2 * TIME + Duration::from_secs(5), "{what}: {:?}", began.elapsed());
    }
    // What is not even HTTP is no answer.
    for listing in [b"SSH-2.0-OpenSSH\r\n".to_vec(), long_header.into_bytes(), vec![0; 1000]] {
        let address = serve(Script { listing, transaction: Vec::new(), endless: false }).await;
        let (kind, text) = failure(client(&[format!("http://{address}")]).read(TIME).await);
        assert_eq!(kind, ErrorKind::Unavailable, "{text}");
        assert!(text.len() < 1000, "{text}");
    }
}

/// A listing without a leader record is believed only when a transaction says the same.
#[tokio::test(flavor = "multi_thread")]
async fn an_empty_listing_needs_a_second_word() {
    let transactions = [
        (
            "is refused",
            with_body("409 Conflict", r#"{"Errors":[{"OpIndex":0,"What":"Permission denied"}]}"#),
            ErrorKind::Denied,
        ),
        ("is not understood", with_body("200 OK", "what?"), ErrorKind::Malformed),
        ("is not answered", Vec::new(), ErrorKind::Unavailable),
    ];
    for (what, transaction, expected) in transactions {
        let address = serve(Script { listing: FINE.into(), transaction, endless: false }).await;
        let (kind, text) = failure(client(&[format!("http://{address}")]).read(TIME).await);
        assert_eq!(kind, expected, "{what}: {text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn commits_that_are_answered_with_nonsense_may_have_happened() {
    let cases = [
        ("nothing", Vec::new()),
        ("not JSON", with_body("200 OK", "done!")),
        ("no results", with_body("200 OK", r#"{"Results":[]}"#)),
        (
            "another key's result",
            with_body(
                "200 OK",
                &format!(r#"{{"Results":[{{"KV":{}}}]}}"#, &pair("null", "5").replace("leader", "sync")[1..])
                    .replace("]}]}", "]}"),
            ),
        ),
        ("a conflict without a reason", with_body("409 Conflict", "{}")),
        ("a write that failed", with_body("409 Conflict", r#"{"Errors":[{"OpIndex":1,"What":"disk"}]}"#)),
        ("leadership lost", with_body("500 Internal Server Error", "leadership lost while committing log")),
        ("a redirection", with_body("307 Temporary Redirect", "")),
        ("a proxy's word", with_body("502 Bad Gateway", "<html>")),
        (
            "half an answer",
            b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\nConnection: close\r\n\r\n{\"Results\":[".to_vec(),
        ),
    ];
    for (what, transaction) in cases {
        let address = serve(Script { listing: FINE.into(), transaction, endless: false }).await;
        let store = client(&[format!("http://{address}")]);
        for guards in [vec![], vec![Guard::Absent(Key::leader())]] {
            let began = Instant::now();
            let (kind, text) = failure(store.commit(&write(guards, b"x"), TIME).await);
            assert_eq!(kind, ErrorKind::Unknown, "{what}: {text}");
            assert!(text.contains("may have happened"), "{what}: {text}");
            assert!(began.elapsed() < TIME + Duration::from_secs(5), "{what}: {:?}", began.elapsed());
        }
    }
    let certain = [
        ("rights", with_body("403 Forbidden", "Permission denied"), ErrorKind::Denied),
        ("no leader", with_body("500 Internal Server Error", "No cluster leader"), ErrorKind::Unavailable),
        ("too many", with_body("429 Too Many Requests", "slow down"), ErrorKind::Unavailable),
        ("too large", with_body("413 Request Entity Too Large", "too large"), ErrorKind::Unavailable),
        ("not understood", with_body("400 Bad Request", "what?"), ErrorKind::Denied),
    ];
    for (what, transaction, expected) in certain {
        let address = serve(Script { listing: FINE.into(), transaction, endless: false }).await;
        let store = client(&[format!("http://{address}")]);
        let began = Instant::now();
        let (kind, text) = failure(store.commit(&write(vec![Guard::Absent(Key::leader())], b"x"), TIME).await);
        // What is worth another try is tried until the deadline, which may cut the last one off before its answer.
        let cut_off = expected == ErrorKind::Unavailable && kind == ErrorKind::Unknown && began.elapsed() >= TIME;
        assert!(cut_off || kind == expected, "{what}: {kind}: {text}");
        assert!(cut_off || kind.certainly_did_not_happen());
    }
}

/// The first try is not answered, the second finds a guard gone, and what is there bears another's stamp: the first may have
/// happened and been written over.
#[tokio::test(flavor = "multi_thread")]
async fn a_lost_race_after_an_unanswered_try_is_unknown() {
    let there = with_body("200 OK", &pair(r#""YQ==""#, "5"));
    let conflict = with_body("409 Conflict", r#"{"Errors":[{"OpIndex":0,"What":"key exists"}]}"#);
    let silent = serve(Script { listing: there.clone(), transaction: Vec::new(), endless: false }).await;
    let answers = serve(Script { listing: there, transaction: conflict, endless: false }).await;
    let commit = write(vec![Guard::Absent(Key::leader())], b"x");
    let both = client(&[format!("http://{silent}"), format!("http://{answers}")]);
    let (kind, text) = failure(both.commit(&commit, TIME).await);
    assert_eq!(kind, ErrorKind::Unknown, "{text}");
    // Without the unanswered try it is plain.
    let (kind, text) = failure(client(&[format!("http://{answers}")]).commit(&commit, TIME).await);
    assert_eq!(kind, ErrorKind::Conflict, "{text}");
}
