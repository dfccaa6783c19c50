//! What the record says: gaps, lost writes, two writers at once. No clock, no world.

use std::collections::BTreeSet;
use std::time::Duration;

use super::node::Node;
use super::record::Record;

/// Two acknowledged local writes of one node no farther apart than this show that it accepted writes in between: the probe
/// writes every 50 ms.
const SAME_SPAN: Duration = Duration::from_millis(150);

/// A time span.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) from: Duration,
    pub(crate) to: Duration,
}

impl Span {
    pub(crate) fn new(from: Duration, to: Duration) -> Self {
        Self { from, to }
    }

    pub(crate) fn length(self) -> Duration {
        self.to.saturating_sub(self.from)
    }

    pub(crate) fn contains(self, moment: Duration) -> bool {
        self.from <= moment && moment < self.to
    }

    fn overlap(self, other: Self) -> Duration {
        self.to.min(other.to).saturating_sub(self.from.max(other.from))
    }
}

/// The longest time between two acknowledged writes (`acks`, in order) that touches the window; one that has not ended when
/// the window does ends there.
pub(crate) fn longest_gap(acks: &[Duration], window: Span) -> Span {
    let before = acks.iter().copied().take_while(|ack| *ack <= window.from).last().unwrap_or(window.from);
    let mut longest = Span::new(before, before);
    let mut last = before;
    for ack in acks.iter().copied().filter(|ack| *ack > window.from) {
        let gap = Span::new(last, ack);
        if last < window.to && gap.length() > longest.length() {
            longest = gap;
        }
        last = ack;
    }
    let open = Span::new(last, window.to);
    if open.length() > longest.length() { open } else { longest }
}

/// For how long both nodes accepted writes at the same time within the window.
pub(crate) fn two_writers(record: &Record, window: Span) -> Duration {
    let [a, b] = Node::BOTH.map(|node| spans(&accepted(record, node, window)));
    a.iter().flat_map(|one| b.iter().map(|other| one.overlap(*other))).sum()
}

/// The moments at which this node accepted a write, from wherever it came.
fn accepted(record: &Record, node: Node, window: Span) -> Vec<Duration> {
    let clients = record.writes.iter().filter(|write| write.by == Some(node)).filter_map(|write| write.acked);
    let local = record.node(node).local_acks.iter().copied();
    let mut moments: Vec<Duration> = clients.chain(local).filter(|at| window.contains(*at)).collect();
    moments.sort_unstable();
    moments
}

fn spans(moments: &[Duration]) -> Vec<Span> {
    let mut spans: Vec<Span> = Vec::new();
    for moment in moments {
        match spans.last_mut() {
            Some(span) if moment.saturating_sub(span.to) <= SAME_SPAN => span.to = *moment,
            _ => spans.push(Span::new(*moment, *moment)),
        }
    }
    spans
}

/// Acknowledged writes of the window, and those of them that are not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Counted {
    pub(crate) acknowledged: usize,
    pub(crate) lost: usize,
}

/// Counts the writes that were acknowledged in the window, and those of them that are not among `present`.
pub(crate) fn count(record: &Record, present: &BTreeSet<i64>, window: Span) -> Counted {
    let mut counted = Counted { acknowledged: 0, lost: 0 };
    for write in &record.writes {
        if write.acked.is_some_and(|at| window.contains(at)) {
            counted.acknowledged += 1;
            counted.lost += usize::from(!present.contains(&write.id));
        }
    }
    counted
}

#[cfg(test)]
mod tests {
    use super::super::record::Write;
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn span(from: u64, to: u64) -> Span {
        Span::new(ms(from), ms(to))
    }

    fn gap(acks: &[u64], from: u64, to: u64) -> Span {
        longest_gap(&acks.iter().copied().map(ms).collect::<Vec<_>>(), span(from, to))
    }

    #[test]
    fn a_gap_reaches_from_the_last_ack_before_the_fault_to_the_first_after_it() {
        assert_eq!(gap(&[10, 20, 30, 500, 510], 35, 600), span(30, 500));
    }

    #[test]
    fn the_longest_of_several_gaps_counts() {
        assert_eq!(gap(&[0, 10, 200, 210, 900, 910], 15, 1000), span(210, 900));
    }

    #[test]
    fn gaps_outside_of_the_window_do_not_count() {
        assert_eq!(gap(&[0, 5000, 5010, 5020, 9000], 5005, 5021), span(5020, 9000));
        assert_eq!(gap(&[0, 5000, 5010, 5020, 5030, 9000], 5005, 5022), span(5000, 5010));
    }

    #[test]
    fn an_outage_that_does_not_end_is_as_long_as_it_was_watched() {
        assert_eq!(gap(&[10, 20], 25, 60_025), span(20, 60_025));
        assert_eq!(gap(&[], 25, 1000), span(25, 1000));
    }

    fn record(local: [&[u64]; 2], client: &[(i64, Option<u64>, Node)]) -> Record {
        let mut record = Record::default();
        for (node, acks) in Node::BOTH.into_iter().zip(local) {
            record.node_mut(node).local_acks = acks.iter().copied().map(ms).collect();
        }
        record.writes = client
            .iter()
            .map(|(id, acked, by)| Write { id: *id, sent: ms(0), acked: acked.map(ms), by: Some(*by) })
            .collect();
        record
    }

    #[test]
    fn one_writer_after_the_other_is_not_two() {
        let record = record([&[0, 50, 100, 1000, 1050], &[101, 150, 200, 700]], &[]);
        assert_eq!(two_writers(&record, span(0, 2000)), ms(0));
    }

    #[test]
    fn two_writers_are_seen_for_as_long_as_both_accept() {
        let record = record([&[0, 50, 100, 150, 200, 250], &[120, 170, 220, 270]], &[]);
        assert_eq!(two_writers(&record, span(0, 2000)), ms(130));
        assert_eq!(two_writers(&record, span(0, 200)), ms(30));
    }

    #[test]
    fn a_single_write_of_a_second_writer_is_seen_in_the_midst_of_the_others() {
        let record = record([&[0, 50, 100, 150], &[90]], &[(1, Some(93), Node::B)]);
        assert_eq!(two_writers(&record, span(0, 2000)), ms(3));
    }

    #[test]
    fn only_acknowledged_writes_can_be_lost() {
        let record = record([&[], &[]], &[(1, Some(10), Node::A), (2, None, Node::A), (3, Some(30), Node::B)]);
        let counted = count(&record, &BTreeSet::from([1, 2]), span(0, 100));
        assert_eq!(counted, Counted { acknowledged: 2, lost: 1 });
        assert_eq!(count(&record, &BTreeSet::new(), span(20, 30)), Counted { acknowledged: 0, lost: 0 });
    }
}
