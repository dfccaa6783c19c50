//! Probes of ports and URLs, against listeners made by hand.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use odoo_ha_backends::probe_http::{HttpProbe, HttpProbeConfig};
use odoo_ha_backends::probe_tcp::{TcpProbe, TcpProbeConfig};
use odoo_ha_core::conformance;
use odoo_ha_core::error::ErrorKind;
use odoo_ha_core::roles::{HealthProbe, Verdict};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

use crate::timer;

const TIME: Duration = Duration::from_secs(10);

/// A port where nobody listens, kept from others by being bound.
fn closed_port() -> (TcpSocket, u16) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let port = socket.local_addr().unwrap().port();
    (socket, port)
}

/// Answers every connection with this, as soon as a request's head has come; says nothing at all to `/hang`.
async fn http_server(answer: &'static [u8]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((connection, _)) = listener.accept().await {
            tokio::spawn(serve(connection, answer));
        }
    });
    address
}

async fn serve(mut connection: TcpStream, answer: &'static [u8]) {
    let mut head = Vec::new();
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        match connection.read_buf(&mut head).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
    }
    let head = String::from_utf8_lossy(&head).to_lowercase();
    if head.starts_with("get /hang ") {
        // Until the client hangs up.
        let _ = connection.read_u8().await;
        return;
    }
    let answer = if head.starts_with("get /host ") && !head.contains("host: shop.example\r\n") {
        b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n"
    } else {
        answer
    };
    let _ = connection.write_all(answer).await;
}

#[tokio::test]
async fn tcp_probe_conforms() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let open = listener.local_addr().unwrap().port();
    let (_kept, closed) = closed_port();
    let probe = |port| TcpProbe::new(TcpProbeConfig::new("127.0.0.1", port)).unwrap();
    // The kernel accepts for a listener that never does: a TCP probe of what hangs behind its port is healthy.
    let report = conformance::health_probe(&probe(open), &probe(closed), None, &timer).await;
    println!("{report}");
    report.assert_passed();
    assert_eq!(TcpProbe::new(TcpProbeConfig::new("", 1)).unwrap_err().kind(), ErrorKind::Misconfigured);
}

#[tokio::test]
async fn http_probe_conforms() {
    let good = http_server(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
    let bad = http_server(b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n").await;
    let probe = |url: String| HttpProbe::new(HttpProbeConfig::new(url)).unwrap();
    let (healthy, unhealthy) = (probe(format!("http://{good}/")), probe(format!("http://{bad}/")));
    let hanging = probe(format!("http://{good}/hang"));
    let report = conformance::health_probe(&healthy, &unhealthy, Some(&hanging), &timer).await;
    println!("{report}");
    report.assert_passed();
}

#[tokio::test]
async fn an_http_probe_judges_by_the_first_answer() {
    let redirect =
        http_server(b"HTTP/1.1 303 See Other\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n").await;
    let endless = http_server(b"HTTP/1.1 200 OK\r\ncontent-length: 999999999999\r\n\r\nbegins").await;
    let garbage = http_server(b"SSH-2.0-OpenSSH_9.2\r\n\r\n").await;
    let check = |config: HttpProbeConfig| async move { HttpProbe::new(config).unwrap().check(TIME).await.unwrap() };

    let seen = check(HttpProbeConfig::new(format!("http://{redirect}/"))).await;
    assert!(matches!(&seen, Verdict::Unhealthy(text) if text.contains("303")), "{seen:?}");
    let expected = HttpProbeConfig::new(format!("http://{redirect}/")).statuses(BTreeSet::from([200, 303]));
    assert_eq!(check(expected).await, Verdict::Healthy);
    assert_eq!(check(HttpProbeConfig::new(format!("http://{endless}/"))).await, Verdict::Healthy);
    let seen = check(HttpProbeConfig::new(format!("http://{garbage}/"))).await;
    assert!(matches!(seen, Verdict::Unhealthy(_)), "{seen:?}");
    let (_kept, closed) = closed_port();
    let seen = check(HttpProbeConfig::new(format!("http://127.0.0.1:{closed}/"))).await;
    assert!(matches!(&seen, Verdict::Unhealthy(text) if text.to_lowercase().contains("refused")), "{seen:?}");

    let named = HttpProbeConfig::new(format!("http://{endless}/host"));
    assert!(matches!(check(named.clone()).await, Verdict::Unhealthy(_)));
    assert_eq!(check(named.host("shop.example")).await, Verdict::Healthy);
}

#[test]
fn an_http_probe_that_cannot_look_is_refused() {
    for url in ["", "no url", "https://127.0.0.1/", "ftp://127.0.0.1/", "/web/health"] {
        let refused = HttpProbe::new(HttpProbeConfig::new(url)).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Misconfigured, "{url:?}");
    }
    let url = "http://127.0.0.1/";
    for wrong in [
        HttpProbeConfig::new(url).statuses([]),
        HttpProbeConfig::new(url).statuses([99]),
        HttpProbeConfig::new(url).host("a\nb"),
    ] {
        assert_eq!(HttpProbe::new(wrong).unwrap_err().kind(), ErrorKind::Misconfigured);
    }
}
