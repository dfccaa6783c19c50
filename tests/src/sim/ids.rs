//! Sets of clients' records. These are numbered from 1 on, so that one bit for each is smaller and quicker than a tree of numbers.

/// So many records are in one word.
const WORD: u64 = 64;

/// Of which word a record is which bit; beyond every set, what no client wrote.
const fn place(id: u64) -> (usize, u64) {
    ((id / WORD) as usize, 1 << (id % WORD))
}

/// A set of clients' records.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ids {
    words: Vec<u64>,
    len: usize,
}

impl Ids {
    /// The clients' records in a log that are below this one.
    pub fn of_log(log: &[(u32, u64)], below: u64) -> Self {
        let mut words = vec![0; below.div_ceil(WORD) as usize];
        for (_, id) in log.iter().filter(|(_, id)| *id < below) {
            let (word, bit) = place(*id);
            words[word] |= bit;
        }
        let len = words.iter().map(|word: &u64| word.count_ones() as usize).sum();
        Self { words, len }
    }

    /// One more.
    pub fn insert(&mut self, id: u64) {
        let (word, bit) = place(id);
        if self.words.len() <= word {
            self.words.resize(word + 1, 0);
        }
        self.len += usize::from(self.words[word] & bit == 0);
        self.words[word] |= bit;
    }

    /// One less, if it is there.
    pub fn remove(&mut self, id: u64) {
        let (word, bit) = place(id);
        if let Some(word) = self.words.get_mut(word).filter(|word| **word & bit != 0) {
            *word &= !bit;
            self.len -= 1;
        }
    }

    /// Whether it is there.
    pub fn contains(&self, id: u64) -> bool {
        let (word, bit) = place(id);
        self.words.get(word).is_some_and(|word| word & bit != 0)
    }

    /// None at all.
    pub fn clear(&mut self) {
        self.words.clear();
        self.len = 0;
    }

    /// How many there are.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// All that are here are below this.
    pub fn end(&self) -> u64 {
        self.words.len() as u64 * WORD
    }

    /// The lowest.
    pub fn first(&self) -> Option<u64> {
        let (at, word) = self.words.iter().enumerate().find(|(_, word)| **word != 0)?;
        Some(at as u64 * WORD + u64::from(word.trailing_zeros()))
    }

    /// Those that are not in a log.
    #[must_use]
    pub fn without_log(&self, log: &[(u32, u64)]) -> Self {
        let mut left = self.clone();
        left.take_away(&Self::of_log(log, self.end()));
        left
    }

    /// All of them, the smallest first.
    pub fn iter(&self) -> impl Iterator<Item = u64> {
        let words = self.words.iter().zip(0_u64..);
        words.flat_map(|(word, at)| (0..WORD).filter(move |bit| word >> bit & 1 == 1).map(move |bit| at * WORD + bit))
    }

    /// Takes the others away.
    pub fn take_away(&mut self, others: &Self) {
        for (word, other) in self.words.iter_mut().zip(&others.words) {
            *word &= !other;
        }
        self.len = self.words.iter().map(|word| word.count_ones() as usize).sum();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_what_was_put_in_and_not_taken_out() {
        let mut ids = Ids::default();
        for id in [200, 3, 64, 3] {
            ids.insert(id);
        }
        ids.remove(1_000);
        ids.remove(64);
        ids.remove(64);
        assert_eq!((ids.len(), ids.first(), ids.is_empty()), (2, Some(3), false));
        assert!(ids.contains(200) && !ids.contains(64) && !ids.contains(1 << 63));
    }

    #[test]
    fn lacks_what_is_not_in_the_log() {
        let mut ids = Ids::default();
        (1..=70).for_each(|id| ids.insert(id));
        let log: Vec<(u32, u64)> = (1..=68).chain([1 << 63, 500]).map(|id| (1, id)).collect();
        let lacked = ids.without_log(&log);
        assert_eq!((lacked.len(), lacked.first()), (2, Some(69)));
        ids.clear();
        assert!(ids.without_log(&log).is_empty());
    }
}
