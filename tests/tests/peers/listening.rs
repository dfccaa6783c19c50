//! Listening: a port that is taken, a member that is started again, a runtime that ends.

use std::sync::Arc;
use std::time::Duration;

use odoo_ha_backends::peers_http::HttpPeers;
use odoo_ha_core::error::ErrorKind;
use odoo_ha_core::failsafe::Reply;
use odoo_ha_core::roles::{Asked, Peers};
use odoo_ha_tests::stores::eventually;
use tokio::net::TcpListener;

use super::support::{Listening, TIME, ask, config, exchange, free_address, is, member, question};

fn accept(asked: Asked) {
    asked.answer(Reply::Accepted);
}

#[tokio::test]
async fn a_member_that_is_started_again_is_asked_again() {
    let (address, asker) = (free_address(), member());
    for number in 0..3 {
        let listening = Listening::start(config(address).build().unwrap(), accept).await;
        assert_eq!(ask(&asker, &listening.url(), number).await.unwrap(), Reply::Accepted);
        let url = listening.url();
        listening.stop().await;
        is(ErrorKind::Unavailable, ask(&asker, &url, number).await);
    }
}

#[tokio::test]
async fn a_port_that_is_taken_is_had_later() {
    let address = free_address();
    let other = TcpListener::bind(address).await.unwrap();
    let peers = config(address).build().unwrap();
    for _ in 0..3 {
        let chain = is(ErrorKind::NotReady, peers.next().await);
        assert!(chain.contains(&address.to_string()) && chain.contains("another process"), "{chain}");
    }
    drop(other);
    let listening = Listening::start(peers, accept).await;
    assert_eq!(ask(&member(), &listening.url(), 1).await.unwrap(), Reply::Accepted);
}

#[tokio::test]
async fn an_address_of_another_machine_is_an_error_that_names_it() {
    let peers = config("192.0.2.1:7000".parse().unwrap()).build().unwrap();
    let chain = is(ErrorKind::Unavailable, peers.next().await);
    assert!(chain.contains("192.0.2.1:7000") && chain.contains("not one of this machine's"), "{chain}");
}

/// A node's threads end with the node; another node goes on with the same value.
#[test]
fn listening_begins_anew_when_its_runtime_has_ended() {
    let runtime = || tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let peers: Arc<HttpPeers> = Arc::new(config(free_address()).build().unwrap());
    let asking = runtime();
    for number in 0..3 {
        let (lane, heard) = (runtime(), Arc::clone(&peers));
        lane.spawn(async move {
            loop {
                match heard.next().await {
                    Ok(asked) => accept(asked),
                    Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
                }
            }
        });
        let (asker, url) = (member(), peers.address());
        asking.block_on(eventually("it is heard", TIME, async || ask(&asker, &url, number).await.ok()));
        lane.shutdown_background();
        let gone = async || ask(&asker, &url, number).await.is_err().then_some(());
        asking.block_on(eventually("nobody listens", TIME, gone));
    }
}

/// A question whose asker has gone is not given to the machine: it would hold still for nothing.
#[tokio::test]
async fn who_has_gone_is_not_heard() {
    let peers = Arc::new(config(free_address()).build().unwrap());
    let asker = member();
    // It listens, and nobody takes what comes in.
    assert!(tokio::time::timeout(Duration::ZERO, peers.next()).await.is_err());
    is(ErrorKind::Unavailable, asker.ask(&peers.address(), &question(1), Duration::from_millis(300)).await);
    // Answered after the end of that connection was seen.
    exchange(peers.address().trim_start_matches("http://").parse().unwrap(), b"GET / HTTP/1.1\r\n\r\n").await;
    let (asked, reply) = tokio::join!(
        async {
            let asked = peers.next().await.unwrap();
            let number = asked.question.round.1;
            asked.answer(Reply::Accepted);
            number
        },
        async { eventually("it is heard", TIME, async || ask(&asker, &peers.address(), 2).await.ok()).await }
    );
    assert_eq!((asked, reply), (2, Reply::Accepted));
}
