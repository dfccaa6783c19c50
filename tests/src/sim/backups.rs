//! A store that forgets: backups of it, one of which comes back as if nothing had happened since, and what an operator does about that.
//!
//! Until somebody acts on what it shows, the judges go by what it should show. Not promised, and so not drawn: that a member which was away when it changed who counts knows
//! better than a store that forgot just that; and that one which was away for all that is forgotten knows that its leader renewed meanwhile.

use std::collections::VecDeque;
use std::time::Duration;

use odoo_ha_core::machine::{Command, Order};
use odoo_ha_core::member::MemberId;
use odoo_ha_core::store::{Commit, Key};
use odoo_ha_core::term::{Mark, Term};

use super::fact::Fact;
use super::happenings::Happening;
use super::store_calls::unanswered;
use super::{Dice, Store, World};

use odoo_ha_core::machine::Input;

/// How often the store is backed up.
const BACKUP_EVERY: Duration = Duration::from_secs(1);

/// So many backups are kept: those of the last minute.
const BACKUPS_KEPT: usize = 60;

/// A connection that a restored store has broken is noticed within this.
const NOTICED_WITHIN: u64 = 20;

/// What the store was, one content a second.
#[derive(Debug, Default)]
pub(super) struct Backups {
    kept: VecDeque<Store>,
    next: Duration,
}

/// The store forgot, and nobody has acted on what it shows.
#[derive(Debug)]
pub(super) struct Forgot {
    /// What it should show.
    right: Store,
    /// The leader record that it showed instead.
    shown: Mark,
}

fn mark_of(store: &Store) -> Mark {
    store.leader().map(|record| record.mark).unwrap_or_default()
}

fn counted_of(store: &Store) -> Option<Mark> {
    store.sync().map(|record| record.mark)
}

impl World {
    /// From now on the store is backed up.
    pub fn back_up_the_store(&mut self) {
        self.backups = Some(Backups::default());
    }

    pub(super) fn back_up(&mut self) {
        let forgot = self.forgot.is_some();
        let Some(backups) = self.backups.as_mut().filter(|backups| backups.next <= self.now && !forgot) else { return };
        backups.next = self.now + BACKUP_EVERY;
        backups.kept.push_front(self.store.clone());
        backups.kept.truncate(BACKUPS_KEPT);
    }

    /// The judges read what the store should show.
    pub(super) fn read_records(&mut self) {
        let truth = self.forgot.as_ref().map_or(&self.store, |forgot| &forgot.right);
        self.records.refresh(truth, &mut self.facts);
    }

    /// What it should show; whether that differs from what it shows.
    pub(super) fn store_forgot(&self) -> bool {
        self.forgot.is_some()
    }

    fn backup(&self, seconds: usize) -> Option<&Store> {
        self.backups.as_ref()?.kept.get(seconds)
    }

    /// Every member has written down that it knows of the present sync record.
    fn all_remember_who_counts(&self) -> bool {
        let counted = counted_of(&self.store).unwrap_or_default();
        self.present().iter().all(|name| self.node(name).memo.mark >= counted && counted.term > Term(0))
    }

    /// Every agent that lives has seen, or written down, a newer leader record than that backup has. One that is started later begins to count anew.
    fn all_have_seen_newer(&self, backup: &Store) -> bool {
        let seen = |name: &MemberId| {
            let node = self.node(name);
            let status = node.machine.as_ref().map(odoo_ha_core::machine::Machine::status);
            let record = status.and_then(|status| status.leader_record);
            record.is_none_or(|record| record.mark.max(node.memo.mark) > mark_of(backup))
        };
        self.present().iter().all(seen)
    }

    /// Whether a backup of so many seconds ago may come back; not promised of every one.
    pub(super) fn may_forget(&self, seconds: usize) -> bool {
        let usable = |backup: &Store| {
            let same = counted_of(backup) == counted_of(&self.store);
            backup.leader().is_some()
                && mark_of(backup) < mark_of(&self.store)
                && (same || self.all_remember_who_counts())
                && self.all_have_seen_newer(backup)
        };
        self.backup(seconds).is_some_and(usable)
    }

