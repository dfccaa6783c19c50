//! The log of a simulated database.

use odoo_ha_core::lsn::{Lsn, Timeline};

/// Where every log begins.
const START: u64 = 0x0100_0000;

/// Bytes of log that one record takes.
const RECORD_BYTES: u64 = 64;

/// One record. Its number is unique in a world, so two logs agree up to where their numbers do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) number: u64,
    pub(super) timeline: Timeline,
    /// Written by a client, and not by the database itself.
    pub(super) row: bool,
}

/// A log. It only grows, except by a rewind.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub(super) struct Wal(Vec<Record>);

impl Wal {
    pub(super) fn push(&mut self, record: Record) {
        self.0.push(record);
    }

    /// The end of the log.
    pub(super) fn end(&self) -> Lsn {
        Lsn(START + RECORD_BYTES * self.0.len() as u64)
    }

    /// The timeline of the last record.
    pub(super) fn timeline(&self) -> Timeline {
        self.0.last().map_or(Timeline(0), |record| record.timeline)
    }

    /// Whether a copy with this log can stream from one with that: it lacks at most the end.
    pub(super) fn is_prefix_of(&self, other: &Self) -> bool {
        other.0.starts_with(&self.0)
    }

    /// Cuts off what the other does not have.
    pub(super) fn rewind_to(&mut self, other: &Self) {
        let common = self.0.iter().zip(&other.0).take_while(|(mine, theirs)| mine == theirs).count();
        self.0.truncate(common);
    }

    /// The numbers of the rows in it.
    pub(super) fn rows(&self) -> Vec<u64> {
        self.0.iter().filter(|record| record.row).map(|record| record.number).collect()
    }
}
