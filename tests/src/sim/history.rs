//! What the clients saw, and whether it can be: judged from their own history alone, whatever the machines believe of themselves.

use std::collections::BTreeSet;

use super::Ids;

/// A client was told that its record is saved, and a later read lacks it.
pub const READS_HAVE_WHAT_WAS_ACKNOWLEDGED: &str = "reads_have_what_was_acknowledged";
/// What one read showed, a later one lacks.
pub const READS_NEVER_GO_BACK: &str = "reads_never_go_back";
/// A record is read that no client ever wrote.
pub const READS_INVENT_NOTHING: &str = "reads_invent_nothing";
/// A record is read twice.
pub const NOTHING_IS_READ_TWICE: &str = "nothing_is_read_twice";

/// Records with this number or a higher one, and with 0, no client wrote.
const NOBODYS: u64 = 1 << 63;

const INVOKED: u8 = 1;
const SEEN: u8 = 2;
/// Acknowledged, or read, while no failover may lose it.
const KEPT: u8 = 4;

const fn is_a_clients(id: u64) -> bool {
    id != 0 && id < NOBODYS
}

/// The history: what was asked, what was answered, what was read.
#[derive(Debug, Default)]
pub struct History {
    /// By the record's number.
    marks: Vec<u8>,
    /// What must be in the next read and was not in the last.
    missing: Ids,
    /// The last read.
    last: Vec<(u32, u64)>,
    /// How often somebody read.
    reads: u64,
    /// Appends whose outcome no client knows.
    unknown: u64,
}

impl History {
    fn mark(&mut self, id: u64) -> &mut u8 {
        let index = id as usize;
        if self.marks.len() <= index {
            self.marks.resize(index + 1, 0);
        }
        &mut self.marks[index]
    }

    /// A client asks for a record.
    pub fn invoked(&mut self, id: u64) {
        *self.mark(id) |= INVOKED;
    }

    /// A client is told that it is saved; `kept`: in a mode in which no failover may lose it.
    pub fn acknowledged(&mut self, id: u64, kept: bool) {
        if kept {
            let mark = self.mark(id);
            *mark |= KEPT;
            if *mark & SEEN == 0 {
                self.missing.insert(id);
            }
        }
    }

    /// A client will never know what became of it.
    pub const fn unknown(&mut self) {
        self.unknown += 1;
    }

    /// Losses are allowed from here: the mode is asynchronous, or somebody accepted them.
    pub fn forgive(&mut self) {
        self.missing.clear();
        for mark in &mut self.marks {
            *mark &= !KEPT;
        }
    }

    /// How often somebody read, and how many appends ended unknown.
    pub const fn counts(&self) -> (u64, u64) {
        (self.reads, self.unknown)
    }

    /// A client reads all that is visible, in order. Returns which rule is broken and how.
    pub fn read(&mut self, list: &[(u32, u64)], kept: bool) -> Option<(&'static str, String)> {
        self.reads += 1;
        let before = self.last.len();
        // All of it is compared now and then only; a longer list with the same record at that place began the same.
        let same = match self.last.last() {
            None => true,
            Some(last) if !self.reads.is_multiple_of(256) => list.get(before - 1) == Some(last),
            Some(_) => list.starts_with(&self.last),
        };
        let mut broken = None;
        if !same {
            broken = self.begin_anew(list);
        }
        let from = self.last.len();
        for (timeline, id) in &list[from..] {
            self.last.push((*timeline, *id));
            if !is_a_clients(*id) {
                continue;
            }
            let mark = self.mark(*id);
            let (invoked, seen) = (*mark & INVOKED != 0, *mark & SEEN != 0);
            *mark |= if kept { SEEN | KEPT } else { SEEN };
            self.missing.remove(*id);
            if !invoked {
                broken = broken.or_else(|| Some((READS_INVENT_NOTHING, format!("{id} is read, which nobody wrote"))));
            }
            if seen {
                broken = broken.or_else(|| Some((NOTHING_IS_READ_TWICE, format!("{id} is read twice"))));
            }
        }
        if kept && !self.missing.is_empty() {
            let lost = std::mem::take(&mut self.missing);
            let text = format!("{} acknowledged records are not read, {:?} first", lost.len(), lost.first());
            broken = broken.or(Some((READS_HAVE_WHAT_WAS_ACKNOWLEDGED, text)));
        }
        broken
    }

    /// The list is not the last one with more at its end: from where they differ, everything is looked at again.
    fn begin_anew(&mut self, list: &[(u32, u64)]) -> Option<(&'static str, String)> {
        let common = self.last.iter().zip(list).take_while(|(a, b)| a == b).count();
        let has: BTreeSet<u64> = list[common..].iter().map(|(_, id)| *id).collect();
        let left: Vec<u64> = self.last.drain(common..).map(|(_, id)| id).filter(|id| is_a_clients(*id)).collect();
        let mut back = BTreeSet::new();
        for id in left {
            let mark = self.mark(id);
            if *mark & KEPT != 0 && !has.contains(&id) {
                back.insert(id);
            }
            *mark &= !(SEEN | KEPT);
        }
        let first = back.first()?;
        Some((
            READS_NEVER_GO_BACK,
            format!("{} records were read before and are not any more, {first} first", back.len()),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(ids: &[u64]) -> Vec<(u32, u64)> {
        ids.iter().map(|id| (1, *id)).collect()
    }

    /// Three records are written, acknowledged and read.
    fn history() -> History {
        let mut history = History::default();
        for id in 1..=3 {
            history.invoked(id);
            history.acknowledged(id, true);
        }
        assert_eq!(history.read(&of(&[0, 1, 2, 3]), true), None);
        history.invoked(4);
        history
    }

    fn broken(list: &[u64]) -> Option<&'static str> {
        history().read(&of(list), true).map(|(which, _)| which)
    }

    #[test]
    fn what_can_be_is_accepted() {
        assert_eq!(broken(&[0, 1, 2, 3]), None);
        assert_eq!(broken(&[0, 1, 2, 3, 4]), None, "an unanswered one may be there");
    }

    #[test]
    fn a_read_that_lacks_what_was_acknowledged_is_seen() {
        let mut history = history();
        history.acknowledged(4, true);
        assert_eq!(
            history.read(&of(&[0, 1, 2, 3]), true).map(|(which, _)| which),
            Some(READS_HAVE_WHAT_WAS_ACKNOWLEDGED)
        );
    }

    #[test]
    fn a_read_that_goes_back_is_seen() {
        assert_eq!(broken(&[0, 1, 2]), Some(READS_NEVER_GO_BACK));
        assert_eq!(broken(&[0, 1, 2, 0, 4]), Some(READS_NEVER_GO_BACK));
        let mut unanswered = history();
        assert_eq!(unanswered.read(&of(&[0, 1, 2, 3, 4]), true), None);
        assert_eq!(unanswered.read(&of(&[0, 1, 2, 3]), true).map(|(which, _)| which), Some(READS_NEVER_GO_BACK));
    }

    #[test]
    fn an_invented_record_is_seen() {
        assert_eq!(broken(&[0, 1, 2, 3, 5]), Some(READS_INVENT_NOTHING));
    }

    #[test]
    fn a_record_that_is_read_twice_is_seen() {
        assert_eq!(broken(&[0, 1, 2, 3, 3]), Some(NOTHING_IS_READ_TWICE));
    }

    #[test]
    fn losses_that_are_allowed_are_no_violation() {
        let mut history = history();
        history.forgive();
        assert_eq!(history.read(&of(&[0, 1]), false), None);
    }
}
