//! Whoever else is in the network: strangers that ask, and strangers that answer.

use std::time::{Duration, Instant};

use odoo_ha_backends::peers_http::{MOST_BODY_BYTES, READ_PATIENCE};
use odoo_ha_core::error::ErrorKind;
use odoo_ha_core::failsafe::Reply;
use odoo_ha_core::roles::Peers;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::support::{Listening, TIME, ask, exchange, is, member, question, read_request, request, status};

/// Longer than anything takes that does not wait.
const SOON: Duration = Duration::from_secs(10);

#[tokio::test]
async fn what_is_no_question_is_not_heard() {
    let listening = Listening::accepting().await;
    let tag = "A".repeat(43) + "=";
    let head = |line: &str| format!("{line} HTTP/1.1\r\nhost: b\r\ncontent-length: 2\r\n\r\n{{}}").into_bytes();
    let cases: [(Vec<u8>, Option<u16>); 12] = [
        (request(None, b"{}"), Some(401)),
        (request(Some(&tag), b"{}"), Some(401)),
        (request(Some("no tag"), b"{}"), Some(401)),
        (request(Some(&"A".repeat(4_000)), b"{}"), Some(401)),
        (request(Some(&tag), &[0xff; 100]), Some(401)),
        (request(Some(&tag), "[".repeat(MOST_BODY_BYTES).as_bytes()), Some(401)),
        (head("POST /"), Some(404)),
        (head("POST /odoo-ha/peers/2"), Some(404)),
        (head("GET /odoo-ha/peers/1"), Some(405)),
        (head("PUT /odoo-ha/peers/1"), Some(405)),
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n".to_vec(), Some(400)),
        (vec![0; 100], Some(400)),
    ];
    for (bytes, expected) in cases {
        let answer = exchange(listening.address, &bytes).await;
        let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(60)]).into_owned();
        assert_eq!(status(&answer), expected, "{shown}: {}", String::from_utf8_lossy(&answer));
    }
    assert_eq!(listening.heard(), []);
    assert_eq!(ask(&member(), &listening.url(), 1).await.unwrap(), Reply::Accepted);
}

#[tokio::test]
async fn what_is_too_long_is_not_read() {
    let listening = Listening::accepting().await;
    let answer = exchange(listening.address, &request(Some("x"), &vec![b'['; MOST_BODY_BYTES + 1])).await;
    // Whoever is still sending may be cut off before it reads why.
    assert!(matches!(status(&answer), Some(413) | None), "{}", String::from_utf8_lossy(&answer));
    let says_gigabytes = b"POST /odoo-ha/peers/1 HTTP/1.1\r\nhost: b\r\ncontent-length: 9999999999\r\n\r\n";
    assert_eq!(status(&exchange(listening.address, says_gigabytes).await), Some(413));
    let mut chunks = b"POST /odoo-ha/peers/1 HTTP/1.1\r\nhost: b\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
    for _ in 0..10 {
        chunks.extend_from_slice(format!("400\r\n{}\r\n", "x".repeat(1024)).as_bytes());
    }
    assert!(matches!(status(&exchange(listening.address, &chunks).await), Some(413) | None));
    let long_head = format!("POST /odoo-ha/peers/1 HTTP/1.1\r\nhost: {}\r\n\r\n", "x".repeat(100_000));
    assert!(matches!(status(&exchange(listening.address, long_head.as_bytes()).await), Some(400..=499) | None));
    assert_eq!(listening.heard(), []);
    assert_eq!(ask(&member(), &listening.url(), 1).await.unwrap(), Reply::Accepted);
}

/// Far more connections than are let in, each with a part of a request, or nothing.
#[tokio::test]
async fn who_says_nothing_keeps_nobody_out() {
    let (listening, asker) = (Listening::accepting().await, member());
    let beginnings: [&[u8]; 3] =
        [b"", b"POST /odoo-ha/pe", b"POST /odoo-ha/peers/1 HTTP/1.1\r\nhost: b\r\ncontent-length: 50\r\n\r\n{"];
    let mut silent = Vec::new();
    for number in 0..300 {
        let mut stream = TcpStream::connect(listening.address).await.unwrap();
        // It may have been shown out by now.
        let _ = stream.write_all(beginnings[number % 3]).await;
        silent.push(stream);
    }
    // If they kept their places, it would be the turn of this one after four times their patience.
    let begun = Instant::now();
    assert_eq!(ask(&asker, &listening.url(), 1).await.unwrap(), Reply::Accepted);
    assert!(begun.elapsed() < READ_PATIENCE, "it was not kept waiting: {:?}", begun.elapsed());
    for mut stream in silent {
        let mut rest = Vec::new();
        let closed = tokio::time::timeout(SOON, stream.read_to_end(&mut rest)).await;
        assert!(closed.is_ok(), "it is shown out");
        assert!(matches!(status(&rest), None | Some(408)), "{}", String::from_utf8_lossy(&rest));
    }
    assert_eq!(ask(&asker, &listening.url(), 2).await.unwrap(), Reply::Accepted);
}

