//! What this member says of itself in the store.

use std::collections::BTreeMap;

use super::Machine;
use super::calls::{STORE_RETRY, WRITE_TIMEOUT};
use super::input::Answer;
use super::state::State;
use super::view::Seen;
use crate::database::{DatabaseState, DatabaseStatus};
use crate::error::{ErrorKind, Failure};
use crate::records::{Header, MemberRecord, encode};
use crate::store::{Commit, Guard, Key};
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
        // One that was not answered must not land after a newer one: it would take back that this member leaves.
        let guard = match self.view.members.get(&self.config.me) {
            Some(seen) => Guard::Version(key.clone(), seen.version),
            None => Guard::Absent(key.clone()),
        };
        let commit = Commit { guards: vec![guard], writes: BTreeMap::from([(key, encode(&record))]) };
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
            peer: self.config.peer.clone(),
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
            Ok(answer) => {
                if let Answer::Committed(committed) = answer
                    && let Some(version) = committed.versions.get(&Key::member(&self.config.me)).copied()
                {
                    self.view.members.insert(self.config.me.clone(), Seen { version, record: record.clone() });
                }
                self.published = Some(record);
                self.publish_again_at = self.now;
            }
            Err(failure) => {
                self.publish_again_at = self.after(STORE_RETRY);
                if failure.kind == ErrorKind::Conflict {
                    // One before it landed after all, or somebody deleted the record: it is written as of what stands there.
                    self.refresh();
                }
            }
        }
    }

    /// Whether the store has it that nobody may count on this member's present copy any more.
    pub(super) fn is_known_to_leave(&self) -> bool {
        let data = self.database.as_ref().map(|database| &database.data_id);
        self.published.as_ref().is_some_and(|record| record.leaving && Some(&record.data) == data)
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
        peer,
    } = now;
    let same_data = (&before.data, before.system_id, before.data_term) == (data, *system_id, *data_term);
    let same_database =
        (before.database, before.timeline) == (*database, *timeline) && before.streams_from == *streams_from;
    let same_machine = before.state == *state && before.refusal == *refusal && before.leaving == *leaving;
    let same_member = before.member == *member && before.endpoint == *endpoint && before.tags == *tags;
    let same_rest = before.remembered.term == *term && before.penalty == *penalty && before.peer == *peer;
    !(same_data && same_database && same_machine && same_member && same_rest)
}
