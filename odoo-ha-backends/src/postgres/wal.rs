//! Where the log ends, read from its files by `pg_waldump`.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::time::Duration;

use odoo_ha_core::error::Error;
use odoo_ha_core::lsn::{Lsn, Timeline};

use super::control::{ClusterState, ControlData};
use super::error::{malformed, telling_line};
use super::programs::Programs;

/// Size of a page of the log (XLOG_BLCKSZ, fixed when PostgreSQL is built; distributions leave it).
const PAGE_BYTES: u64 = 8192;

/// The longest that a record can be (PostgreSQL's XLogRecordMaxSize), rounded up.
const MAX_RECORD_BYTES: u64 = 1 << 30;

/// Header of a page of the log, and of the first one of a segment (PostgreSQL's xlog_internal.h).
const PAGE_HEADER_BYTES: u64 = 24;
const SEGMENT_HEADER_BYTES: u64 = 40;

/// Where the log of a stopped database ends, as far as the control file tells: exactly, after a clean stop.
pub(super) async fn end_of_stopped(
    programs: &Programs,
    data_dir: &Path,
    control: &ControlData,
    timeout: Duration,
) -> Result<Lsn, Error> {
    match control.state {
        ClusterState::ShutDown => {
            let (timeline, start, segment) = (control.checkpoint_timeline, control.checkpoint, control.segment_bytes);
            let length = record_length(programs, data_dir, timeline, start, segment, timeout).await?;
            let length = length.ok_or_else(|| {
                malformed(format!("the shutdown checkpoint at {} cannot be read from the log", control.checkpoint))
                    .hint("the log's files are damaged or missing: clone this member anew")
            })?;
            Ok(end_of_record(control.checkpoint, length, control.segment_bytes))
        }
        ClusterState::ShutDownInRecovery | ClusterState::Production | ClusterState::Recovery => {
            Ok(control.checkpoint.max(control.min_recovery))
        }
    }
}

/// The length of the record that begins at (or, at a page's border, right after) this position; `None` when there is no complete one.
pub(super) async fn record_length(
    programs: &Programs,
    data_dir: &Path,
    timeline: Timeline,
    start: Lsn,
    segment_bytes: u64,
    timeout: Duration,
) -> Result<Option<u64>, Error> {
    let unreadable =
        |why: String| malformed(format!("the log at {start} of timeline {timeline} cannot be read: {why}"));
    let dir = data_dir.join("pg_wal");
    let name = |position: u64| file_name(timeline, Lsn(position), segment_bytes);
    let exists = |position: u64| dir.join(name(position)).exists();
    let first = start.0 - start.0 % segment_bytes.max(1);
    if !exists(first) {
        return Err(unreadable("its file is missing".into()));
    }
    if start.0 - first < PAGE_BYTES && is_unwritten(&dir.join(name(first))) {
        return Ok(None);
    }
    // Without an end, pg_waldump waits 5 s for a next file. A record that goes on in a file that is not there is not complete.
    let mut end = first + segment_bytes.max(1);
    while exists(end) && end - first < MAX_RECORD_BYTES {
        end += segment_bytes;
    }
    // The files are named: pg_waldump would learn the size of a segment from whichever file it finds first, and stop at one that is made in
    // advance and has nothing in it yet.
    let (first, last) = (name(first), name(end - segment_bytes.max(1)));
    let (dir, end) = (dir.to_string_lossy(), Lsn(end).to_string());
    let (timeline, start) = (timeline.to_string(), start.to_string());
    let arguments =
        ["--path", &dir, "--timeline", &timeline, "--start", &start, "--end", &end, "--limit", "1", &first, &last];
    let output = programs.ask("pg_waldump", &arguments, timeout).await?;
    let length = output.stdout.lines().find_map(total_length);
    // Only its own words prove that nothing complete is there: it may also have failed to read.
    let says = |words: &str| output.stderr.contains(words);
    if length.is_none() && !says("could not find a valid record") && !says("error in WAL record") {
        return Err(unreadable(telling_line(&output.stderr)));
    }
    Ok(length)
}

/// Whether nothing was written into a log file yet: it is made in advance, of zeros.
fn is_unwritten(file: &Path) -> bool {
    let mut header = [1; SEGMENT_HEADER_BYTES as usize];
    let read = File::open(file).and_then(|mut file| file.read_exact(&mut header));
    read.is_ok() && header.iter().all(|byte| *byte == 0)
}

/// The name of the log file that holds the byte at this position.
pub(super) fn file_name(timeline: Timeline, position: Lsn, segment_bytes: u64) -> String {
    let segment_bytes = segment_bytes.max(1);
    let (segment, per_id) = (position.0 / segment_bytes, (0x1_0000_0000 / segment_bytes).max(1));
    format!("{:08X}{:08X}{:08X}", timeline.0, segment / per_id, segment % per_id)
}

/// From `rmgr: XLOG        len (rec/tot):    114/   114, tx: …`.
fn total_length(line: &str) -> Option<u64> {
    let (_, rest) = line.split_once("len (rec/tot):")?;
    let (lengths, _) = rest.split_once(',')?;
    lengths.split_once('/')?.1.trim().parse().ok()
}

/// Where a record ends: page headers lie between its parts, and the next one begins at a multiple of eight.
fn end_of_record(start: Lsn, length: u64, segment_bytes: u64) -> Lsn {
    let mut position = start.0;
    let mut left = length;
    loop {
        let room = PAGE_BYTES - position % PAGE_BYTES;
        if left <= room {
            return Lsn((position + left).next_multiple_of(8));
        }
        left -= room;
        position += room;
        position += if position.is_multiple_of(segment_bytes) { SEGMENT_HEADER_BYTES } else { PAGE_HEADER_BYTES };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEGMENT: u64 = 16 * 1024 * 1024;

    #[test]
    fn a_file_of_zeros_is_unwritten() {
        let file = std::env::temp_dir().join(format!("odoo-ha-wal-{}", std::process::id()));
        let found: Vec<bool> = [vec![0; 100], [0, 1].repeat(50), vec![0; 10]]
            .iter()
            .map(|content| std::fs::write(&file, content).is_ok() && is_unwritten(&file))
            .collect();
        assert!(std::fs::remove_file(&file).is_ok());
        assert_eq!(found, [true, false, false]);
        assert!(!is_unwritten(&file), "there is none");
    }

    #[test]
    fn a_record_within_a_page_ends_aligned() {
        assert_eq!(end_of_record(Lsn(0x174_1650), 114, SEGMENT), Lsn(0x174_16C8));
    }

    #[test]
    fn a_record_over_a_page_border_has_a_header_in_between() {
        assert_eq!(end_of_record(Lsn(0x2000 - 64), 114, SEGMENT), Lsn(0x2000 + 24 + 56));
        assert_eq!(end_of_record(Lsn(SEGMENT - 64), 114, SEGMENT), Lsn(SEGMENT + 40 + 56));
    }

    #[test]
    fn a_record_that_fills_its_page_ends_at_the_border() {
        assert_eq!(end_of_record(Lsn(0x4000 - 112), 112, SEGMENT), Lsn(0x4000));
        assert_eq!(end_of_record(Lsn(0x4000 - 120), 114, SEGMENT), Lsn(0x4000));
    }
}
