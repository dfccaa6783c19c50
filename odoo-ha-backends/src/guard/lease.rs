//! What the guard grants and refuses: no clock, no world, so that every case is a test of microseconds.

use std::time::Duration;

use odoo_ha_core::term::Term;
use odoo_ha_core::time::Moment;
use serde::{Deserialize, Serialize};

use super::protocol::{Leave, Refusal};

/// A reign of one start of the agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Reign {
    pub(super) incarnation: u64,
    pub(super) term: Term,
}

/// The leave that the node has, and what was before it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Lease {
    /// Nothing older than this in either number is heard.
    newest: Option<Reign>,
    /// What was acted against last.
    acted: Option<Reign>,
    armed: Option<Armed>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Armed {
    leave: Leave,
    acts_before: Duration,
}

impl Lease {
    /// One that remembers an earlier guard's.
    pub(super) fn remembering(newest: Option<Reign>, acted: Option<Reign>) -> Self {
        Self { newest, acted, armed: None }
    }

    pub(super) fn newest(&self) -> Option<Reign> {
        self.newest
    }

    pub(super) fn acted(&self) -> Option<Reign> {
        self.acted
    }

    pub(super) fn leave(&self) -> Option<Leave> {
        self.armed.map(|armed| armed.leave)
    }

    /// When to act; `None` when not armed, or paused.
    pub(super) fn acts_at(&self) -> Option<Moment> {
        let armed = self.armed?;
        Some(armed.leave.deadline?.before(armed.acts_before))
    }

    /// Whether to act now.
    pub(super) fn is_due(&self, now: Moment) -> bool {
        self.acts_at().is_some_and(|at| at <= now)
    }

    /// Arms, or takes over what an earlier start of the agent armed.
    ///
    /// A new start of the agent may arm for the term that was acted against: it renewed that term itself, and it starts with a
    /// stopped database. The start that let its leave run out may not: its belief has ended.
    pub(super) fn arm(&mut self, now: Moment, leave: Leave, acts_before: Duration) -> Result<(), Refusal> {
        if self.is_due(now) {
            return Err(Refusal::Acting);
        }
        self.refuse_older(leave)?;
        if let Some(acted) = self.acted
            && leave.incarnation == acted.incarnation
            && leave.term <= acted.term
        {
            return Err(Refusal::Acted { term: acted.term });
        }
        let armed = Armed { leave, acts_before };
        if let Some(deadline) = leave.deadline
            && deadline.before(acts_before) <= now
        {
            let left_ms = u64::try_from(deadline.since(now).as_millis()).unwrap_or(u64::MAX);
            return Err(Refusal::TooLate { left_ms });
        }
        self.armed = Some(armed);
        self.newest = Some(Reign { incarnation: leave.incarnation, term: leave.term });
        Ok(())
    }

    /// Moves the deadline of what is armed, in either direction.
    pub(super) fn feed(&mut self, now: Moment, leave: Leave) -> Result<(), Refusal> {
        if self.is_due(now) {
            return Err(Refusal::Acting);
        }
        self.refuse_older(leave)?;
        let Some(armed) = &mut self.armed else {
            return match self.acted {
                Some(acted) if leave.incarnation == acted.incarnation => Err(Refusal::Acted { term: acted.term }),
                Some(_) | None => Err(Refusal::Unarmed),
            };
        };
        if armed.leave.incarnation != leave.incarnation {
            return Err(Refusal::Unarmed);
        }
        armed.leave = leave;
        self.newest = Some(Reign { incarnation: leave.incarnation, term: leave.term });
        Ok(())
    }

    /// Stands down. `incarnation` is that which armed, when the asker has armed at all.
    pub(super) fn disarm(&mut self, now: Moment, incarnation: Option<u64>) -> Result<(), Refusal> {
        if self.is_due(now) {
            return Err(Refusal::Acting);
        }
        if let (Some(armed), Some(asking)) = (self.armed, incarnation)
            && asking < armed.leave.incarnation
        {
            return Err(Refusal::Older { incarnation: armed.leave.incarnation, term: armed.leave.term });
        }
        self.armed = None;
        Ok(())
    }

    /// Ends the leave for good and says which it was. From here on nothing feeds it until it is armed anew.
    pub(super) fn act(&mut self) -> Option<Leave> {
        let leave = self.armed.take()?.leave;
        self.acted = Some(Reign { incarnation: leave.incarnation, term: leave.term });
        Some(leave)
    }

