//! The suites bite: each broken store is caught by the check that is there for it.

use std::sync::Arc;

use odoo_ha_backends::memory::MemoryDcs;
use odoo_ha_core::conformance;
use odoo_ha_core::member::ClusterId;
use odoo_ha_core::roles::Dcs;

use crate::hasty_timer;
use crate::mutant::{Fault, Mutant};

/// Runs the suite over a broken store and demands that this check, among others or alone, finds it.
async fn caught(fault: Fault, by: &str) {
    let store = MemoryDcs::new(ClusterId::new("mutants").unwrap());
    let bench = |cluster: &ClusterId| {
        let inner = Arc::new(store.for_cluster(cluster.clone()));
        Ok(Arc::new(Mutant::new(inner, fault)) as Arc<dyn Dcs>)
    };
    let report = conformance::dcs(&bench, &hasty_timer).await;
    let names: Vec<_> = report.failures().map(|(name, _)| name).collect();
    println!("{fault:?}: {names:?}");
    assert!(names.contains(&by), "{fault:?} was not caught by {by} but by {names:?}\n{report}");
}

#[tokio::test]
async fn broken_versions_are_caught() {
    caught(Fault::EqualBytesKeepTheVersion, "equal_bytes_get_a_new_version").await;
    caught(Fault::VersionsAreHashes, "a_version_never_comes_back").await;
}

#[tokio::test]
async fn broken_guards_are_caught() {
    caught(Fault::AbsenceUnguarded, "an_absent_guard_holds_once").await;
    caught(Fault::VersionsUnguarded, "a_version_guard_refuses_other_versions").await;
    caught(Fault::OneGuardIsEnough, "every_guard_counts").await;
    caught(Fault::ConflictWrites, "a_conflict_writes_nothing").await;
}

#[tokio::test]
async fn broken_moments_are_caught() {
    caught(Fault::KeysOneByOne, "several_keys_are_written_at_one_moment").await;
    caught(Fault::TornReads, "several_keys_are_written_at_one_moment").await;
    caught(Fault::LooksBeforeItLeaps, "of_concurrent_commits_on_one_version_one_wins").await;
    caught(Fault::LooksBeforeItLeaps, "no_increment_is_lost").await;
    caught(Fault::LooksBeforeItLeaps, "guards_and_writes_are_one_moment").await;
}

#[tokio::test]
async fn broken_reads_are_caught() {
    caught(Fault::StaleReads, "another_client_sees_an_answered_commit").await;
    caught(Fault::CutsValues, "a_large_value_comes_back_whole").await;
    caught(Fault::ListsFewKeys, "many_keys_are_all_shown_in_order").await;
    caught(Fault::OnlyText, "any_bytes_come_back_as_they_were").await;
}

#[tokio::test]
async fn clusters_that_leak_are_caught() {
    let store = MemoryDcs::new(ClusterId::new("shared").unwrap());
    let bench = |_: &ClusterId| Ok(Arc::new(store.clone()) as Arc<dyn Dcs>);
    let report = conformance::dcs(&bench, &hasty_timer).await;
    assert!(report.failures().any(|(name, _)| name == "two_clusters_do_not_see_each_other"), "{report}");
}

#[tokio::test]
async fn broken_watches_are_caught() {
    // A lost event shows by waiting for it in vain, which takes the suite's patience.
    tokio::join!(
        caught(Fault::WatchBeginsNow, "a_watch_shows_what_was_written_before_it_began"),
        caught(Fault::WatchBeginsAtTheFirst, "a_watch_repeats_nothing"),
        caught(Fault::WatchSkips, "a_watch_shows_another_clients_writes"),
        caught(Fault::WatchReverses, "a_watch_keeps_the_order"),
        caught(Fault::WatchRepeats, "a_watch_repeats_nothing"),
        caught(Fault::WatchForgets, "a_dropped_wait_loses_no_event"),
    );
}

#[tokio::test]
async fn broken_deadlines_are_caught() {
    tokio::join!(
        caught(Fault::TimeoutsAreUnavailable, "a_commit_without_time_tells_the_truth"),
        caught(Fault::NoTimeouts, "a_timeout_of_zero_ends_the_call"),
        caught(Fault::DroppedCallsLock, "a_dropped_commit_leaves_the_client_usable"),
    );
}
