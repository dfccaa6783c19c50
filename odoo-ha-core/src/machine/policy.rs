//! What the cluster strives for: by this member's own configuration, or, where there is one, by the record in the store.
//!
//! The policy decides nothing about elections (protocol rule 16), so a record that cannot be used stops nothing: the last good one goes on.

use std::collections::BTreeMap;

use super::Machine;
use super::action::CallId;
use super::calls::{STORE_RETRY, WRITE_TIMEOUT};
use super::input::Answer;
use super::state::State;
use super::view::Seen;
use crate::error::Failure;
use crate::event::EventKind;
use crate::policy::{Policy, SyncMode};
use crate::records::{ElectionRule, PolicyRecord, encode};
use crate::store::{Commit, Guard, Key};
use crate::term::Nonce;
use crate::time::Moment;

/// Where the policy in force comes from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct PolicySource {
    /// What this member's own configuration says.
    own: Policy,
    /// Which write of the store's record is followed.
    followed: Option<Nonce>,
    /// Why what stands in the store is not followed.
    pub(super) refused: Option<String>,
    writing: Option<(CallId, PolicyRecord)>,
    pub(super) write_again_at: Moment,
}

impl PolicySource {
    pub(super) fn new(own: Policy, now: Moment) -> Self {
        Self { own, followed: None, refused: None, writing: None, write_again_at: now }
    }

    pub(super) fn waits_for(&self, id: CallId) -> bool {
        self.writing.as_ref().is_some_and(|(call, _)| *call == id)
    }
}

impl Machine {
    /// Follows the record in the store, if it can be.
    pub(super) fn take_policy(&mut self) {
        // A store that forgot may show a policy of before.
        if !self.view_known || self.stale.is_some() {
            return;
        }
        if let Some(why) = self.view.broken.get(&Key::policy()) {
            if self.policy.refused.as_ref() != Some(why) {
                let why = why.clone();
                self.policy.refused = Some(why.clone());
                let sentence =
                    format!("the cluster's policy in the store is not followed, the last good one goes on: {why}");
                self.tell(EventKind::PolicyRefused { why }, sentence);
            }
            if self.policy.followed.is_none() {
                // No good one was seen in this life of the agent. This member's own may be another than the cluster had: what is in force stays.
                self.config.policy = Policy { sync_mode: self.mode_in_force(), ..self.policy.own };
            }
            return;
        }
        self.policy.refused = None;
        let Some(record) = self.view.policy.as_ref().map(|seen| &seen.record) else { return };
        if self.policy.followed == Some(record.header.nonce) {
            return;
        }
        let changed = self.config.policy != record.policy;
        let (by, policy) = (record.by.clone(), record.policy);
        self.policy.followed = Some(record.header.nonce);
        self.config.policy = policy;
        if changed {
            let sentence = format!("the cluster's policy was changed by {by:?}: it is {policy:?} now");
            self.tell(EventKind::PolicyChanged { by, policy }, sentence);
        }
    }

    /// As the sync record has it; before there is one, as this member's own configuration does.
    fn mode_in_force(&self) -> SyncMode {
        let sync = self.view.sync.as_ref().map(|seen| &seen.record);
        sync.map_or(self.policy.own.sync_mode, |sync| match (sync.rule, sync.strict) {
            (ElectionRule::Asynchronous, _) => SyncMode::Asynchronous,
            (ElectionRule::Synchronous, false) => SyncMode::Synchronous,
            (ElectionRule::Synchronous, true) => SyncMode::Strict,
        })
    }

    /// This member's own configuration says something else now.
    pub(super) fn set_own_policy(&mut self, policy: Policy) {
        self.policy.own = policy;
        if self.policy.followed.is_none() {
            self.config.policy = policy;
        } else if self.config.policy != policy {
            self.trouble(
                "the cluster's policy stands in the store, so what this member's own configuration says is not used: change it there",
            );
        }
    }

    /// As leader of a cluster that keeps its policy in the store and has none there yet: writes it.
    pub(super) fn write_policy_if_due(&mut self) {
        let wanted = self.config.policy_in_store && self.view.policy.is_none();
        if !wanted || self.policy.writing.is_some() || self.policy.write_again_at > self.now {
            return;
        }
        let leads = matches!(self.state, State::Leading)
            && self.reign.as_ref().is_some_and(|reign| reign.announced && reign.give_up_at() > self.now);
        if !leads || !self.store_is_usable() || self.view.broken.contains_key(&Key::policy()) {
            return;
        }
        // What is in force, not what the file says: if the record was lost, it comes back as it was.
        let by = self.config.me.to_string();
        let record = PolicyRecord { header: self.header(), by, policy: self.config.policy };
        let guards = vec![Guard::Absent(Key::policy())];
        let commit = Commit { guards, writes: BTreeMap::from([(Key::policy(), encode(&record))]) };
        let id = self.commit(commit, WRITE_TIMEOUT);
        self.policy.writing = Some((id, record));
    }

    pub(super) fn policy_written(&mut self, result: &Result<Answer, Failure>) {
        let Some((_, record)) = self.policy.writing.take() else { return };
        match result {
            Ok(Answer::Committed(committed)) => {
                if self.view.policy.is_some() {
                    // A watch was quicker than this answer, and may have shown what somebody has written since.
                    self.refresh();
                } else if let Some(version) = committed.versions.get(&Key::policy()).copied() {
                    self.view.policy = Some(Seen { version, record });
                }
            }
            // Somebody was first, or it may still land: what stands there is read.
            Ok(_) | Err(_) => {
                self.policy.write_again_at = self.after(STORE_RETRY);
                self.refresh();
            }
        }
    }
}