/// One byte at a time does not buy more time.
#[tokio::test]
async fn who_is_slow_on_purpose_is_shown_out() {
    let listening = Listening::accepting().await;
    let mut stream = TcpStream::connect(listening.address).await.unwrap();
    let begun = Instant::now();
    let drip = async {
        stream.write_all(b"POST /odoo-ha/peers/1 HTTP/1.1\r\nhost: ").await?;
        loop {
            stream.write_all(b"b").await?;
            tokio::time::sleep(Duration::from_millis(50)).await;
            let mut byte = [0];
            match stream.try_read(&mut byte) {
                Ok(_) => return Ok::<_, std::io::Error>(()),
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
    };
    assert!(tokio::time::timeout(SOON, drip).await.is_ok(), "it is shown out");
    assert!(begun.elapsed() >= READ_PATIENCE / 2, "it had some time");
}

/// Answers every request with this, and keeps the connection open.
async fn answering(bytes: Vec<u8>) -> (String, tokio::task::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let task = tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let bytes = bytes.clone();
            tokio::spawn(async move {
                read_request(&mut stream).await;
                let _ = stream.write_all(&bytes).await;
                let mut rest = Vec::new();
                // Until the asker hangs up.
                let _ = stream.read_to_end(&mut rest).await;
            });
        }
    });
    (url, task)
}

#[tokio::test]
async fn who_answers_something_else_is_no_member() {
    let asker = member();
    let tag = "A".repeat(43) + "=";
    let with_body =
        |body: &str| format!("HTTP/1.1 200 OK\r\nodoo-ha-tag: {tag}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    let cases = [
        (with_body("{\"reply\":\"accepted\"}"), ErrorKind::Denied),
        ("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok".into(), ErrorKind::Denied),
        ("HTTP/1.1 401 No\r\ncontent-length: 0\r\n\r\n".into(), ErrorKind::Denied),
        ("HTTP/1.1 403 No\r\ncontent-length: 0\r\n\r\n".into(), ErrorKind::Denied),
        ("HTTP/1.1 404 No\r\ncontent-length: 0\r\n\r\n".into(), ErrorKind::Malformed),
        ("HTTP/1.1 302 No\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n".into(), ErrorKind::Malformed),
        ("HTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n".into(), ErrorKind::Unavailable),
        ("SSH-2.0-OpenSSH_9.2\r\n\r\n".into(), ErrorKind::Malformed),
        (with_body(&"x".repeat(MOST_BODY_BYTES + 1)), ErrorKind::Malformed),
        (format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "x".repeat(100_000)), ErrorKind::Malformed),
    ];
    for (bytes, kind) in cases {
        let (url, task) = answering(bytes.clone().into_bytes()).await;
        let asked = asker.ask(&url, &question(1), TIME).await;
        let kind_seen = asked.as_ref().map_err(odoo_ha_core::error::Error::kind);
        assert_eq!(kind_seen.err(), Some(kind), "{:.60}: {asked:?}", bytes);
        task.abort();
    }
}

/// Whatever the other side does or does not do, the asker's time is what it costs.
#[tokio::test]
async fn the_asker_s_time_bounds_everything() {
    let asker = member();
    let half = "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{";
    let informed = "HTTP/1.1 100 Continue\r\n\r\n".repeat(1_000);
    for bytes in [String::new(), "HTTP/1.1 200".into(), half.into(), informed] {
        let (url, task) = answering(bytes.into_bytes()).await;
        let (begun, time) = (Instant::now(), Duration::from_millis(300));
        let asked = tokio::time::timeout(SOON, asker.ask(&url, &question(1), time)).await;
        is(ErrorKind::Unavailable, asked.expect("it ends by itself"));
        assert!(begun.elapsed() >= time && begun.elapsed() < SOON / 2, "{:?}", begun.elapsed());
        task.abort();
    }
}

/// As a stopped process or a full one: the kernel takes the connection, or not even that, and nobody looks at it.
#[tokio::test]
async fn a_member_that_does_not_run_costs_its_time() {
    let asker = member();
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    // The first ones are taken; those that find the queue full get no answer at all.
    let asks: Vec<_> = (0..8)
        .map(|number| {
            let (asker, url) = (asker.clone(), url.clone());
            tokio::spawn(async move { asker.ask(&url, &question(number), Duration::from_millis(300)).await })
        })
        .collect();
    for ask in asks {
        let asked = tokio::time::timeout(SOON, ask).await.expect("it ends").unwrap();
        let chain = is(ErrorKind::Unavailable, asked);
        assert!(chain.contains("did not answer in 300ms"), "{chain}");
    }
    drop(listener);
}

#[tokio::test]
async fn what_a_member_publishes_is_not_followed_anywhere() {
    let asker = member();
    for at in
        ["", "https://127.0.0.1:1", "http://127.0.0.1", "http://u:hidden@127.0.0.1:1", "file:///etc/passwd", "memory:0"]
    {
        let chain = is(ErrorKind::Malformed, asker.ask(at, &question(1), TIME).await);
        assert!(!chain.contains("hidden") && !chain.contains("passwd"), "{chain}");
    }
}
