//! Beginning a cluster, and beginning it anew after its beginner fell silent.

use super::state::State;
use super::takeover::TakeOver;
use super::{Bootstrap, Cause, Machine};
use crate::database::DatabaseState;
use crate::member::MemberId;
use crate::records::{LeaderRecord, Origin};
use crate::term::Term;

impl Machine {
    /// No cluster exists. Who may begin it does (protocol rule 38).
    pub(super) fn begin_cluster_if_allowed(&mut self) -> bool {
        let Some(database) = &self.database else { return false };
        let (state, has_data) = (database.state, database.state.has_data());
        if self.view.sync.is_some() || self.view.cluster.is_some() {
            self.refuse("the store has records of this cluster but no leader record: it was restored in part; restore all of it");
            return false;
        }
        if self.memo.mark.term > Term(0) {
            self.refuse(
                "the store knows nothing of this cluster, but this member does: it was wiped or is another one; bring the right \
                 store back, or confirm this one with `recover`",
            );
            return false;
        }
        match self.config.bootstrap {
            Bootstrap::Never => return false,
            Bootstrap::Create if has_data => {
                self.refuse(
                    "there is no cluster yet and this member has data: to begin the cluster with them, say so (bootstrap = adopt); to begin \
                     with an empty database, empty the data directory",
                );
                return false;
            }
            Bootstrap::Adopt if !has_data => {
                self.refuse(
                    "the cluster is to begin with this member's data, but there are none: correct the data directory",
                );
                return false;
            }
            Bootstrap::Create | Bootstrap::Adopt => {}
        }
        if self.config.bootstrap == Bootstrap::Create && !self.founders_are_empty(None) {
            return false;
        }
        if state == DatabaseState::Unresponsive || self.hold_off_until > self.now {
            return false;
        }
        self.go(State::TakingOver(Box::new(TakeOver::of_nothing(self.now))), Cause::NoCluster);
        true
    }

    /// A new database is made only when nobody who is known has data. After a beginning that did not end: nobody but whoever began it, whose
    /// data were made for it.
    fn founders_are_empty(&mut self, begun: Option<&LeaderRecord>) -> bool {
        let with_data = self.view.members.iter().find(|(member, seen)| {
            let (has_data, term) = (seen.record.database.has_data(), seen.record.remembered.term);
            let of_before = match begun {
                None => has_data || term > Term(0),
                Some(leader) => term > leader.mark.term || (has_data && **member != leader.writer),
            };
            **member != self.config.me && of_before
        });
        if let Some((member, _)) = with_data {
            let why = format!(
                "{member} has data, so no new database is made: begin the cluster there (bootstrap = adopt), or remove them"
            );
            self.refuse(why);
            return false;
        }
        let missing: Vec<&str> = self
            .config
            .founders
            .iter()
            .filter(|member| **member != self.config.me && !self.view.members.contains_key(*member))
            .map(MemberId::as_str)
            .collect();
        if missing.is_empty() {
            return true;
        }
        let why =
            format!("the cluster begins when {} has reported that it holds no data: start it", missing.join(", "));
        self.refuse(why);
        false
    }

    /// The member that began the cluster fell silent before there was a database.
    pub(super) fn beginner_is_silent(&self, leader: &LeaderRecord) -> bool {
        let unfinished = self.view.cluster.is_none() && !leader.serving;
        let silent = leader.holder.is_none() || self.silent_for() >= leader.ttl();
        unfinished && silent && self.hold_off_until <= self.now && !self.is_excluded(leader)
    }

    pub(super) fn begin_cluster_again(&mut self, leader: &LeaderRecord) -> bool {
        let Some(against) = self.view.leader_ref() else { return false };
        let has_data = self.database.as_ref().is_some_and(|database| database.state.has_data());
        let fits = match self.config.bootstrap {
            Bootstrap::Create if leader.origin == Origin::Adoption => {
                let beginner = &leader.writer;
                self.refuse(format!(
                    "{beginner} was beginning the cluster with its own data, so no new database is made: start {beginner} again, or begin \
                     with the data of another member (bootstrap = adopt)"
                ));
                false
            }
            Bootstrap::Create => (!has_data || self.memo.led > Term(0)) && self.founders_are_empty(Some(leader)),
            Bootstrap::Adopt => has_data,
            Bootstrap::Never => false,
        };
        if !fits {
            return false;
        }
        self.go(State::TakingOver(Box::new(TakeOver::of_unfinished(against, self.now))), Cause::BeginnerSilent);
        true
    }
}
