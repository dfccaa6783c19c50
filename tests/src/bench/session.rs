//! What Consul itself offers: a key that a session holds. One contender holds it, the others wait until nobody does and then acquire it.
//!
//! The session hangs on nothing but its ttl, 10 s at least, and is renewed three times in it; there is no lock delay. A server that does not answer
//! within a second is left for the next one.

use std::time::{Duration, Instant};

use reqwest::{Client, Method};
use serde_json::{Value, json};
use tokio::time::sleep;

use super::Fallible;
use super::args::NativeArgs;
use super::contender::Word;

/// Longest wait for an answer of one server; for a change it is asked to wait less.
const PATIENCE: Duration = Duration::from_secs(1);

/// How long the server waits for a change.
const WAIT_MS: u64 = 500;

/// Before the next server is asked.
const PAUSE: Duration = Duration::from_millis(20);

/// Consul's shortest.
const SHORTEST_TTL: Duration = Duration::from_secs(10);

/// Runs it, until the process is killed.
pub(super) async fn run(args: &NativeArgs) -> Fallible {
    let client = Client::builder().no_proxy().timeout(PATIENCE).build()?;
    let ttl = args.ttl.max(SHORTEST_TTL);
    let mut contender = Contender { args, client, ttl, session: None, renewed: Instant::now(), leads: false };
    for endpoint in args.endpoints.iter().cycle() {
        if let Err(error) = contender.at(endpoint).await {
            eprintln!("{endpoint}: {error}");
        }
        sleep(PAUSE).await;
    }
    Ok(())
}

struct Contender<'a> {
    args: &'a NativeArgs,
    client: Client,
    ttl: Duration,
    session: Option<String>,
    renewed: Instant,
    leads: bool,
}

impl Contender<'_> {
    /// Contends at one server, until that fails.
    async fn at(&mut self, endpoint: &str) -> Fallible {
        let mut index = 0;
        loop {
            let session = self.session(endpoint).await?;
            let key = &self.args.key;
            let (_, found, at) =
                self.ask(Method::GET, &format!("{endpoint}/v1/kv/{key}?index={index}&wait={WAIT_MS}ms"), None).await?;
            index = at;
            let holder = found.get(0).and_then(|entry| entry.get("Session")).and_then(Value::as_str);
            let mut leads = holder == Some(session.as_str());
            if holder.is_none() {
                let url = format!("{endpoint}/v1/kv/{key}?acquire={session}");
                leads = self.ask(Method::PUT, &url, Some(json!(self.args.name))).await?.1 == json!(true);
            }
            if leads != self.leads {
                self.leads = leads;
                Word::Leads(leads).say();
            }
            Word::Whole(true).say();
        }
    }

    /// The own session, made or renewed where it is time.
    async fn session(&mut self, endpoint: &str) -> Fallible<String> {
        if let Some(session) = self.session.clone() {
            if self.renewed.elapsed() < self.ttl / 3 {
                return Ok(session);
            }
            let url = format!("{endpoint}/v1/session/renew/{session}");
            if self.ask(Method::PUT, &url, None).await?.0 == 200 {
                self.renewed = Instant::now();
                return Ok(session);
            }
            self.session = None;
        }
        let wanted = json!({
            "Name": self.args.name,
            "TTL": format!("{}s", self.ttl.as_secs()),
            "LockDelay": "0s",
            "Behavior": "release",
            "NodeChecks": [],
        });
        let (_, made, _) = self.ask(Method::PUT, &format!("{endpoint}/v1/session/create"), Some(wanted)).await?;
        let session = made.get("ID").and_then(Value::as_str).ok_or("no session was made")?.to_owned();
        (self.session, self.renewed) = (Some(session.clone()), Instant::now());
        Ok(session)
    }

    /// Status, content, and index. That a key or session is not there is an answer.
    async fn ask(&self, method: Method, url: &str, body: Option<Value>) -> Fallible<(u16, Value, u64)> {
        let request = self.client.request(method, url).body(body.map(|body| body.to_string()).unwrap_or_default());
        let answer = request.send().await?;
        let status = answer.status().as_u16();
        let index = answer.headers().get("x-consul-index").and_then(|index| index.to_str().ok()?.parse().ok());
        let text = answer.text().await?;
        if status != 200 && status != 404 {
            return Err(format!("{url}: {status} {text}").into());
        }
        Ok((status, serde_json::from_str(&text).unwrap_or_default(), index.unwrap_or_default()))
    }
}