    /// Whether all may go.
    pub(super) fn may_forget_all(&self) -> bool {
        self.all_remember_who_counts()
    }

    /// The store shows what it was so many seconds ago; `None`: nothing.
    pub(super) fn forget(&mut self, seconds: Option<usize>) {
        let older = match seconds {
            Some(seconds) => self.backup(seconds).cloned(),
            None => Some(Store::default()),
        };
        let Some(older) = older else { return };
        let right = self.forgot.take().map_or_else(|| self.store.clone(), |forgot| forgot.right);
        self.forgot = Some(Forgot { right, shown: mark_of(&older) });
        self.replace_store(&older);
    }

    /// Another process answers from now on: what was under way to the old one never arrives, and nobody is told.
    fn replace_store(&mut self, by: &Store) {
        let of_the_store = |happening: &Happening| match happening {
            Happening::Perform(_, _, action, _) => matches!(action.order, Order::Read | Order::Commit(_)),
            Happening::Late(..) | Happening::Watch(..) => true,
            Happening::Input(..) | Happening::Attach(..) | Happening::NobodyAnswered(_) | Happening::WatchMoves(_) => {
                false
            }
        };
        let keys: Vec<(Duration, u64)> =
            self.queue.iter().filter(|(_, happening)| of_the_store(happening)).map(|(key, _)| *key).collect();
        for key in keys {
            let Some(happening) = self.queue.remove(&key) else { continue };
            let Happening::Perform(name, incarnation, action, sent) = *happening else { continue };
            let left = (sent + action.timeout).saturating_sub(self.now);
            let input = Input::Finished { id: action.id, result: unanswered(&action) };
            self.after(left, Happening::Input(name, incarnation, input));
        }
        for node in self.nodes.values_mut() {
            node.late.clear();
        }
        self.restore_store(by);
        for name in self.present() {
            let (wait, incarnation) =
                (Duration::from_millis(5 + self.chance(NOTICED_WITHIN)), self.node(&name).incarnation);
            self.after(wait, Happening::Input(name, incarnation, Input::WatchLost));
        }
    }

    /// Something was written to the store.
    pub(super) fn note_if_forgetful(&mut self, commit: &Commit) {
        let acted = commit.writes.contains_key(&Key::leader()) || commit.writes.contains_key(&Key::sync());
        let Some(forgot) = self.forgot.take_if(|_| acted) else { return };
        if let Some(member) = self.store.leader().map(|record| record.writer.clone()) {
            let remembered = self.nodes.get(&member).map(|node| node.memo.mark).unwrap_or_default();
            self.facts.push(Fact::ForgetfulStoreWritten { member, remembered, shown: forgot.shown });
        }
        // From here on it is the only truth that the cluster has.
        self.records.forget();
    }

    /// What an operator does about a store that forgot: brings the right one back; or, once in a while, when the same members count in both, tells everybody to
    /// believe this one.
    pub fn set_the_store_right(&mut self, dice: &mut Dice) {
        let Some(forgot) = self.forgot.take() else { return };
        let same = counted_of(&forgot.right) == counted_of(&self.store);
        if same && dice.one_in(2) {
            self.note(|| "the operator keeps the store as it is".to_owned());
            self.records.forget();
            for name in self.present() {
                self.note(|| format!("{name} is told to believe the store"));
                self.command(&name, Command::Recover);
            }
            return;
        }
        self.note(|| "the operator brings the right store back".to_owned());
        self.replace_store(&forgot.right);
    }

    /// Who still says that the store is older than what it remembers is told to believe it, now that there is no other.
    pub fn confirm_the_store(&mut self) {
        if self.forgot.is_some() {
            return;
        }
        let refuses = |name: &MemberId| {
            let status = self.node(name).machine.as_ref().map(odoo_ha_core::machine::Machine::status);
            status.and_then(|status| status.refusal).is_some_and(|why| why.contains("`recover`"))
        };
        let whom: Vec<MemberId> = self.present().into_iter().filter(refuses).collect();
        for name in whom {
            self.note(|| format!("{name} is told to believe the store"));
            self.command(&name, Command::Recover);
        }
    }
}
