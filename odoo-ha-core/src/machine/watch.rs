//! Since when the leader record stands unchanged.

use std::time::Duration;

use super::Machine;
use crate::policy::Timing;
use crate::records::{LeaderRecord, LeaderRef};
use crate::time::Moment;

/// What two clocks may differ by over a time.
fn drift(over: Duration, timing: &Timing) -> Duration {
    let share = over.as_nanos() * timing.clock_margin.as_nanos() / timing.ttl.as_nanos().max(1);
    Duration::from_nanos(u64::try_from(share).unwrap_or(u64::MAX))
}

/// The version of the leader record that is watched.
///
/// Two moments are known of it. It was *received* when this member was first shown it: what hangs on belief (the address, an asynchronous
/// takeover) counts from there, and from nothing earlier (protocol rule 11). It was *sent* earlier, and how much earlier matters to a
/// standby that was cut off: it is shown late what was written in time. The holder states its own clock in each version, so the time
/// between two of them is known. Only suspicion in a synchronous cluster counts from there: durability needs no clock
/// (`docs/decisions/0013-suspicion-by-the-senders-clock.md`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Watch {
    pub(super) version: LeaderRef,
    /// From after the receipt that first showed it; later, when this member has a reason to count anew.
    pub(super) received: Moment,
    /// It was sent no later than this, if the clocks' rates are as supposed; never after `received`.
    pub(super) sent: Moment,
    /// The same by the holder's clock alone, however long ago that is: what the next version that was held up as well counts on from.
    by_clock: Moment,
    /// The holder's clock when it was sent.
    stated: Option<Duration>,
}

impl Watch {
    /// A version that is received now, after another was watched.
    fn after(previous: Option<&Self>, version: LeaderRef, record: &LeaderRecord, timing: &Timing, now: Moment) -> Self {
        let stated = record.sent_ms.map(Duration::from_millis);
        // A term has one holder, and clocks are compared with themselves alone.
        let by_clock = previous.filter(|last| last.version.mark.term == version.mark.term).and_then(|last| {
            let between = stated?.checked_sub(last.stated?).filter(|between| *between <= Timing::MAX_TTL)?;
            // What comes faster than it was sent had been held up, as the one before it had. Otherwise that one was in time, and no error is
            // carried from version to version.
            let catches_up = now.since(last.received) < between / 2;
            let base = if catches_up { last.by_clock } else { last.received };
            Some(base + between + drift(between, timing))
        });
        // A clock that stood still, or another machine's: at least half the time is counted from the receipt, whatever it says.
        let earliest = now.before(record.suspicion() / 2);
        let by_clock = by_clock.map_or(now, |sent| sent.min(now));
        Self { version, received: now, sent: by_clock.max(earliest), by_clock, stated }
    }

    /// The same, counted anew from a later moment.
    pub(super) fn anew(self, from: Moment) -> Self {
        Self { received: from, sent: from, by_clock: from, ..self }
    }
}

impl Machine {
    /// Notices the version of the leader record that the view shows.
    pub(super) fn watch_leader(&mut self) {
        let (now, timing) = (self.now, self.config.timing);
        let seen = self.view.leader_ref().zip(self.view.leader.as_ref());
        if self.watched.map(|watch| watch.version) != seen.map(|(version, _)| version) {
            self.watched =
                seen.map(|(version, seen)| Watch::after(self.watched.as_ref(), version, &seen.record, &timing, now));
        }
    }

    /// Counts the silence of the version in the view from a moment, and from nothing before it.
    pub(super) fn watch_from(&mut self, from: Moment) {
        self.watch_leader();
        self.watched = self.watched.map(|watch| watch.anew(from));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::member::{ClusterId, MemberId};
    use crate::records::{Header, Origin};
    use crate::store::Version;
    use crate::term::{Mark, Nonce, Term};

    const MS: fn(u64) -> Duration = Duration::from_millis;

    fn at(ms: u64) -> Moment {
        Moment::from_origin(MS(100_000 + ms))
    }

    /// A watcher that has received versions, each with its sequence, the holder's clock and when it came, all in one term.
    fn received(versions: &[(u64, Option<u64>, u64)]) -> Watch {
        let timing = Timing::with_ttl(MS(5000));
        let watch = versions.iter().fold(None, |last: Option<Watch>, (sequence, sent_ms, now)| {
            let me = MemberId::new("a").unwrap();
            let mark = Mark { term: Term(3), sequence: *sequence };
            let record = LeaderRecord {
                header: Header::new(ClusterId::new("shop").unwrap(), Nonce::default()),
                mark,
                holder: Some(me.clone()),
                writer: me,
                origin: Origin::Takeover,
                serving: true,
                ttl_ms: 5000,
                suspicion_ms: 5000,
                paused: false,
                timeline: Default::default(),
                lsn: Default::default(),
                sent_ms: *sent_ms,
                hand_over: None,
                excluded: Default::default(),
                failsafe: None,
            };
            let version = LeaderRef { mark, version: Version(*sequence) };
            Some(Watch::after(last.as_ref(), version, &record, &timing, at(*now)))
        });
        watch.unwrap()
    }

    /// The default margin is a fiftieth.
    fn drifted(ms: u64) -> Moment {
        at(ms + ms / 50)
    }

    #[test]
    fn what_comes_late_was_sent_when_its_clock_says() {
        let watch = received(&[(1, Some(7000), 0), (2, Some(8000), 1500)]);
        assert_eq!((watch.sent, watch.received), (drifted(1000), at(1500)));
    }

    #[test]
    fn several_that_were_held_up_count_from_the_last_that_was_not() {
        let watch = received(&[(1, Some(7000), 0), (2, Some(7500), 1500), (3, Some(8000), 1510)]);
        assert_eq!((watch.sent, watch.received), (drifted(1000), at(1510)));
    }

    /// As after a link was away for long: what waited comes in two bursts.
    #[test]
    fn those_that_come_in_bursts_count_from_the_last_that_was_not_held_up() {
        let bursts = received(&[(1, Some(7000), 0), (2, Some(7200), 4500), (3, Some(8200), 4800)]);
        assert_eq!((bursts.sent, bursts.received), (at(2300), at(4800)));
    }

    #[test]
    fn a_clock_that_stood_still_is_believed_for_one_version_only() {
        let late = [(1, Some(7000), 0), (2, Some(8000), 2000)];
        assert_eq!(received(&late).sent, drifted(1000));
        let next = received(&[late[0], late[1], (3, Some(9000), 3000)]);
        assert_eq!((next.sent, next.received), (at(3000), at(3000)));
    }

    #[test]
    fn half_the_time_counts_from_the_receipt_whatever_a_clock_says() {
        assert_eq!(received(&[(1, Some(7000), 0), (2, Some(7001), 4900)]).sent, at(2400));
    }

    #[test]
    fn nothing_was_sent_after_it_came() {
        assert_eq!(received(&[(1, Some(7000), 0), (2, Some(u64::MAX), 1000)]).sent, at(1000));
    }

    #[test]
    fn without_two_clocks_of_one_origin_the_receipt_counts() {
        for (first, second) in [(None, Some(8000)), (Some(7000), None), (Some(8000), Some(7000))] {
            assert_eq!(received(&[(1, first, 0), (2, second, 1500)]).sent, at(1500));
        }
    }
}
