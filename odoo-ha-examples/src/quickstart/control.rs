//! What demo and node agents say to each other: one JSON value a line.
//!
//! The agent says on its standard output what happens; it is asked through a Unix socket, one question a connection.

use std::path::Path;
use std::time::Duration;

use odoo_ha_core::event::Event;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;

use super::trouble::Trouble;

/// Longest question or answer in bytes; they have some hundred.
const LONGEST: u64 = 64 * 1024;

/// A line of an agent's standard output.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Said {
    /// It runs and can be asked.
    Ready,
    /// Something happened.
    Happened {
        /// When, by the clock that all processes share.
        at: Duration,
        /// What.
        event: Event,
    },
    /// It cannot run.
    Failed {
        /// Why.
        why: String,
    },
}

/// A question to an agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Question {
    Status,
    Switchover { to: String },
    Pause,
    Resume,
    Shutdown,
}

/// The answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Answer {
    Done,
    Status(NodeStatus),
    Refused(String),
}

/// What a node says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct NodeStatus {
    /// The state of its machine, as one word.
    pub(crate) state: String,
    pub(crate) term: u64,
    pub(crate) leader: Option<String>,
    /// What its database does, as one word.
    pub(crate) database: String,
    /// Who must acknowledge commits.
    pub(crate) synchronous: Vec<String>,
    pub(crate) address_here: bool,
    pub(crate) paused: bool,
    /// What stands in the way.
    pub(crate) refusal: Option<String>,
}

/// Asks the agent that takes orders at this socket.
pub(crate) async fn ask(socket: &Path, question: &Question, deadline: Duration) -> Result<Answer, Trouble> {
    let conversation = async {
        let mut stream = UnixStream::connect(socket).await?;
        stream.write_all(&line(question)?).await?;
        read_line::<Answer>(&mut stream).await
    };
    let node = socket.parent().and_then(Path::file_name).unwrap_or_default().to_string_lossy().into_owned();
    match tokio::time::timeout(deadline, conversation).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(source)) => Err(Trouble::new(format!("the agent of {node} does not answer: {source}"))),
        Err(_) => Err(Trouble::new(format!("the agent of {node} does not answer within {deadline:?}"))),
    }
}

/// Reads one line from a stream.
pub(crate) async fn read_line<T: for<'a> Deserialize<'a>>(stream: &mut UnixStream) -> std::io::Result<T> {
    let mut text = String::new();
    BufReader::new(stream.take(LONGEST)).read_line(&mut text).await?;
    if text.is_empty() {
        return Err(std::io::ErrorKind::UnexpectedEof.into());
    }
    serde_json::from_str(&text).map_err(std::io::Error::other)
}

/// The value as a line, the line feed included.
pub(crate) fn line<T: Serialize>(value: &T) -> std::io::Result<Vec<u8>> {
    let mut bytes = serde_json::to_vec(value)?;
    bytes.push(b'\n');
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use odoo_ha_core::event::EventKind;
    use odoo_ha_core::lsn::Timeline;
    use odoo_ha_core::member::{ClusterId, MemberId};
    use odoo_ha_core::term::Term;

    use super::*;

    #[test]
    fn events_survive_the_way_to_the_demo() {
        let member = MemberId::new("node_a").expect("valid");
        let kind = EventKind::Promoted {
            timeline: Timeline(2),
            switch_lsn: "0/5000148".parse().expect("valid"),
            duration_ms: 7,
        };
        let cluster = ClusterId::new("demo").expect("valid");
        let event = Event::new("1".into(), cluster, member, Term(2), kind, "it is \"promoted\"\n".into());
        let said = Said::Happened { at: Duration::from_millis(1234), event };
        let bytes = line(&said).expect("it is a line");
        assert_eq!(bytes.iter().filter(|byte| **byte == b'\n').count(), 1);
        assert_eq!(serde_json::from_slice::<Said>(&bytes).expect("it is read again"), said);
    }
}
