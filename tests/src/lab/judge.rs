//! What must never be, whatever happened.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use super::prober::Accepted;
use super::writer::Book;

/// Two databases that accepted writes at once: a commit that was begun on an older timeline after one on a newer was acknowledged, and was
/// acknowledged itself; or one timeline was written by two.
pub(super) fn two_writers(seen: &[Accepted]) -> Option<String> {
    let mut owners: BTreeMap<i32, &str> = BTreeMap::new();
    for accepted in seen {
        let owner = *owners.entry(accepted.timeline).or_insert(&accepted.node);
        if owner != accepted.node {
            return Some(format!("{owner} and {} both wrote timeline {}", accepted.node, accepted.timeline));
        }
    }
    let mut by_end: Vec<&Accepted> = seen.iter().collect();
    by_end.sort_by_key(|accepted| accepted.ended);
    let mut newest: Option<&Accepted> = None;
    let mut by_begin = by_end.clone();
    by_begin.sort_by_key(|accepted| accepted.began);
    let mut ends = by_end.into_iter().peekable();
    for accepted in by_begin {
        while let Some(ended) = ends.next_if(|ended| ended.ended < accepted.began) {
            if newest.is_none_or(|newest| newest.timeline < ended.timeline) {
                newest = Some(ended);
            }
        }
        if let Some(newest) = newest.filter(|newest| newest.timeline > accepted.timeline) {
            return Some(format!(
                "{} acknowledged a commit on timeline {} that began {:?} after {} had acknowledged one on timeline {}",
                accepted.node,
                accepted.timeline,
                accepted.began - newest.ended,
                newest.node,
                newest.timeline
            ));
        }
    }
    None
}

/// What was acknowledged and is not there, except what was in a time in which it may be lost.
pub(super) fn lost(book: &Book, there: &BTreeSet<i64>, permitted: Option<(Instant, Instant)>) -> Vec<i64> {
    let excused = |ended: Instant| permitted.is_some_and(|(from, to)| from <= ended && ended <= to);
    let counted = book.acknowledged.iter().filter(|row| !excused(row.ended));
    counted.map(|row| row.id).filter(|id| !there.contains(id)).collect()
}

/// The longest time between two acknowledged writes.
pub(super) fn longest_gap(book: &Book) -> Duration {
    let pairs = book.acknowledged.windows(2);
    pairs.map(|pair| pair[1].ended - pair[0].ended).max().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Node, timeline, begin and end in milliseconds.
    fn seen(told: &[(&str, i32, u64, u64)]) -> Vec<Accepted> {
        let zero = Instant::now();
        let at = |ms| zero + Duration::from_millis(ms);
        let one = |(node, timeline, began, ended): &(&str, i32, u64, u64)| Accepted {
            node: (*node).to_owned(),
            timeline: *timeline,
            began: at(*began),
            ended: at(*ended),
        };
        told.iter().map(one).collect()
    }

    #[test]
    fn two_that_take_turns_are_fine_and_two_at_once_are_seen() {
        let turns = [("a", 1, 0, 1), ("a", 1, 2, 9), ("b", 2, 5, 8), ("b", 2, 9, 10), ("a", 3, 11, 12)];
        assert_eq!(two_writers(&seen(&turns)), None, "one that began before may end later");
        let mut both = turns.to_vec();
        both.push(("a", 1, 9, 11));
        assert!(two_writers(&seen(&both)).is_some_and(|why| why.starts_with("a acknowledged")));
        assert!(two_writers(&seen(&[("a", 1, 0, 1), ("b", 1, 2, 3)])).is_some_and(|why| why.contains("timeline 1")));
    }
}
