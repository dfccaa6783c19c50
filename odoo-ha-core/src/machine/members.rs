//! What this member says of itself in the store.

use std::collections::BTreeMap;

use super::Machine;
use super::calls::{STORE_RETRY, WRITE_TIMEOUT};
use super::input::Answer;
use super::state::State;
use crate::database::{DatabaseState, DatabaseStatus};
use crate::error::Failure;
use crate::records::{Header, MemberRecord, encode};
use crate::store::{Commit, Key};
use crate::term::{Mark, Nonce};

impl Machine {
    /// Writes this member's record when what it says has changed, and now and then so that the positions in it are fresh.
    pub(super) fn publish_if_due(&mut self) {
        if self.publishing.is_some() || self.publish_again_at > self.now {
            return;
        }
        let Some(database) = &self.database else { return };
        if !self.view_known || self.stale.is_some() {
            return;
        }
        let mut record = self.own_record(database);
        let changed = self.published.as_ref().is_none_or(|before| differs(before, &record));
        let awaited = self.is_awaited(&record);
        let refresh = self.published.is_none() || self.publish_again_at + self.config.timing.ttl <= self.now;
        if !changed && !awaited && !refresh {
            return;
        }
        record.header = self.header();
        let key = Key::member(&self.config.me);
        let commit = Commit { guards: Vec::new(), writes: BTreeMap::from([(key, encode(&record))]) };
        let id = self.commit(commit, WRITE_TIMEOUT);
        self.publishing = Some((id, record));
    }

    /// What would be said now; its nonce is given when it is said, so that looking whether it differs leaves no trace.
    fn own_record(&self, database: &DatabaseStatus) -> MemberRecord {
        let streams_from = if database.streaming { database.upstream.clone() } else { None };
        MemberRecord {
            header: Header::new(self.config.cluster.clone(), Nonce::default()),
            member: self.config.me.clone(),
            endpoint: self.config.endpoint.clone(),
            database: if database.state == DatabaseState::Unresponsive {
                DatabaseState::Starting
            } else {
                database.state
            },
            system_id: database.system_id,
            data: database.data_id.clone(),
            data_term: database.term,
            remembered: self.memo.mark,
            timeline: database.timeline,
            lsn: database.lsn,
            streams_from,
            tags: self.config.tags.clone(),
            leaving: matches!(self.state, State::Leaving { .. })
                || self.reinit
                || self.needs_discard
                || self.shutdown.is_some(),
            state: self.state.name().as_str().to_owned(),
            refusal: self.refusal.clone(),
            penalty: self.penalty,
        }
    }

    /// The leader waits to hear that this member has the shutdown checkpoint.
    fn is_awaited(&self, record: &MemberRecord) -> bool {
        let plan = self.view.leader.as_ref().and_then(|seen| seen.record.hand_over.as_ref());
        let Some(shutdown) = plan.filter(|plan| plan.target == record.member).and_then(|plan| plan.shutdown) else {
            return false;
        };
        record.lsn >= shutdown && self.published.as_ref().is_none_or(|before| before.lsn < shutdown)
    }

    pub(super) fn publish_finished(&mut self, result: &Result<Answer, Failure>) {
        let Some((_, record)) = self.publishing.take() else { return };
        match result {
            Ok(_) => {
                self.published = Some(record);
                self.publish_again_at = self.now;
            }
            Err(_) => self.publish_again_at = self.after(STORE_RETRY),
        }
    }
}

/// Whether two accounts differ in more than how far the log is.
fn differs(before: &MemberRecord, now: &MemberRecord) -> bool {
    // Every field by its name, so that a new one is not forgotten here; and no copies, since this is asked at every step.
    let MemberRecord {
        header: _,
        member,
        endpoint,
        database,
        system_id,
        data,
        data_term,
        remembered: Mark { term, sequence: _ },
        timeline,
        lsn: _,
        streams_from,
        tags,
        leaving,
        state,
        refusal,
        penalty,
    } = now;
    let same_data = (&before.data, before.system_id, before.data_term) == (data, *system_id, *data_term);
    let same_database =
        (before.database, before.timeline) == (*database, *timeline) && before.streams_from == *streams_from;
    let same_machine = before.state == *state && before.refusal == *refusal && before.leaving == *leaving;
    let same_member = before.member == *member && before.endpoint == *endpoint && before.tags == *tags;
    let same_rest = before.remembered.term == *term && before.penalty == *penalty;
    !(same_data && same_database && same_machine && same_member && same_rest)
}
