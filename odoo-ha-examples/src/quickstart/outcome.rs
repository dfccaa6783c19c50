//! What one fault cost, and whether that is within its limits.

use std::collections::BTreeSet;
use std::time::Duration;

use odoo_ha_core::policy::SyncMode;

use super::clock;
use super::fault::{Fault, Limits};
use super::measure::{self, Span};
use super::node::Node;
use super::record::Record;

/// When what happened around one fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Course {
    pub(crate) fault: Fault,
    /// Counted from 1.
    pub(crate) round: u32,
    /// To whom it was done.
    pub(crate) node: Node,
    /// From the end of the one before to the end of this one.
    pub(crate) span: Span,
    pub(crate) injected: Duration,
    /// From when on the cluster could be whole again: the agent was started again, or thawed, or there was nothing to heal
    /// and the client was served.
    pub(crate) healed: Option<Duration>,
    /// When the other node streamed from the one that serves.
    pub(crate) rejoined: Option<Duration>,
    /// What was missing in the end; `None` when all is as it should be.
    pub(crate) missing: Option<String>,
}

/// What one fault cost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) course: Course,
    pub(crate) gap: Span,
    pub(crate) acknowledged: usize,
    pub(crate) lost: usize,
    pub(crate) two_writers: Duration,
    pub(crate) limits: Limits,
}

impl Outcome {
    /// Measures; `present` is what the final primary has.
    pub(crate) fn of(course: Course, record: &Record, present: &BTreeSet<i64>, ttl: Duration, mode: SyncMode) -> Self {
        let acks = record.acks();
        let gap = measure::longest_gap(&acks, Span::new(course.injected, course.span.to));
        let counted = measure::count(record, present, course.span);
        Self {
            gap,
            acknowledged: counted.acknowledged,
            lost: counted.lost,
            two_writers: measure::two_writers(record, course.span),
            limits: course.fault.limits(ttl, mode),
            course,
        }
    }

    /// How long it took from when it could until the other node streamed again.
    pub(crate) fn rejoin(&self) -> Option<Duration> {
        Some(self.course.rejoined?.saturating_sub(self.course.healed?))
    }

    /// What was missed, each in a few words; empty when every limit held.
    pub(crate) fn missed(&self) -> Vec<String> {
        let mut missed = Vec::new();
        if self.gap.length() >= self.limits.gap {
            missed.push(format!(
                "gap of {}, limit {}",
                clock::seconds(self.gap.length()),
                clock::seconds(self.limits.gap)
            ));
        }
        if self.limits.lost.is_some_and(|limit| self.lost > limit) {
            missed.push(format!("{} acknowledged writes lost", self.lost));
        }
        if !self.two_writers.is_zero() {
            missed.push(format!("two writers for {} ms", clock::millis(self.two_writers)));
        }
        match (&self.course.missing, self.rejoin()) {
            (Some(missing), _) => missed.push(format!("not whole again: {missing}")),
            (None, Some(rejoin)) if rejoin < self.limits.rejoin => {}
            (None, Some(rejoin)) => missed.push(format!(
                "streams again after {}, limit {}",
                clock::seconds(rejoin),
                clock::seconds(self.limits.rejoin)
            )),
            (None, None) => missed.push("never streamed again".into()),
        }
        missed
    }

    /// `ok` or `MISSED`.
    pub(crate) fn verdict(&self) -> &'static str {
        if self.missed().is_empty() { "ok" } else { "MISSED" }
    }

    /// The row of the table: fault, gap, acknowledged, lost, two writers, rejoin.
    pub(crate) fn cells(&self) -> [String; 6] {
        [
            self.course.fault.label().to_owned(),
            clock::seconds(self.gap.length()),
            self.acknowledged.to_string(),
            self.lost.to_string(),
            if self.two_writers.is_zero() { "never".into() } else { format!("{} ms", clock::millis(self.two_writers)) },
            self.rejoin().map_or_else(|| "never".into(), clock::seconds),
        ]
    }
}

/// The heads of the columns of [`Outcome::cells`].
pub(crate) const HEADS: [&str; 6] = ["fault", "longest gap", "acknowledged", "lost", "two writers", "rejoin"];

/// The limits of a row under the same heads; the second is how many were acknowledged, which has none.
pub(crate) fn limit_cells(limits: Limits) -> [String; 6] {
    [
        String::new(),
        format!("< {}", clock::seconds(limits.gap)),
        String::new(),
        limits.lost.map_or_else(|| "any".into(), |lost| lost.to_string()),
        "never".into(),
        format!("< {}", clock::seconds(limits.rejoin)),
    ]
}

