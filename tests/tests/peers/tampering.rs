//! Somebody between two members, who sees and changes all but does not know the secret.

use std::sync::{Arc, Mutex};

use odoo_ha_core::error::ErrorKind;
use odoo_ha_core::failsafe::Reply;

use super::support::{Between, Listening, ask, config, exchange, free_address, is, member, question, replaced, status};

fn as_it_is(bytes: Vec<u8>) -> Vec<u8> {
    bytes
}

/// Refuses everything.
async fn refusing() -> Listening {
    Listening::start(config(free_address()).build().unwrap(), |asked| asked.answer(Reply::Refused("no".into()))).await
}

#[tokio::test]
async fn an_honest_one_between_changes_nothing() {
    let listening = Listening::accepting().await;
    let between = Between::start(listening.address, as_it_is, as_it_is).await;
    assert_eq!(ask(&member(), &between.url(), 1).await.unwrap(), Reply::Accepted);
    assert_eq!(listening.heard(), [question(1)]);
}

#[tokio::test]
async fn a_changed_question_is_denied_and_not_heard() {
    let changes: [(&str, &str); 4] = [
        ("\"ttl_ms\":5000", "\"ttl_ms\":9000"),
        ("\"to\":\"node_b\"", "\"to\":\"node_c\""),
        ("\"nonce\"", "\"Nonce\""),
        ("odoo-ha-tag", "odoo-ha-tug"),
    ];
    let listening = Listening::accepting().await;
    for (from, to) in changes {
        let between = Between::start(listening.address, move |bytes| replaced(&bytes, from, to), as_it_is).await;
        is(ErrorKind::Denied, ask(&member(), &between.url(), 1).await);
    }
    assert_eq!(listening.heard(), []);
}

#[tokio::test]
async fn a_changed_reply_is_never_an_acceptance() {
    let listening = refusing().await;
    let changes: [fn(Vec<u8>) -> Vec<u8>; 5] = [
        // {"reply":{"refused":"no"}} has 26 bytes.
        |bytes| replaced(&bytes, "{\"reply\":{\"refused\":\"no\"}}", "{ \"reply\" : \"accepted\"   }"),
        |bytes| replaced(&bytes, "\"no\"", "\"mo\""),
        |bytes| replaced(&bytes, "odoo-ha-tag", "odoo-ha-tug"),
        |bytes| replaced(&bytes, "odoo-ha-tag: ", "odoo-ha-tag: A"),
        |_| b"HTTP/1.1 200 OK\r\ncontent-length: 20\r\n\r\n{\"reply\":\"accepted\"}".to_vec(),
    ];
    for change in changes {
        let between = Between::start(listening.address, as_it_is, change).await;
        is(ErrorKind::Denied, ask(&member(), &between.url(), 1).await);
    }
}

#[tokio::test]
async fn the_reply_to_an_earlier_question_is_denied() {
    let (listening, asker) = (Listening::accepting().await, member());
    let first = Arc::new(Mutex::new(None));
    let again = move |bytes: Vec<u8>| first.lock().unwrap().get_or_insert(bytes).clone();
    let between = Between::start(listening.address, as_it_is, again).await;
    assert_eq!(ask(&asker, &between.url(), 1).await.unwrap(), Reply::Accepted);
    is(ErrorKind::Denied, ask(&asker, &between.url(), 2).await);
    // Not even when it is the same question: each has a number of its own.
    is(ErrorKind::Denied, ask(&asker, &between.url(), 1).await);
}

/// A member's acceptance of one question does not answer another that was asked at the same time.
#[tokio::test]
async fn the_reply_of_another_member_s_question_is_denied() {
    let (accepting, refusing) = (Listening::accepting().await, refusing().await);
    let (url, asker) = (Arc::new(Mutex::new(Vec::new())), member());
    let keep = Arc::clone(&url);
    let kept = Between::start(accepting.address, as_it_is, move |bytes| {
        *keep.lock().unwrap() = bytes.clone();
        bytes
    });
    let kept = kept.await;
    assert_eq!(ask(&asker, &kept.url(), 1).await.unwrap(), Reply::Accepted);
    let other = Between::start(refusing.address, as_it_is, move |_| url.lock().unwrap().clone()).await;
    is(ErrorKind::Denied, ask(&asker, &other.url(), 1).await);
}

/// The machine refuses it by its round; here it is seen that the round is what it was.
#[tokio::test]
async fn a_question_that_is_sent_again_arrives_as_what_it_is() {
    let (listening, asker) = (Listening::accepting().await, member());
    let between = Between::start(listening.address, as_it_is, as_it_is).await;
    assert_eq!(ask(&asker, &between.url(), 7).await.unwrap(), Reply::Accepted);
    let answer = exchange(listening.address, &between.requests()[0]).await;
    assert_eq!(status(&answer), Some(200));
    assert_eq!(listening.heard(), [question(7), question(7)]);
}

/// A question is no reply to itself.
#[tokio::test]
async fn a_question_that_is_thrown_back_is_denied() {
    let (listening, asker) = (Listening::accepting().await, member());
    let last = Arc::new(Mutex::new(Vec::new()));
    let keep = Arc::clone(&last);
    let thrown_back = move |_| {
        let request = String::from_utf8(last.lock().unwrap().clone()).unwrap();
        let (head, body) = request.split_once("\r\n\r\n").unwrap();
        let tag = head.lines().find(|line| line.starts_with("odoo-ha-tag")).unwrap();
        format!("HTTP/1.1 200 OK\r\n{tag}\r\ncontent-length: {}\r\n\r\n{body}", body.len()).into_bytes()
    };
    let between = Between::start(
        listening.address,
        move |bytes| {
            *keep.lock().unwrap() = bytes.clone();
            bytes
        },
        thrown_back,
    );
    is(ErrorKind::Denied, ask(&asker, &between.await.url(), 1).await);
}
