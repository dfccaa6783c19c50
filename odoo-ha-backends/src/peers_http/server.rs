//! The HTTP server: who is asked.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Body, Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use odoo_ha_core::error::Error;
use odoo_ha_core::roles::Asked;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::error::not_listening;
use super::hall::{ANSWER_PATIENCE, Hall, MOST_CONNECTIONS, Place, READ_PATIENCE, Refusal, Waiting};
use super::proof::{Keys, Tag};
use super::wire::{MOST_BODY_BYTES, PATH, Signed, TAG};

/// Longest head of a request, in bytes, the body's beginning included; hyper allows no less.
const MOST_HEAD_BYTES: usize = 8 * 1024;

/// The end of every connection: reading, the machine's time, and as long as reading for the reply to be taken.
const LONGEST_CONNECTION: Duration = READ_PATIENCE.saturating_mul(2).saturating_add(ANSWER_PATIENCE);

/// Pause after the kernel could not hand out a connection (no descriptors left): trying on at once would only burn the processor.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Listens until it is dropped.
pub(super) struct Server {
    questions: mpsc::Receiver<Waiting>,
    /// Ends with its set, and all connections with it.
    _accepting: JoinSet<()>,
}

impl Server {
    /// Listens on this address, on the runtime that calls it. Nothing is awaited.
    pub(super) async fn begin(listen: SocketAddr, keys: Arc<Keys>) -> Result<Self, Error> {
        let listener = TcpListener::bind(listen).await.map_err(|error| not_listening(listen, error))?;
        let (hall, questions) = Hall::new(keys);
        let mut accepting = JoinSet::new();
        accepting.spawn(accept(listener, hall));
        Ok(Self { questions, _accepting: accepting })
    }

    /// The next question whose asker still waits; `None` when it does not listen any more. Cancel-safe.
    pub(super) async fn next(&mut self) -> Option<Asked> {
        loop {
            if let Some(asked) = self.questions.recv().await?.asked() {
                return Some(asked);
            }
        }
    }
}

async fn accept(listener: TcpListener, hall: Arc<Hall>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, from)) => {
                    while connections.len() >= MOST_CONNECTIONS {
                        hall.make_room();
                        connections.join_next().await;
                    }
                    hall.enter(|place| connections.spawn(serve(stream, from, place, Arc::clone(&hall))));
                }
                Err(error) => {
                    tracing::debug!(%error, "no connection of another member can be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

/// One connection, one request.
async fn serve(stream: TcpStream, from: SocketAddr, place: Place, hall: Arc<Hall>) {
    // Without it the reply only comes later.
    let _ = stream.set_nodelay(true);
    let answer = service_fn(|request| async { Ok::<_, Infallible>(answer(request, from, &place, &hall).await) });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(READ_PATIENCE)
        .keep_alive(false)
        .max_buf_size(MOST_HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), answer);
    // What a stranger sends is no trouble of this member's.
    let _ = tokio::time::timeout(LONGEST_CONNECTION, connection).await;
}

async fn answer(request: Request<Incoming>, from: SocketAddr, place: &Place, hall: &Hall) -> Response<Full<Bytes>> {
    if request.uri().path() != PATH {
        return bare(StatusCode::NOT_FOUND);
    }
    if request.method() != Method::POST {
        return bare(StatusCode::METHOD_NOT_ALLOWED);
    }
    let tag = request.headers().get(TAG).and_then(|tag| Tag::from_text(tag.as_bytes()));
    if request.body().size_hint().lower() > MOST_BODY_BYTES as u64 {
        return bare(StatusCode::PAYLOAD_TOO_LARGE);
    }
    let body = Limited::new(request.into_body(), MOST_BODY_BYTES).collect();
    let body = match tokio::time::timeout(READ_PATIENCE, body).await {
        Ok(Ok(body)) => body.to_bytes(),
        // Too long, or broken off, and then nobody hears it.
        Ok(Err(_)) => return bare(StatusCode::PAYLOAD_TOO_LARGE),
        Err(_) => return bare(StatusCode::REQUEST_TIMEOUT),
    };
    match hall.reply(tag, &body, place).await {
        Ok(reply) => signed(reply),
        Err(Refusal::Stranger) => {
            hall.warn_of_stranger(from);
            bare(StatusCode::UNAUTHORIZED)
        }
        Err(Refusal::NoQuestion) => bare(StatusCode::BAD_REQUEST),
        Err(Refusal::Busy) => bare(StatusCode::SERVICE_UNAVAILABLE),
    }
}

fn signed(reply: Signed) -> Response<Full<Bytes>> {
    let Ok(tag) = HeaderValue::from_str(&reply.tag.to_text()) else { return bare(StatusCode::SERVICE_UNAVAILABLE) };
    let mut response = Response::new(Full::from(reply.body));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response.headers_mut().insert(TAG, tag);
    response
}

fn bare(status: StatusCode) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = status;
    response
}