/// The table as text, one line a row; the verdict stands last.
pub(crate) fn table(outcomes: &[Outcome]) -> Vec<String> {
    let mut rows: Vec<Vec<String>> = vec![HEADS.iter().map(|head| (*head).to_owned()).collect()];
    let rounds = outcomes.iter().any(|outcome| outcome.course.round > 1);
    for outcome in outcomes {
        let mut cells = outcome.cells().to_vec();
        if rounds {
            cells[0] = format!("{}. {}", outcome.course.round, cells[0]);
        }
        for (cell, limit) in cells.iter_mut().zip(limit_cells(outcome.limits)).skip(1) {
            if limit.starts_with('<') {
                *cell = format!("{cell} ({limit})");
            }
        }
        rows.push(cells);
    }
    let widths: Vec<usize> =
        (0..HEADS.len()).map(|column| rows.iter().map(|row| row[column].len()).max().unwrap_or(0)).collect();
    let verdicts = std::iter::once("").chain(outcomes.iter().map(Outcome::verdict));
    rows.iter()
        .zip(verdicts)
        .map(|(row, verdict)| {
            let cells = row.iter().zip(&widths).enumerate().map(|(column, (cell, width))| {
                if column == 0 { format!("{cell:<width$}") } else { format!("{cell:>width$}") }
            });
            format!("{}   {verdict}", cells.collect::<Vec<_>>().join("   ")).trim_end().to_owned()
        })
        .collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::super::record::Write;
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// A fault at 1 s that cost 400 ms, in a record of 4 s.
    pub(crate) fn example() -> (Record, Course) {
        let mut record = Record::default();
        for id in 0..400_u64 {
            let at = ms(id * 10);
            let down = at > ms(1000) && at < ms(1400);
            let by = Some(if at <= ms(1000) { Node::A } else { Node::B });
            let id = i64::try_from(id).expect("small");
            record.writes.push(Write { id, sent: at, acked: (!down).then_some(at), by });
        }
        let course = Course {
            fault: Fault::KillDatabase,
            round: 1,
            node: Node::A,
            span: Span::new(ms(0), ms(4000)),
            injected: ms(1005),
            healed: Some(ms(1400)),
            rejoined: Some(ms(2500)),
            missing: None,
        };
        (record, course)
    }

    fn outcome(change: impl FnOnce(&mut Record, &mut Course, &mut BTreeSet<i64>)) -> Outcome {
        let (mut record, mut course) = example();
        let mut present = record.writes.iter().map(|write| write.id).collect();
        change(&mut record, &mut course, &mut present);
        Outcome::of(course, &record, &present, ms(5000), SyncMode::Synchronous)
    }

    #[test]
    fn a_fault_within_its_limits_is_ok() {
        let outcome = outcome(|_, _, _| ());
        assert_eq!(outcome.missed(), Vec::<String>::new());
        assert_eq!(outcome.cells(), ["database killed", "0.40 s", "361", "0", "never", "1.10 s"]);
    }

    #[test]
    fn each_limit_is_held_to() {
        let slow = outcome(|record, _, _| record.writes.retain(|write| write.sent < ms(1000) || write.sent > ms(2000)));
        let losing = outcome(|_, _, present| assert!(present.remove(&30)));
        let split = outcome(|record, _, _| record.nodes[0].local_acks = vec![ms(1400), ms(1450), ms(1500)]);
        let late = outcome(|_, course, _| course.rejoined = Some(ms(6500)));
        let never = outcome(|_, course, _| course.rejoined = None);
        let broken = outcome(|_, course, _| course.missing = Some("node_a does not answer".into()));
        for (outcome, word) in [
            (slow, "gap of"),
            (losing, "1 acknowledged writes lost"),
            (split, "two writers for 100 ms"),
            (late, "after 5.10 s"),
            (never, "never"),
            (broken, "node_a does not answer"),
        ] {
            let missed = outcome.missed();
            assert!(missed.len() == 1 && missed[0].contains(word), "{word}: {missed:?}");
            assert_eq!(outcome.verdict(), "MISSED");
        }
    }

    #[test]
    fn asynchronous_replication_promises_nothing_about_the_last_writes_of_a_killed_node() {
        let (record, mut course) = example();
        course.fault = Fault::KillNode;
        let outcome = Outcome::of(course, &record, &BTreeSet::new(), ms(5000), SyncMode::Asynchronous);
        assert_eq!((outcome.lost, outcome.verdict()), (361, "ok"));
    }

    #[test]
    fn columns_line_up() {
        let lines = table(&[outcome(|_, _, _| ()), outcome(|_, course, _| course.rejoined = None)]);
        assert_eq!(lines.len(), 3);
        assert!(lines[1].ends_with("   ok") && lines[2].ends_with("   MISSED"), "{lines:#?}");
        assert_eq!(lines[1].find("0.40 s"), lines[2].find("0.40 s"));
    }
}
