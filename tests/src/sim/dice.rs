//! Chance that can be repeated: numbers that follow from a seed, on every machine.

/// The step of the sequence (SplitMix64).
const STEP: u64 = 0x9E37_79B9_7F4A_7C15;

/// A source of numbers by chance.
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    /// The numbers that follow from this seed.
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub const fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(STEP);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below this one; 0 below 0.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.roll() % limit.max(1)
    }

    /// A number from the first to the last, both included.
    pub fn between(&mut self, first: u64, last: u64) -> u64 {
        first + self.below(last.saturating_sub(first) + 1)
    }

    /// True once in so many times.
    pub fn one_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }

    /// One of them; `None` of none.
    pub fn pick<'a, T>(&mut self, of: &'a [T]) -> Option<&'a T> {
        let at = self.below(of.len() as u64);
        of.get(usize::try_from(at).unwrap_or_default())
    }

    /// One of them, as often as its weight says; `None` when nothing has weight.
    pub fn weighted<T: Copy>(&mut self, of: &[(u32, T)]) -> Option<T> {
        let mut at = self.below(of.iter().map(|(weight, _)| u64::from(*weight)).sum());
        for (weight, what) in of {
            let weight = u64::from(*weight);
            if at < weight {
                return Some(*what);
            }
            at -= weight;
        }
        None
    }
}
