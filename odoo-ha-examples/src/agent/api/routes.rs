//! What is answered to what. Pure: no socket, no clock.

use odoo_ha_core::database::DatabaseState;
use odoo_ha_core::driver::FilestoreReport;
use odoo_ha_core::machine::{StateName, Status};
use odoo_ha_core::time::Moment;
use serde_json::json;

use super::tally::Tally;
use super::wish::Wish;
use super::{metrics, picture};

/// What a request comes to.
#[derive(Debug, PartialEq)]
pub(super) enum Answer {
    /// This.
    Reply(Reply),
    /// An operator's wish; its credential is not looked at yet.
    Wish(Wish),
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) kind: &'static str,
    pub(super) body: String,
}

impl Reply {
    pub(super) fn json(status: u16, body: &serde_json::Value) -> Self {
        Self { status, kind: "application/json", body: format!("{body}\n") }
    }

    pub(super) fn error(status: u16, why: &str) -> Self {
        Self::json(status, &json!({ "error": why }))
    }
}

/// The answer to a request; `body` is that of a `POST`.
pub(super) fn answer(method: &str, path: &str, query: &str, body: &[u8], node: &Node<'_>) -> Answer {
    let asks = matches!(method, "GET" | "HEAD" | "OPTIONS");
    let reply = match path {
        "/" | "/primary" if asks => node.judge(node.is_primary()),
        "/leader" if asks => node.judge(node.leads()),
        "/standby" | "/replica" if asks => match longest_lag(query) {
            Ok(most) => node.judge(node.is_standby(most)),
            Err(why) => Reply::error(400, &why),
        },
        "/health" | "/liveness" if asks => node.judge(node.runs()),
        "/readiness" if asks => node.judge(node.is_primary() || node.is_standby(None)),
        "/status" | "/cluster" if asks => Reply::json(200, &picture::of(node.status, node.files, node.now)),
        "/metrics" if asks => {
            let kind = "text/plain; version=0.0.4; charset=utf-8";
            Reply { status: 200, kind, body: metrics::text(node) }
        }
        "/config" if asks => {
            Reply::json(200, &json!({ "policy": node.status.policy, "refused": node.status.policy_refused }))
        }
        _ => {
            let by = if path == "/config" { "PATCH" } else { "POST" };
            return match Wish::read(path, body) {
                Some(_) if method != by => Answer::Reply(Reply::error(405, &format!("this is asked for by {by}"))),
                Some(Ok(wish)) => Answer::Wish(wish),
                Some(Err(why)) => Answer::Reply(Reply::error(400, &why)),
                None => Answer::Reply(unknown(path, asks)),
            };
        }
    };
    Answer::Reply(reply)
}

fn unknown(path: &str, asks: bool) -> Reply {
    let known = [
        "/",
        "/primary",
        "/leader",
        "/standby",
        "/replica",
        "/health",
        "/liveness",
        "/readiness",
        "/status",
        "/cluster",
        "/metrics",
    ];
    if !asks && known.contains(&path) {
        return Reply::error(405, "this is asked for by GET");
    }
    Reply::error(404, "there is no such page; docs/reference/api.md has all of them")
}

/// The largest lag of `max_lag=BYTES` (or `lag=`, as HAProxy configurations for Patroni have it), with `kB`, `MB` or `GB`; `None`: any.
fn longest_lag(query: &str) -> Result<Option<u64>, String> {
    let said = query.split('&').find_map(|part| part.strip_prefix("max_lag=").or_else(|| part.strip_prefix("lag=")));
    let Some(said) = said else { return Ok(None) };
    let wrong = || "the lag is a number of bytes, or of kB, MB or GB".to_owned();
    let end = said.find(|c: char| !c.is_ascii_digit()).unwrap_or(said.len());
    let (number, unit) = said.split_at(end);
    let unit: u64 = match unit {
        "" | "B" => 1,
        "kB" => 1 << 10,
        "MB" => 1 << 20,
        "GB" => 1 << 30,
        _ => return Err(wrong()),
    };
    number.parse::<u64>().ok().and_then(|number| number.checked_mul(unit)).map(Some).ok_or_else(wrong)
}

/// The node at one moment.
#[derive(Debug)]
pub(super) struct Node<'a> {
    pub(super) status: &'a Status,
    pub(super) files: Option<&'a FilestoreReport>,
    pub(super) tally: &'a Tally,
    pub(super) now: Moment,
}

impl Node<'_> {
    /// Its agent runs.
    pub(super) fn runs(&self) -> bool {
        self.status.state != StateName::Stopped
    }

    /// How much longer its leadership is certain, in seconds: by this moment, not by that of the picture.
    pub(super) fn belief_left_s(&self) -> f64 {
        self.status.leads_until.map_or(0.0, |until| match until {
            Moment::MAX => f64::INFINITY,
            until => until.since(self.now).as_secs_f64(),
        })
    }

    /// It leads, and that is certain at this moment.
    pub(super) fn leads(&self) -> bool {
        let leads = matches!(self.status.state, StateName::Leading | StateName::HandingOver);
        leads && self.status.leads_until.is_some_and(|until| until > self.now)
    }

    /// It leads, and users may write here.
    pub(super) fn is_primary(&self) -> bool {
        let serving = self.status.leader_record.as_ref().is_some_and(|record| record.serving);
        self.leads() && serving && self.database() == Some(DatabaseState::Primary)
    }

    /// It streams and lacks no more than this of the leader's log.
    fn is_standby(&self, most: Option<u64>) -> bool {
        let streams = self.status.database.as_ref().is_some_and(|database| database.streaming);
        let near = most.is_none_or(|most| self.lag().is_some_and(|lag| lag <= most));
        self.runs() && streams && near && self.database() == Some(DatabaseState::Standby)
    }

    fn database(&self) -> Option<DatabaseState> {
        self.status.database.as_ref().map(|database| database.state)
    }

    /// Bytes of log that the leader was last known to have and this node has not replayed.
    pub(super) fn lag(&self) -> Option<u64> {
        let leader = self.status.leader_record.as_ref()?;
        let database = self.status.database.as_ref()?;
        (database.state == DatabaseState::Standby).then(|| leader.lsn.bytes_since(database.replayed))
    }

    fn judge(&self, holds: bool) -> Reply {
        let short = json!({
            "state": self.status.state.as_str(),
            "member": self.status.member,
            "leader": self.status.leader,
            "term": self.status.term.0,
        });
        Reply::json(if holds { 200 } else { 503 }, &short)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lags_are_numbers_of_bytes() {
        for (query, lag) in [
            ("", None),
            ("x=1", None),
            ("max_lag=0", Some(0)),
            ("a=b&max_lag=10kB", Some(10_240)),
            ("lag=16MB", Some(16 << 20)),
            ("lag=2GB", Some(2 << 30)),
        ] {
            assert_eq!(longest_lag(query), Ok(lag), "{query}");
        }
        for query in
            ["max_lag=", "max_lag=-1", "max_lag=1TB", "max_lag=99999999999999999999", "lag=17179869184GB", "lag=1%20MB"]
        {
            assert!(longest_lag(query).is_err(), "{query}");
        }
    }
}
