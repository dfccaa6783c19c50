//! What agent and guard say to each other: one JSON value a line.

use std::time::Duration;

use odoo_ha_core::roles::Feed;
use odoo_ha_core::term::Term;
use odoo_ha_core::time::Moment;
use serde::{Deserialize, Serialize};

/// Changes when an older guard and a newer agent would misunderstand each other.
pub(super) const VERSION: u32 = 1;

/// Longest line in bytes: an `Arm` carries two paths and a command, which the configuration bounds below this.
pub(super) const LINE_LIMIT: usize = 32 * 1024;

/// The guard speaks first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Hello {
    pub(super) version: u32,
    pub(super) pid: i32,
    /// As configured, to tell two clusters apart that were given the same runtime directory.
    pub(super) data_dir: String,
}

/// What the agent may ask for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Request {
    Arm(Arm),
    Feed(Leave),
    Disarm { incarnation: Option<u64> },
    Status,
}

/// Everything the guard must know to act; a newer agent brings its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Arm {
    pub(super) leave: Leave,
    /// Without symbolic links.
    pub(super) data_dir: String,
    /// The user that it belongs to, as far as is known.
    #[serde(default)]
    pub(super) owner: Option<u32>,
    /// When the asking process was started, in clock ticks since boot (`proc_pid_stat(5)`, field 22).
    pub(super) agent_started: u64,
    pub(super) acts_before_ms: u64,
    pub(super) kill_agent: bool,
    pub(super) drop_address: Option<Vec<String>>,
    pub(super) stop_services: Option<Vec<String>>,
}

/// A [`Feed`] that can be written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Leave {
    pub(super) incarnation: u64,
    pub(super) term: Term,
    #[serde(with = "nanos_or_null")]
    pub(super) deadline: Option<Moment>,
}

impl From<Feed> for Leave {
    fn from(feed: Feed) -> Self {
        Self { incarnation: feed.incarnation, term: feed.term, deadline: feed.deadline }
    }
}

/// The guard's answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Reply {
    Done,
    Refused(Refusal),
    Status(GuardStatus),
}

/// Why the guard did not do it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Refusal {
    /// It has acted, and this is no new reign.
    Acted { term: Term },
    /// A newer start of the agent, or a newer term, has been here.
    Older { incarnation: u64, term: Term },
    /// There is nothing to feed.
    Unarmed,
    /// So little is left of the deadline that it would act at once.
    TooLate { left_ms: u64 },
    /// It is acting now.
    Acting,
    /// The process that asks could not be identified, so it could not be killed either.
    Unidentified,
    /// It could not find, or not end, every process of the database.
    Powerless { why: String },
    /// Not understood.
    Malformed,
}

/// What a guard is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GuardState {
    /// Not armed.
    Idle,
    /// Armed: acts when it is not fed.
    Armed,
    /// Making the node harmless.
    Acting,
    /// Has acted; feeds on nothing until it is armed anew.
    Acted,
}

/// A guard, looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct GuardStatus {
    /// Its process id.
    pub pid: i32,
    /// What it is doing.
    pub state: GuardState,
    /// The newest incarnation of an agent that armed it since the machine's start.
    pub incarnation: Option<u64>,
    /// The term it is armed for, or acted against last.
    pub term: Option<Term>,
    /// When the node must be harmless; `None` while it is not armed or the cluster is paused.
    #[serde(with = "nanos_or_null")]
    pub deadline: Option<Moment>,
    /// What it did when it acted last since the machine's start.
    pub last: Option<Firing>,
}

/// What a guard did when it acted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Firing {
    /// The agent's incarnation whose leave ran out.
    pub incarnation: u64,
    /// Its term.
    pub term: Term,
    /// The deadline that came near.
    #[serde(with = "nanos")]
    pub deadline: Moment,
    /// When it began to act.
    #[serde(with = "nanos")]
    pub began: Moment,
    /// When no process of the instance was left; `None` while it is at it.
    #[serde(with = "nanos_or_null")]
    pub ended: Option<Moment>,
    /// Whether the agent was alive and was killed.
    pub agent_killed: bool,
    /// How the command that drops the address ended, when there is one.
    pub drop_address: Option<String>,
    /// How the command that stops the services ended, when there is one.
    pub stop_services: Option<String>,
    /// Processes that were asked to stop at once (`SIGQUIT`).
    pub asked: u64,
    /// Processes that were killed (`SIGKILL`).
    pub killed: u64,
    /// Processes that could not be signalled (rights are missing).
    pub out_of_reach: u64,
    /// Processes that may be the instance's and could not be looked at (rights are missing), in the last look. While there are any, it
    /// has not `ended`.
    #[serde(default)]
    pub unseen: u64,
}

