//! The HTTP client: who asks.

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::header::{CONTENT_TYPE, HOST};
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use odoo_ha_core::error::Error;
use tokio::net::TcpStream;

use super::error::{broken_off, no_request, not_reached, too_long};
use super::proof::Tag;
use super::target::Target;
use super::wire::{MOST_BODY_BYTES, PATH, Signed, TAG};

/// Longest head of an answer, in bytes.
const MOST_HEAD_BYTES: usize = 16 * 1024;

/// What came back, whoever sent it.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) tag: Option<Tag>,
    pub(super) body: Bytes,
}

/// Sends a question on a connection of its own and reads what comes back. Everything ends when it is dropped.
pub(super) async fn send(target: &Target, question: &Signed) -> Result<Answer, Error> {
    let stream = TcpStream::connect((target.host.as_str(), target.port)).await;
    let stream = stream.map_err(|error| not_reached(target, error))?;
    // Without it the question only goes out later.
    let _ = stream.set_nodelay(true);
    let (mut sender, connection) = http1::Builder::new()
        .max_buf_size(MOST_HEAD_BYTES)
        .handshake::<_, Full<Bytes>>(TokioIo::new(stream))
        .await
        .map_err(|error| broken_off(target, error))?;
    let request = Request::builder()
        .method(Method::POST)
        .uri(PATH)
        .header(HOST, target.to_string())
        .header(CONTENT_TYPE, "application/json")
        .header(TAG, question.tag.to_text())
        .body(Full::from(question.body.clone()))
        .map_err(|error| no_request(target, error))?;
    let exchange = async {
        let response = sender.send_request(request).await.map_err(|error| broken_off(target, error))?;
        let (status, headers) = (response.status().as_u16(), response.headers());
        let tag = headers.get(TAG).and_then(|tag| Tag::from_text(tag.as_bytes()));
        let body = Limited::new(response.into_body(), MOST_BODY_BYTES).collect().await;
        let body = body.map_err(|error| match error.downcast::<hyper::Error>() {
            Ok(error) => broken_off(target, *error),
            Err(_) => too_long(target),
        })?;
        Ok(Answer { status, tag, body: body.to_bytes() })
    };
    tokio::pin!(exchange, connection);
    let mut is_open = true;
    loop {
        tokio::select! {
            answer = &mut exchange => return answer,
            // What went wrong with it the exchange hears as well.
            _ = &mut connection, if is_open => is_open = false,
        }
    }
}
