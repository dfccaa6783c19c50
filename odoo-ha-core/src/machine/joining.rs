//! The first moments: nothing is done before store and database are known.

use super::state::{FreezeStep, State};
use super::{Cause, Machine};

impl Machine {
    pub(super) fn joining(&mut self) -> bool {
        if self.leave_if_asked() {
            return true;
        }
        if !self.store_is_usable() || self.database.is_none() {
            return false;
        }
        if let Some(cluster) = &self.memo.cluster
            && *cluster != self.config.cluster
        {
            self.refuse(format!(
                "the data here belong to cluster {cluster}, not to {}: correct the cluster's name, or give this member another \
                 data directory",
                self.config.cluster
            ));
            return false;
        }
        if self.foreign_data() {
            return false;
        }
        let bound = self.memo.intent.filter(|intent| match self.view.leader_ref() {
            Some(leader) => leader.mark <= intent.mark,
            None => true,
        });
        let has_data = self.database.as_ref().is_some_and(|database| database.state.has_data());
        self.bound = self.bound.or(bound);
        self.voted_against = match (&self.view.leader, bound) {
            (Some(seen), Some(_)) if seen.record.holder.is_some() => Some((self.now, seen.record.ttl())),
            _ => None,
        };
        match bound {
            // The vote may have been sent: the freeze is made anew before anything else touches the database.
            Some(against) if has_data => {
                let step = FreezeStep::Freeze;
                self.go(State::Freezing { against, step }, Cause::BoundByVote);
                self.begin_freeze();
            }
            _ => self.go(State::Following, Cause::Informed),
        }
        true
    }

    /// Whether the data here are another cluster's; says so.
    pub(super) fn foreign_data(&mut self) -> bool {
        let ours = self.view.cluster.as_ref().map(|seen| seen.record.system_id);
        let here = self.database.as_ref().and_then(|database| database.system_id);
        match (ours, here) {
            (Some(ours), Some(here)) if ours != here => {
                self.refuse(format!(
                    "the data directory here belongs to another database (system identifier {here}, the cluster's is {ours}): \
                     give this member an empty directory, or the cluster's own data"
                ));
                true
            }
            _ => false,
        }
    }
}
