//! The HTTP interface: what load balancers, monitoring and operators are told by two agents with real databases, and what strangers get.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use odoo_ha_tests::stores::{eventually, free_port};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::life::{PATIENCE, Place};

/// Sends these bytes and reads to the end; the status (0: no answer) and what follows the head.
async fn send(to: SocketAddr, bytes: &[u8]) -> (u16, String) {
    let exchange = async {
        let mut stream = TcpStream::connect(to).await?;
        // A server that has had enough does not read all.
        let _ = stream.write_all(bytes).await;
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        Ok::<_, std::io::Error>(answer)
    };
    let answer = tokio::time::timeout(PATIENCE, exchange).await.expect("it ends").unwrap_or_default();
    let text = String::from_utf8_lossy(&answer).into_owned();
    let status = text.strip_prefix("HTTP/1.1 ").and_then(|text| text.get(..3)?.parse().ok()).unwrap_or(0);
    (status, text.split_once("\r\n\r\n").map_or(String::new(), |(_, body)| body.to_owned()))
}

async fn get(to: SocketAddr, path: &str) -> (u16, String) {
    send(to, format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n").as_bytes()).await
}

async fn post(to: SocketAddr, path: &str, token: &str, body: &str) -> (u16, String) {
    let length = body.len();
    let head = format!("POST {path} HTTP/1.1\r\nhost: a\r\n{token}content-length: {length}\r\n\r\n");
    send(to, format!("{head}{body}").as_bytes()).await
}

async fn json(to: SocketAddr) -> Value {
    let (status, body) = get(to, "/status").await;
    assert_eq!(status, 200, "{body}");
    serde_json::from_str(&body).unwrap()
}

async fn becomes(to: SocketAddr, path: &str, wanted: u16) {
    eventually(&format!("{path} is {wanted}"), PATIENCE, async || (get(to, path).await.0 == wanted).then_some(()))
        .await;
}

const TOKEN: &str = "authorization: Bearer hush, hush, hush\r\n";

#[tokio::test(flavor = "multi_thread")]
async fn balancers_monitoring_and_operators_are_served_and_strangers_are_not() {
    let place = Place::new();
    let address = || SocketAddr::from((Ipv4Addr::LOCALHOST, free_port(IpAddr::V4(Ipv4Addr::LOCALHOST))));
    let section = |at: SocketAddr| format!("[api]\nlisten = \"{at}\"\ntoken = {{ env = \"ODOO_HA_TEST_WORD\" }}\n");
    let (a, b) = (address(), address());
    // The port of the first is somebody else's: the node runs all the same, and answers as soon as the port is free.
    let taken = TcpListener::bind(a).await.unwrap();
    let first = place.start_with("a", &section(a));
    let _second = place.start_with("b", &section(b));
    let leader = place.served_by_another_than(None).await;
    first.says("the HTTP interface cannot listen").await;
    drop(taken);
    becomes(a, "/health", 200).await;
    // From here on: the leader, and the other.
    let ((a, leader), (b, other)) = if leader == "a" { ((a, "a"), (b, "b")) } else { ((b, "b"), (a, "a")) };
    becomes(b, "/standby?max_lag=0", 200).await;
    eventually("the leader sees it", PATIENCE, async || {
        json(a).await["database"]["standbys"][other]["streaming"].as_bool().filter(|streams| *streams)
    })
    .await;

    for (to, path, wanted) in [
        (a, "/primary", 200),
        (a, "/", 200),
        (a, "/leader", 200),
        (a, "/standby", 503),
        (a, "/readiness", 200),
        (b, "/primary", 503),
        (b, "/leader", 503),
        (b, "/replica?lag=16MB", 200),
        (b, "/replica?lag=much", 400),
        (b, "/readiness", 200),
        (b, "/liveness", 200),
    ] {
        assert_eq!(get(to, path).await.0, wanted, "{path} of {to}");
    }
    let head = send(a, b"HEAD /primary HTTP/1.1\r\nhost: a\r\n\r\n").await;
    assert_eq!(head, (200, String::new()));
    assert_eq!(send(b, b"OPTIONS / HTTP/1.0\r\n\r\n").await.0, 0, "an HTTP/1.0 answer begins otherwise");
    let status = json(a).await;
    assert_eq!(
        (&status["state"], &status["leads"], &status["leader"]),
        (&"leading".into(), &true.into(), &leader.into())
    );
    assert!(status["leads_for_ms"].as_u64().is_some_and(|left| left > 0 && left <= 5_000), "{status}");
    let (_, metrics) = get(a, "/metrics").await;
    for line in [
        "odoo_ha_leader{cluster=\"shop\",member=\"A\"} 1",
        "odoo_ha_state{cluster=\"shop\",member=\"A\",state=\"leading\"} 1",
        "odoo_ha_state{cluster=\"shop\",member=\"A\",state=\"following\"} 0",
        "odoo_ha_standby_lag_bytes{cluster=\"shop\",member=\"A\",standby=\"B\"} ",
        "odoo_ha_events_total{cluster=\"shop\",member=\"A\",event=\"serving\"} 1",
        "# TYPE odoo_ha_events_total counter",
    ] {
        let line = line.replace("\"A\"", &format!("\"{leader}\"")).replace("\"B\"", &format!("\"{other}\""));
        assert!(metrics.contains(&line), "{line} is not in\n{metrics}");
    }

    strangers(a).await;

    // The policy, for all nodes alike, changed on any.
    let patch = async |body: &str, token: &str| {
        let head = format!("PATCH /config HTTP/1.1\r\nhost: a\r\n{token}content-length: {}\r\n\r\n", body.len());
        send(b, format!("{head}{body}").as_bytes()).await
    };
    assert_eq!(patch("{\"restarts\": 5}", "").await.0, 401);
    assert_eq!(post(b, "/config", TOKEN, "{\"restarts\": 5}").await.0, 405);
    for (body, says) in [
        ("{\"restart\": 5}", "it has maximum_lag_on_failover"),
        ("{\"sync_mode\": \"sometimes\"}", "sometimes"),
        ("{\"restarts\": 1001}", "above 1000"),
        ("[]", "not what this asks for"),
    ] {
        let (status, answer) = patch(body, TOKEN).await;
        assert!(status == 400 && answer.contains(says), "{body}: {status} {answer}");
    }
    let (status, answer) = patch("{\"restarts\": 5, \"sync_mode\": \"strict\"}", TOKEN).await;
    assert_eq!(status, 200, "{answer}");
    for to in [a, b] {
        eventually("it is in force", PATIENCE, async || {
            let policy: Value = serde_json::from_str(&get(to, "/config").await.1).unwrap();
            (policy["policy"]["restarts"] == 5 && policy["policy"]["sync_mode"] == "strict").then_some(())
        })
        .await;
    }
    eventually("commits are protected so", PATIENCE, async || {
        (json(b).await["sync_record"]["strict"] == true).then_some(())
    })
    .await;

    // An operator.
    let (status, answer) = post(a, "/reinitialize", TOKEN, "{}").await;
    assert!(status == 409 && answer.contains("switch over first"), "{status} {answer}");
    let refused = post(a, "/switchover", TOKEN, "{\"target\":\"nobody\"}").await;
    assert!(refused.0 == 409 && refused.1.contains("nobody is not a member"), "{refused:?}");
    // The other may not have seen yet that this one has been answered.
    eventually("the wish to pause is taken", PATIENCE, async || {
        let answer = post(b, "/pause", TOKEN, "").await;
        assert!(answer.0 == 200 || answer.1.contains("another wish"), "{answer:?}");
        (answer.0 == 200).then_some(())
    })
    .await;
    eventually("it is paused", PATIENCE, async || (json(b).await["paused"] == true).then_some(())).await;
    assert_eq!(get(a, "/primary").await.0, 200, "a pause is no outage");
    assert!(get(a, "/metrics").await.1.contains("} +Inf"));
    eventually("the wish to resume is taken", PATIENCE, async || {
        (post(a, "/resume", TOKEN, "{}").await.0 == 200).then_some(())
    })
    .await;
    eventually("the other can take over", PATIENCE, async || {
        let answer = post(b, "/switchover", TOKEN, &format!("{{\"target\":\"{other}\"}}")).await;
        assert!(answer.0 == 200 || answer.0 == 409, "{answer:?}");
        (answer.0 == 200).then_some(())
    })
    .await;
    becomes(b, "/primary", 200).await;
    becomes(a, "/primary", 503).await;
    becomes(a, "/standby", 200).await;
}

/// Whoever has no business here, and whoever means harm.
async fn strangers(to: SocketAddr) {
    for token in
        ["", "authorization: Bearer hush\r\n", "authorization: Basic aHVzaA==\r\n", "authorization: Bearer \r\n"]
    {
        let answer = post(to, "/switchover", token, "").await;
        assert!(answer.0 == 401 && !answer.1.contains("hush"), "{answer:?}");
    }
    for (bytes, wanted) in [
        (b"GET /switchover HTTP/1.1\r\nhost: a\r\n\r\n".to_vec(), 405),
        (b"POST /primary HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n".to_vec(), 405),
        (b"GET /../../etc/passwd HTTP/1.1\r\nhost: a\r\n\r\n".to_vec(), 404),
        (b"GET /status%00 HTTP/1.1\r\nhost: a\r\n\r\n".to_vec(), 404),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n".to_vec(), 400),
        ([b"GET /".as_slice(), &b"x".repeat(100_000), b" HTTP/1.1\r\n\r\n"].concat(), 431),
    ] {
        let (status, body) = send(to, &bytes).await;
        // A head that is too long is answered, or cut off while it is still being sent.
        assert!(
            status == wanted || (status, wanted) == (0, 431),
            "{status} {body} for {:?}",
            &bytes[..bytes.len().min(40)]
        );
    }
    let long = post(to, "/pause", TOKEN, &"x".repeat(5_000)).await.0;
    assert!(long == 413 || long == 0, "{long}");
    for body in ["{", "[]", "{\"target\":7}", "{\"target\":\"../x\"}", "{\"targets\":\"b\"}", "\u{0}"] {
        let answer = post(to, "/switchover", TOKEN, body).await;
        assert_eq!(answer.0, 400, "{body}: {answer:?}");
    }
    assert_eq!(post(to, "/failover", TOKEN, "").await.0, 400);
    // Connections that say nothing, or little, hold nobody up: the oldest of them go.
    let mut idle = Vec::new();
    for number in 0..100 {
        let mut stream = TcpStream::connect(to).await.unwrap();
        if number % 2 == 0 {
            let begun = b"POST /switchover HTTP/1.1\r\nhost: a\r\ncontent-length: 4000\r\n\r\n{";
            let _ = stream.write_all(begun).await;
        }
        idle.push(stream);
    }
    let began = Instant::now();
    assert_eq!(get(to, "/leader").await.0, 200);
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    drop(idle);
}
