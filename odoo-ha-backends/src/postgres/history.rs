//! Timelines: what the history files say, and how a reign gets the number it reserved.

use std::path::Path;

use odoo_ha_core::error::{Error, ErrorKind};
use odoo_ha_core::lsn::{Lsn, Timeline};

use super::error;
use super::files;
use super::user::Owner;
use super::wal;

/// Most timelines that a gap may have: the numbers come from reigns, and a foreign number must not fill the disk.
const MAX_RESERVED: u32 = 1000;

/// The ancestors of a timeline, oldest first, each with the position where it was left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct History {
    timeline: Timeline,
    ancestors: Vec<(Timeline, Lsn)>,
}

impl History {
    /// From a history file's text; timeline 1 has none.
    pub(super) fn parse(timeline: Timeline, text: &str) -> Result<Self, Error> {
        let mut ancestors = Vec::new();
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let mut fields = line.split_ascii_whitespace();
            let parsed = fields.next().and_then(|f| f.parse().ok()).zip(fields.next().and_then(|f| f.parse().ok()));
            let (ancestor, left) = parsed
                .ok_or_else(|| error::malformed(format!("the history of timeline {timeline} is broken: {line:?}")))?;
            ancestors.push((Timeline(ancestor), left));
        }
        Ok(Self { timeline, ancestors })
    }

    /// Where this timeline left `ancestor`: `None` when it never was on it; a position without end for itself.
    pub(super) fn left(&self, ancestor: Timeline) -> Option<Lsn> {
        if ancestor == self.timeline {
            return Some(Lsn(u64::MAX));
        }
        self.ancestors.iter().find(|(timeline, _)| *timeline == ancestor).map(|(_, left)| *left)
    }

    /// Where the timeline itself begins.
    pub(super) fn switch_lsn(&self) -> Lsn {
        self.ancestors.last().map_or(Lsn(0), |(_, left)| *left)
    }

    /// On which timeline the record lies that ends at this position.
    fn timeline_at(&self, end: Lsn) -> Timeline {
        self.ancestors.iter().find(|(_, left)| end <= *left).map_or(self.timeline, |(timeline, _)| *timeline)
    }
}

/// The name of a timeline's history file.
pub(super) fn file_name(timeline: Timeline) -> String {
    format!("{:08X}.history", timeline.0)
}

/// The history as it stands in the local `pg_wal`; `None` when there is no file.
pub(super) fn read(data_dir: &Path, timeline: Timeline) -> Result<Option<History>, Error> {
    if timeline <= Timeline(1) {
        return Ok(Some(History { timeline, ancestors: Vec::new() }));
    }
    let text = files::read(&data_dir.join("pg_wal").join(file_name(timeline)))?;
    text.map(|text| History::parse(timeline, &text)).transpose()
}

/// The timeline of the last record of a database in recovery whose log ends at `end`: the newest descendant of `known` that has a
/// log file there, by its history. (PostgreSQL does not say it, and the control file lags behind.)
pub(super) fn timeline_of_end(
    data_dir: &Path,
    known: Timeline,
    end: Lsn,
    segment_bytes: u64,
) -> Result<Timeline, Error> {
    let dir = data_dir.join("pg_wal");
    let last_byte = Lsn(end.0.saturating_sub(1));
    let mut newest = known;
    let entries = std::fs::read_dir(&dir)
        .map_err(|source| error::io(format!("directory {} cannot be read", dir.display()), source))?;
    for entry in entries.flatten() {
        let name = entry.file_name();
        let Some(name) = name.to_str() else { continue };
        let Some(timeline) = name.get(..8).and_then(|digits| u32::from_str_radix(digits, 16).ok()).map(Timeline) else {
            continue;
        };
        if name != wal::file_name(timeline, last_byte, segment_bytes) {
            continue;
        }
        if timeline > newest && read(data_dir, timeline)?.is_some_and(|history| history.left(known).is_some()) {
            newest = timeline;
        }
    }
    Ok(read(data_dir, newest)?.map_or(newest, |history| history.timeline_at(end)))
}

/// Makes PostgreSQL choose `wanted` at the next promotion from `own`: it takes the number after the last history file that
/// follows without a gap, so each number in between gets one (protocol rule 31). They name no ancestor, so recovery never follows
/// them. Those below `own` are filled in too: a standby that comes from an older timeline asks for every one.
pub(super) fn reserve(data_dir: &Path, own: Timeline, wanted: Timeline, owner: Owner) -> Result<(), Error> {
    if wanted <= own || wanted.0 - own.0 > MAX_RESERVED {
        return Err(Error::new(
            ErrorKind::NotReady,
            format!("the data are on timeline {own}: timeline {wanted} cannot follow it"),
        ));
    }
    let dir = data_dir.join("pg_wal");
    for number in 2..wanted.0 {
        let path = dir.join(file_name(Timeline(number)));
        if !path.exists() {
            files::write_durably(&path, b"# this number belongs to another reign (odoo-ha)\n", owner)?;
        }
    }
    if dir.join(file_name(wanted)).exists() {
        return Err(Error::new(ErrorKind::NotReady, format!("timeline {wanted} exists already in {}", dir.display()))
            .hint("an earlier promotion to it was broken off: restart the member's database to have it cleared"));
    }
    Ok(())
}

/// Removes what a promotion left that was broken off before the database served on its new timeline: its history file and its
/// log. Only for a stopped database whose control file does not know that timeline.
pub(super) fn forget(data_dir: &Path, timeline: Timeline) -> Result<(), Error> {
    let dir = data_dir.join("pg_wal");
    let prefix = format!("{:08X}", timeline.0);
    let entries = std::fs::read_dir(&dir)
        .map_err(|source| error::io(format!("directory {} cannot be read", dir.display()), source))?;
    for entry in entries.flatten() {
        if entry.file_name().to_str().is_some_and(|name| name.starts_with(&prefix)) {
            files::remove(&entry.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_history_tells_where_each_ancestor_was_left() {
        let text = "1\t0/3000000\tno recovery target specified\n\n# comment\n3\t0/5000028\treason\n";
        let history = History::parse(Timeline(4), text).expect("a valid history");
        assert_eq!(history.left(Timeline(1)), Some(Lsn(0x300_0000)));
        assert_eq!(history.left(Timeline(2)), None);
        assert_eq!(history.left(Timeline(4)), Some(Lsn(u64::MAX)));
        assert_eq!(history.switch_lsn(), Lsn(0x500_0028));
        assert_eq!(history.timeline_at(Lsn(0x300_0000)), Timeline(1));
        assert_eq!(history.timeline_at(Lsn(0x300_0001)), Timeline(3));
        assert_eq!(history.timeline_at(Lsn(0x500_0029)), Timeline(4));
    }

    #[test]
    fn a_broken_history_is_an_error() {
        assert!(History::parse(Timeline(2), "one 0/0").is_err());
        assert!(History::parse(Timeline(2), "1").is_err());
    }
}
