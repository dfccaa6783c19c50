//! What is wrong with a node's disk.

/// A disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Disk {
    /// Nothing more can be written: a primary that must write its log dies and does not start, a standby receives nothing, no memo is kept,
    /// no data are copied.
    pub full: bool,
    /// Whatever needs the disk takes so many times as long; from 2 on a flush takes time, too.
    pub slow: u32,
}

impl Default for Disk {
    fn default() -> Self {
        Self { full: false, slow: 1 }
    }
}
