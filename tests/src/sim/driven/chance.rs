//! What is drawn, all from one seed; and the trace of a run, by which two runs are compared.

use std::collections::VecDeque;
use std::fmt::{self, Write as _};
use std::time::Duration;

/// Lines of the timeline that are kept: some minutes of a cluster.
const MAX_LINES: usize = 400;

/// Numbers by chance (SplitMix64).
#[derive(Clone, Debug)]
pub(super) struct Chance(u64);

impl Chance {
    /// A sequence of its own for each seed and purpose.
    pub(super) fn new(seed: u64, purpose: u64) -> Self {
        let mut chance = Self(seed ^ purpose.wrapping_mul(0xA076_1D64_78BD_642F));
        chance.below(1);
        chance
    }

    /// The next number, below this.
    pub(super) fn below(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % below.max(1)
    }

    /// Whether what happens once in so many times happens now.
    pub(super) fn one_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }

    /// So many milliseconds at least, and fewer than so many more.
    pub(super) fn millis(&mut self, least: u64, spread: u64) -> Duration {
        Duration::from_millis(least + self.below(spread))
    }

    /// One of these.
    pub(super) fn pick<T: Copy>(&mut self, of: &[T]) -> Option<T> {
        let at = self.below(of.len() as u64) as usize;
        of.get(at).copied()
    }
}

/// What happened: all of it as a digest, what a person wants to read as lines.
#[derive(Debug)]
pub(super) struct Trace {
    digest: Digest,
    lines: VecDeque<String>,
}

/// FNV-1a of 64 bits.
#[derive(Debug)]
struct Digest(u64);

impl fmt::Write for Digest {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3);
        }
        Ok(())
    }
}

impl Trace {
    pub(super) const fn new() -> Self {
        Self { digest: Digest(0xCBF2_9CE4_8422_2325), lines: VecDeque::new() }
    }

    /// Counts in the digest only.
    pub(super) fn note(&mut self, at: Duration, what: fmt::Arguments<'_>) {
        // Writing to a digest cannot fail.
        let _ = writeln!(self.digest, "{} {what}", at.as_micros());
    }

    /// Counts, and stands in the timeline.
    pub(super) fn tell(&mut self, at: Duration, what: fmt::Arguments<'_>) {
        self.note(at, what);
        if self.lines.len() == MAX_LINES {
            self.lines.pop_front();
        }
        self.lines.push_back(format!("{:9.3} {what}", at.as_secs_f64()));
    }

    pub(super) const fn digest(&self) -> u64 {
        self.digest.0
    }

    pub(super) fn lines(&self) -> Vec<String> {
        self.lines.iter().cloned().collect()
    }
}