    fn refuse_older(&self, leave: Leave) -> Result<(), Refusal> {
        match self.newest {
            Some(newest) if leave.incarnation < newest.incarnation || leave.term < newest.term => {
                Err(Refusal::Older { incarnation: newest.incarnation, term: newest.term })
            }
            Some(_) | None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEFORE: Duration = Duration::from_millis(600);

    fn at(ms: u64) -> Moment {
        Moment::from_origin(Duration::from_millis(ms))
    }

    fn leave(incarnation: u64, term: u64, deadline_ms: u64) -> Leave {
        Leave { incarnation, term: Term(term), deadline: Some(at(deadline_ms)) }
    }

    fn armed() -> Lease {
        let mut lease = Lease::default();
        lease.arm(at(1_000), leave(10, 3, 6_000), BEFORE).expect("nothing was before");
        lease
    }

    fn acted() -> Lease {
        let mut lease = armed();
        assert!(!lease.is_due(at(5_399)));
        assert!(lease.is_due(at(5_400)));
        assert_eq!(lease.act(), Some(leave(10, 3, 6_000)));
        lease
    }

    #[test]
    fn feeds_move_the_deadline_on() {
        let mut lease = armed();
        for second in 2..50 {
            lease.feed(at(second * 1_000), leave(10, 3, second * 1_000 + 5_000)).expect("in time");
            assert_eq!(lease.acts_at(), Some(at(second * 1_000 + 4_400)));
        }
    }

    #[test]
    fn a_feed_after_the_moment_to_act_is_refused() {
        let mut lease = armed();
        assert_eq!(lease.feed(at(5_400), leave(10, 3, 9_000)), Err(Refusal::Acting));
        assert_eq!(lease.arm(at(5_400), leave(11, 4, 9_000), BEFORE), Err(Refusal::Acting));
        assert_eq!(lease.disarm(at(5_400), Some(10)), Err(Refusal::Acting));
        assert!(lease.is_due(at(5_400)));
    }

    #[test]
    fn a_paused_leave_is_never_due() {
        let mut lease = armed();
        lease.feed(at(2_000), Leave { deadline: None, ..leave(10, 3, 0) }).expect("in time");
        assert!(!lease.is_due(at(u64::from(u32::MAX))));
        lease.feed(at(90_000), leave(10, 3, 95_000)).expect("resumed");
        assert!(lease.is_due(at(95_000)));
    }

    #[test]
    fn a_shorter_deadline_counts() {
        let mut lease = armed();
        lease.feed(at(2_000), leave(10, 3, 3_000)).expect("in time");
        assert!(lease.is_due(at(2_400)));
    }

    #[test]
    fn once_it_has_acted_nothing_feeds_it() {
        let mut lease = acted();
        assert_eq!(lease.feed(at(5_500), leave(10, 3, 9_000)), Err(Refusal::Acted { term: Term(3) }));
        assert_eq!(lease.feed(at(5_500), leave(10, 4, 9_000)), Err(Refusal::Acted { term: Term(3) }));
        assert_eq!(lease.feed(at(5_500), leave(11, 4, 9_000)), Err(Refusal::Unarmed));
        assert_eq!(lease.acts_at(), None);
        assert_eq!(lease.disarm(at(5_500), Some(10)), Ok(()));
        assert_eq!(lease.arm(at(5_500), leave(10, 3, 9_000), BEFORE), Err(Refusal::Acted { term: Term(3) }));
    }

    #[test]
    fn a_new_reign_or_a_new_start_arms_it_anew() {
        assert_eq!(acted().arm(at(5_500), leave(10, 4, 9_000), BEFORE), Ok(()));
        assert_eq!(acted().arm(at(5_500), leave(11, 3, 9_000), BEFORE), Ok(()));
    }

    #[test]
    fn what_is_older_is_refused() {
        let older = Err(Refusal::Older { incarnation: 10, term: Term(3) });
        assert_eq!(armed().arm(at(2_000), leave(9, 4, 9_000), BEFORE), older);
        assert_eq!(armed().arm(at(2_000), leave(11, 2, 9_000), BEFORE), older);
        assert_eq!(armed().feed(at(2_000), leave(9, 3, 9_000)), older);
        assert_eq!(armed().feed(at(2_000), leave(10, 2, 9_000)), older);
        assert_eq!(armed().disarm(at(2_000), Some(9)), older);
        assert_eq!(acted().arm(at(5_500), leave(9, 9, 9_000), BEFORE), older);
    }

    #[test]
    fn a_newer_start_takes_over_and_the_older_is_out() {
        let mut lease = armed();
        lease.arm(at(2_000), leave(11, 3, 7_000), BEFORE).expect("newer");
        let older = Err(Refusal::Older { incarnation: 11, term: Term(3) });
        assert_eq!(lease.feed(at(2_500), leave(10, 3, 60_000)), older);
        assert_eq!(lease.acts_at(), Some(at(6_400)));
    }

    #[test]
    fn arming_too_late_changes_nothing() {
        let mut lease = armed();
        assert_eq!(lease.arm(at(2_000), leave(11, 3, 2_600), BEFORE), Err(Refusal::TooLate { left_ms: 600 }));
        assert_eq!(lease, armed());
    }

    #[test]
    fn a_guard_started_again_remembers() {
        let before = acted();
        let mut lease = Lease::remembering(before.newest(), before.acted());
        assert_eq!(lease.arm(at(5_500), leave(10, 3, 9_000), BEFORE), Err(Refusal::Acted { term: Term(3) }));
        assert_eq!(lease.arm(at(5_500), leave(11, 4, 9_000), BEFORE), Ok(()));
    }
}
