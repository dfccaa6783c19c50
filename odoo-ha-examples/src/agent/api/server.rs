//! Sockets and limits.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use odoo_ha_backends::Secret;
use odoo_ha_core::driver::{Clock, HaHandle, SystemClock};
use odoo_ha_core::error::{Error, ErrorKind};
use odoo_ha_core::roles::Dcs;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};

use super::routes::{self, Answer, Node, Reply};
use super::tally::Tally;

/// Longest head of a request, in bytes; hyper allows no less.
const MOST_HEAD_BYTES: usize = 8 * 1024;
/// Longest body, in bytes: a wish is a name and a word.
const MOST_BODY_BYTES: usize = 4 * 1024;
/// How long a request may take to come, and its answer to be taken.
const READ_PATIENCE: Duration = Duration::from_secs(5);
/// How long a wish is waited for by whoever made it; it goes on without them.
const WISH_PATIENCE: Duration = Duration::from_secs(120);
/// Connections at once; of more, the oldest that has not asked yet goes.
const MOST_CONNECTIONS: usize = 64;
/// Pause after a port could not be had, or no connection could be.
const PAUSE: Duration = Duration::from_millis(500);

/// What connections share.
struct Desk {
    node: HaHandle,
    tally: Tally,
    /// A client of its own, for what operators change there.
    store: Arc<dyn Dcs>,
    /// Without one nothing can be wished.
    token: Option<Secret>,
}

/// Answers at this address, on a thread of its own, until the node has ended. A port that cannot be had is tried again.
///
/// # Errors
///
/// `Unavailable` when the system gives no thread.
pub(crate) fn start(
    listen: SocketAddr,
    token: Option<Secret>,
    node: HaHandle,
    store: impl FnOnce() -> Result<Arc<dyn Dcs>, Error>,
) -> Result<(), Error> {
    let failed =
        |error: std::io::Error| Error::new(ErrorKind::Unavailable, "the HTTP interface has no thread").caused_by(error);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
    let store = {
        // A client may want the runtime that it works on.
        let _entered = runtime.enter();
        store()?
    };
    let desk = Arc::new(Desk { node, tally: Tally::default(), store, token });
    let thread = std::thread::Builder::new().name("api".into());
    let spawned = thread.spawn(move || {
        let (counting, events) = (Arc::clone(&desk), desk.node.events());
        runtime.spawn(async move { counting.tally.count(events).await });
        let node = desk.node.clone();
        runtime.block_on(async move {
            tokio::select! {
                () = node.ended() => {}
                () = serve(listen, desk) => {}
            }
        });
        // Who is in the middle of an answer has had it.
        runtime.shutdown_timeout(PAUSE);
    });
    spawned.map(|_| ()).map_err(failed)
}

async fn serve(listen: SocketAddr, desk: Arc<Desk>) {
    let mut said = false;
    let listener = loop {
        match TcpListener::bind(listen).await {
            Ok(listener) => break listener,
            Err(error) => {
                if !std::mem::replace(&mut said, true) {
                    tracing::error!(%listen, %error, "the HTTP interface cannot listen; it is tried again, and the node runs without it");
                }
                tokio::time::sleep(PAUSE).await;
            }
        }
    };
    tracing::info!(%listen, "the HTTP interface listens");
    let mut connections = JoinSet::new();
    let mut waiting: VecDeque<(AbortHandle, Arc<AtomicBool>)> = VecDeque::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    while connections.len() >= MOST_CONNECTIONS {
                        make_room(&mut waiting);
                        connections.join_next().await;
                    }
                    let has_asked = Arc::<AtomicBool>::default();
                    let task = connections.spawn(converse(stream, Arc::clone(&desk), Arc::clone(&has_asked)));
                    waiting.push_back((task, has_asked));
                }
                Err(error) => {
                    tracing::debug!(%error, "no connection to the HTTP interface can be accepted");
                    tokio::time::sleep(PAUSE).await;
                }
            },
            Some(_) = connections.join_next() => waiting.retain(|(task, _)| !task.is_finished()),
        }
    }
}

