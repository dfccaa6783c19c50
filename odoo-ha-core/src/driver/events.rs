//! Events, on their way to streams, notifiers and the log.

use tokio::sync::broadcast;

use crate::event::Event;

use super::log::{Line, Log};
use super::notifiers::NotifierQueue;

/// Events that a stream keeps for a slow reader. A failover makes about ten.
const STREAM: usize = 256;

/// What a stream of events gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Streamed {
    /// The next event.
    Event(Event),
    /// So many events were dropped because they were not read in time; the next one read is newer.
    Missed(u64),
}

/// The events of one member, from the moment when the stream was made.
#[derive(Debug)]
pub struct EventStream {
    receiver: broadcast::Receiver<Event>,
}

impl EventStream {
    /// The next event; `None` once the node has ended and all were read. Cancel-safe. Any executor will do.
    pub async fn next(&mut self) -> Option<Streamed> {
        match self.receiver.recv().await {
            Ok(event) => Some(Streamed::Event(event)),
            Err(broadcast::error::RecvError::Lagged(missed)) => Some(Streamed::Missed(missed)),
            Err(broadcast::error::RecvError::Closed) => None,
        }
    }
}

/// Where streams come from, for as long as the node runs.
#[derive(Clone, Debug)]
pub(super) struct EventSource {
    sender: broadcast::WeakSender<Event>,
}

impl EventSource {
    /// A stream from now on; one that has ended if the node has.
    pub(super) fn stream(&self) -> EventStream {
        let receiver = self.sender.upgrade().map_or_else(|| broadcast::channel(1).1, |sender| sender.subscribe());
        EventStream { receiver }
    }
}

/// Hands every event to everybody, without waiting for anybody.
#[derive(Debug)]
pub(super) struct Events {
    streams: broadcast::Sender<Event>,
    notifiers: Vec<NotifierQueue>,
    log: Log,
}

impl Events {
    pub(super) fn new(notifiers: Vec<NotifierQueue>, log: Log) -> Self {
        Self { streams: broadcast::channel(STREAM).0, notifiers, log }
    }

    pub(super) fn source(&self) -> EventSource {
        EventSource { sender: self.streams.downgrade() }
    }

    pub(super) fn publish(&self, event: Event) {
        for notifier in &self.notifiers {
            notifier.push(event.clone());
        }
        // Nobody listening is fine.
        let _ = self.streams.send(event.clone());
        self.log.line(Line::Event(event));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::EventKind;
    use crate::member::{ClusterId, MemberId};
    use crate::term::Term;

    fn event(number: usize) -> Event {
        let (cluster, member) = (ClusterId::new("shop").unwrap(), MemberId::new("a").unwrap());
        Event::new(number.to_string(), cluster, member, Term(1), EventKind::Serving, "it serves".into())
    }

    #[tokio::test]
    async fn a_slow_reader_is_told_how_much_it_missed_and_then_the_end() {
        let lane = super::super::lanes::Lanes::on(tokio::runtime::Handle::current()).lane("log").unwrap();
        let log = Log::start(&lane, ClusterId::new("shop").unwrap(), MemberId::new("a").unwrap());
        let events = Events::new(Vec::new(), log);
        let source = events.source();
        let mut stream = source.stream();
        for number in 0..STREAM + 3 {
            events.publish(event(number));
        }
        assert_eq!(stream.next().await, Some(Streamed::Missed(3)));
        assert_eq!(stream.next().await, Some(Streamed::Event(event(3))));
        drop(events);
        for number in 4..STREAM + 3 {
            assert_eq!(stream.next().await, Some(Streamed::Event(event(number))));
        }
        assert_eq!(stream.next().await, None);
        assert_eq!(source.stream().next().await, None);
    }
}
