//! From whom a standby streams: the leader, or the member that its tag `replicate_from` names (cascading replication).
//!
//! Whether data can follow a reign, and what is to become of them if not, is decided with the leader alone. A cascading standby therefore goes to the
//! member it is tagged with only once it streams in the present reign, and back to the leader with every new one. It is never counted (protocol
//! rules 13 and 29), so nothing waits for any of this.

use std::time::Duration;

use super::Machine;
use crate::database::DatabaseState;
use crate::member::MemberId;
use crate::records::LeaderRecord;
use crate::store::Version;
use crate::time::Moment;

/// The named member must have been fit for so long before it is streamed from: it may just be coming and going.
const SETTLED: Duration = Duration::from_secs(1);
/// So long, or for a `ttl` if that is shorter, nothing is streamed, or the named member says that it is not fit, before the leader is streamed from.
const PATIENCE: Duration = Duration::from_secs(2);
/// After the named member failed it is not tried again for so long; each failure in a row doubles it.
const AGAIN_AFTER: Duration = Duration::from_secs(5);
/// Doublings of that: 5 s to 5 min 20 s.
const MAX_DOUBLINGS: u32 = 6;
/// Who was streamed from for so long without a failure has none behind it.
const STEADY: Duration = Duration::from_secs(60);
/// So many members at most stand between a cascading standby and the leader: each adds its own delay, and a longer chain is more likely a mistake.
const MAX_DEPTH: usize = 3;

/// What is known of the member that is to be streamed from instead of the leader. Of one that follows the leader, always the default.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub(super) struct Cascade {
    /// Whether it was fit at the last look, and since when it is as it is.
    looked: Option<(bool, Moment)>,
    /// Since when it is streamed from.
    joined: Option<Moment>,
    /// The version of its record when it last failed, and until when it is left alone for that.
    failed: Option<(Option<Version>, Moment)>,
    /// How often it failed in a row.
    failures: u32,
}

impl Machine {
    /// The member to stream from now, in this reign.
    pub(super) fn pick_upstream(&mut self, leader: &LeaderRecord, holder: &MemberId) -> MemberId {
        let Some(named) = self.config.tags.replicate_from.clone() else { return holder.clone() };
        if named == *holder || named == *self.me() || self.needs_discard || self.reinit {
            self.cascade = Cascade::default();
            return holder.clone();
        }
        let unfit = self.unfit_to_stream_from(&named, leader);
        let fit = unfit.is_none();
        let since = match self.cascade.looked {
            Some((before, since)) if before == fit => since,
            _ => self.now,
        };
        self.cascade.looked = Some((fit, since));
        let lasts = self.now.since(since);
        let on = self.following.as_ref() == Some(&(leader.mark.term, named.clone()));
        if on {
            // One that gets nothing for a ttl is decided anew: before that it goes to the leader, which decides.
            let patience = PATIENCE.min(leader.ttl());
            let dry = self.now.since(self.dry_since) >= patience;
            if !dry && (fit || lasts < patience) {
                return named;
            }
            let why = unfit.unwrap_or("nothing comes from it");
            self.upstream_failed(&named, why);
            return holder.clone();
        }
        let as_left = self.is_as_left_by_an_earlier_life(&named);
        if fit && (as_left || lasts >= SETTLED) && self.may_cascade(&named, leader) {
            self.cascade.joined = Some(self.now);
            return named;
        }
        holder.clone()
    }

    /// The named member did not serve: the leader does, for a while.
    pub(super) fn upstream_failed(&mut self, named: &MemberId, why: &str) {
        let now = self.now;
        let version = self.view.members.get(named).map(|seen| seen.version);
        let cascade = &mut self.cascade;
        if cascade.joined.take().is_some_and(|joined| now.since(joined) >= STEADY) {
            cascade.failures = 0;
        }
        let wait = AGAIN_AFTER * 2_u32.pow(cascade.failures.min(MAX_DOUBLINGS));
        cascade.failures = cascade.failures.saturating_add(1);
        cascade.failed = Some((version, now + wait));
        self.trouble(format!("{named} is not streamed from ({why}): this member streams from the leader"));
    }

    /// Whether a follow order went to the member of the tag, not to the leader.
    pub(super) fn is_cascade(&self, upstream: &MemberId) -> bool {
        self.config.tags.replicate_from.as_ref() == Some(upstream) && self.view.holder() != Some(upstream)
    }

    /// Why the named member cannot be streamed from, by the records; `None`: it can.
    fn unfit_to_stream_from(&self, named: &MemberId, leader: &LeaderRecord) -> Option<&'static str> {
        let Some(record) = self.view.members.get(named).map(|seen| &seen.record) else {
            return Some("it is not known");
        };
        if record.leaving {
            return Some("it is leaving, or its data are being replaced");
        }
        if record.database != DatabaseState::Standby || record.data_term != leader.mark.term {
            return Some("it does not follow the leader");
        }
        if record.streams_from.is_none() {
            return Some("it streams from nobody");
        }
        self.goes_in_a_circle(named).then_some("the tags replicate_from lead in a circle, or over too many members")
    }

    /// Whether the tags lead from the named member back to this one, or do not come to an end.
    ///
    /// A member streams from the leader or from whom its tag names, so streams go in a circle only where tags do.
    fn goes_in_a_circle(&self, named: &MemberId) -> bool {
        let mut at = named;
        for _ in 0..MAX_DEPTH {
            if at == self.me() {
                return true;
            }
            let tags = self.view.members.get(at).map(|seen| &seen.record.tags);
            match tags.and_then(|tags| tags.replicate_from.as_ref()) {
                Some(next) if self.view.holder() != Some(at) => at = next,
                _ => return false,
            }
        }
        true
    }

    /// Whether this member's own copy is in a state in which another upstream of the same reign changes nothing but from where the log comes.
    fn may_cascade(&self, named: &MemberId, leader: &LeaderRecord) -> bool {
        let Some(database) = &self.database else { return false };
        let of_this_reign = database.state == DatabaseState::Standby && database.term == leader.mark.term;
        // It streams from the leader first, which shows that its data can follow.
        let follows = self.streams() || self.is_as_left_by_an_earlier_life(named);
        let left_alone = self.cascade.failed.is_some_and(|(version, until)| {
            self.now < until || self.view.members.get(named).map(|seen| seen.version) == version
        });
        // Before it leaves the leader nobody counts on it any more: commits would wait for it in vain.
        let told = self.view.members.get(self.me()).is_some_and(|seen| seen.record.tags == self.config.tags);
        of_this_reign && follows && !left_alone && told && !self.counted()
    }

    /// A restarted agent finds the database following the named member already.
    fn is_as_left_by_an_earlier_life(&self, named: &MemberId) -> bool {
        let upstream = self.database.as_ref().and_then(|database| database.upstream.as_ref());
        self.following.is_none() && upstream == Some(named)
    }
}