/// Ends the oldest connection that has not asked anything; when all have, the oldest: a wish goes on without who made it.
fn make_room(waiting: &mut VecDeque<(AbortHandle, Arc<AtomicBool>)>) {
    waiting.retain(|(task, _)| !task.is_finished());
    let idle = waiting.iter().position(|(_, has_asked)| !has_asked.load(Ordering::Relaxed)).unwrap_or(0);
    if let Some((task, _)) = waiting.remove(idle) {
        task.abort();
    }
}

/// One connection, one request.
async fn converse(stream: TcpStream, desk: Arc<Desk>, has_asked: Arc<AtomicBool>) {
    // Without it the answer only comes later.
    let _ = stream.set_nodelay(true);
    let answer = service_fn(|request| async {
        let reply = answer(request, &desk, &has_asked).await;
        Ok::<_, Infallible>(response(&reply))
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(READ_PATIENCE)
        .keep_alive(false)
        .max_buf_size(MOST_HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), answer);
    // What a stranger sends is no trouble of this node's.
    let _ = tokio::time::timeout(WISH_PATIENCE + READ_PATIENCE * 3, connection).await;
}

async fn answer(request: Request<Incoming>, desk: &Desk, has_asked: &AtomicBool) -> Reply {
    let (head, body) = request.into_parts();
    let body = tokio::time::timeout(READ_PATIENCE, Limited::new(body, MOST_BODY_BYTES).collect()).await;
    let body = match body {
        Ok(Ok(body)) => body.to_bytes(),
        Ok(Err(_)) => return Reply::error(413, "the body is longer than 4 KiB"),
        Err(_) => return Reply::error(408, "the body did not come in time"),
    };
    has_asked.store(true, Ordering::Relaxed);
    let status = desk.node.status();
    let files = desk.node.filestore();
    let node = Node { status: &status, files: files.as_ref(), tally: &desk.tally, now: SystemClock.now() };
    let wish = match routes::answer(head.method.as_str(), head.uri.path(), head.uri.query().unwrap_or(""), &body, &node)
    {
        Answer::Reply(reply) => return reply,
        Answer::Wish(wish) => wish,
    };
    if let Some(refusal) = refusal(desk.token.as_ref(), head.headers.get(AUTHORIZATION)) {
        return refusal;
    }
    tracing::info!(?wish, "asked for over HTTP");
    // Dropping it would not take it back; the task makes that plain.
    let node = desk.node.clone();
    let store = Arc::clone(&desk.store);
    let made = tokio::spawn(async move { wish.make(&node, store.as_ref()).await });
    match tokio::time::timeout(WISH_PATIENCE, made).await {
        Ok(Ok(reply)) => reply,
        Ok(Err(_)) => Reply::error(503, "the node is ending"),
        Err(_) => Reply::error(504, "it is still under way; /status shows how it goes"),
    }
}

/// Why this credential does not suffice.
fn refusal(token: Option<&Secret>, said: Option<&HeaderValue>) -> Option<Reply> {
    let Some(token) = token else {
        return Some(Reply::error(403, "nothing can be asked for here: the node's file has no [api] token"));
    };
    let said = said.map(HeaderValue::as_bytes).and_then(|said| said.strip_prefix(b"Bearer "));
    match token.is(said.unwrap_or_default(), "the token of [api]") {
        Ok(true) => None,
        Ok(false) => Some(Reply::error(401, "send the header Authorization: Bearer TOKEN")),
        Err(error) => {
            tracing::error!("{}", error.chain());
            Some(Reply::error(503, "the node's own token cannot be read; its log says why"))
        }
    }
}

fn response(reply: &Reply) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(reply.body.clone()));
    *response.status_mut() = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(reply.kind));
    response
}