/// A moment as nanoseconds of `CLOCK_BOOTTIME`.
mod nanos {
    use serde::{Deserializer, Serializer};

    use super::{Deserialize, Duration, Moment};

    pub(super) fn serialize<S: Serializer>(at: &Moment, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_u64(u64::try_from(at.since_origin().as_nanos()).unwrap_or(u64::MAX))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Moment, D::Error> {
        u64::deserialize(from).map(|nanos| Moment::from_origin(Duration::from_nanos(nanos)))
    }
}

/// The same, or null.
mod nanos_or_null {
    use serde::{Deserializer, Serializer};

    use super::{Deserialize, Duration, Moment, nanos};

    pub(super) fn serialize<S: Serializer>(at: &Option<Moment>, to: S) -> Result<S::Ok, S::Error> {
        match at {
            Some(at) => nanos::serialize(at, to),
            None => to.serialize_none(),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Moment>, D::Error> {
        let nanos = Option::<u64>::deserialize(from)?;
        Ok(nanos.map(|nanos| Moment::from_origin(Duration::from_nanos(nanos))))
    }
}

/// The value as a line, the line feed included.
pub(super) fn line<T: Serialize>(value: &T) -> std::io::Result<Vec<u8>> {
    let mut bytes = serde_json::to_vec(value)?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// Takes the first whole line out of a buffer, without its line feed.
///
/// # Errors
///
/// `InvalidData` when the buffer holds more than [`LINE_LIMIT`] bytes and no line.
pub(super) fn take_line(buffer: &mut Vec<u8>) -> std::io::Result<Option<Vec<u8>>> {
    let Some(end) = buffer.iter().position(|byte| *byte == b'\n') else {
        if buffer.len() > LINE_LIMIT {
            return Err(std::io::Error::new(std::io::ErrorKind::InvalidData, "a line is too long"));
        }
        return Ok(None);
    };
    let rest = buffer.split_off(end + 1);
    let mut line = std::mem::replace(buffer, rest);
    line.pop();
    Ok(Some(line))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_feed_is_one_short_line_of_plain_numbers() {
        let deadline = Some(Moment::from_origin(Duration::from_nanos(7)));
        let feed = Request::Feed(Leave { incarnation: 3, term: Term(5), deadline });
        let bytes = line(&feed).expect("it is a line");
        assert_eq!(bytes, b"{\"feed\":{\"incarnation\":3,\"term\":5,\"deadline\":7}}\n");
        assert_eq!(serde_json::from_slice::<Request>(&bytes).expect("it is read again"), feed);
    }

    #[test]
    fn a_paused_leave_is_null() {
        let leave = Leave { incarnation: 3, term: Term(5), deadline: None };
        let bytes = line(&leave).expect("it is a line");
        assert_eq!(bytes, b"{\"incarnation\":3,\"term\":5,\"deadline\":null}\n");
        assert_eq!(serde_json::from_slice::<Leave>(&bytes).expect("it is read again"), leave);
    }

    #[test]
    fn lines_are_taken_whole_and_in_order() {
        let mut buffer = b"one\ntwo\nthr".to_vec();
        assert_eq!(take_line(&mut buffer).expect("short").as_deref(), Some(&b"one"[..]));
        assert_eq!(take_line(&mut buffer).expect("short").as_deref(), Some(&b"two"[..]));
        assert_eq!(take_line(&mut buffer).expect("short"), None);
        assert_eq!(buffer, b"thr");
        buffer.resize(LINE_LIMIT + 1, b'x');
        assert!(take_line(&mut buffer).is_err());
    }
}
