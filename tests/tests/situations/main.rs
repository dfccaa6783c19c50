//! Situations: what a cluster of machines does when something goes wrong, one file a situation, in a made-up world.
//!
//! `docs/protocol.md` says which of them holds which rule of the protocol.
#![expect(clippy::expect_used, clippy::panic, reason = "a situation that cannot be set up fails its test")]

mod acknowledged_commits_survive_two_failovers;
mod address_waits_for_the_old_belief;
mod address_waits_for_the_recovered_log;
mod agent_frozen;
mod agent_killed_database_alive;
mod agent_restarted_while_bound_by_its_vote;
mod any_k_acknowledge;
mod asked_for_fresh_copies_while_nobody_leads;
mod asynchronous_candidates_within_the_lag;
mod best_voter_vanishes;
mod bootstrap_first_wins;
mod cascading;
mod change_of_names_unanswered;
mod clock_jumped;
mod copy_that_lost_data_is_not_counted;
mod data_discarded_only_when_nobody_counts_on_them;
mod data_wiped_while_bound;
mod database_hangs;
mod database_killed;
mod deposed_leader_writes_late;
mod every_transition_is_a_sentence;
mod everything_restarted;
mod false_suspicion_without_the_store;
mod follow_hangs;
mod giving_up_releases_no_commit;
mod history_before_users;
mod host_gone;
mod idle_leader_is_heard;
mod leader_cut_from_store;
mod paused_cluster;
mod policy_in_the_store;
mod random_faults;
mod read_overtaken_by_an_own_write;
mod record_deleted;
mod records_broken_or_foreign;
mod released_when_all_is_down;
mod renewal_unanswered;
mod restarted_leader_renews_first;
mod resumed_without_the_store;
mod services_slow_to_stop;
mod shutdown_in_order;
mod slots_are_looked_after;
mod standby_hears_late;
mod standby_silent;
mod store_away_and_all_members_reachable;
mod store_restored_from_backup;
mod strict_never_alone;
mod switchover;
mod synchronous_names_in_the_safe_order;
mod tags_are_heard;
mod takeover_lands_late;
mod third_member_lags_behind_the_winner;
mod timelines_are_owned;
mod times_changed_at_run_time;
mod voter_s_database_dies;
mod voter_sees_the_past;
mod watchdog_unanswered;
mod winner_cannot_promote;
mod winner_died_before_its_promotion;
mod wishes_at_the_same_moment;

use std::time::Duration;

use odoo_ha_core::machine::Command;
use odoo_ha_core::member::MemberId;
use odoo_ha_core::policy::SyncMode;
use odoo_ha_core::records::RequestKind;
use odoo_ha_tests::sim::World;

/// A whole cluster, its leader, and the others.
fn whole(members: usize, mode: SyncMode, seed: u64) -> (World, MemberId, Vec<MemberId>) {
    settled(World::new(members, mode, seed))
}

/// The same of a world made otherwise.
fn settled(mut world: World) -> (World, MemberId, Vec<MemberId>) {
    world.run_until("a whole cluster", Duration::from_secs(30), World::whole);
    let leader = world.leader().expect("a whole cluster has a leader");
    let others = world.nodes.keys().filter(|name| **name != leader).cloned().collect();
    (world, leader, others)
}

/// Peace: everything must be well again, and nothing lost.
fn heals(world: &mut World) {
    world.run_until("whole again", Duration::from_secs(30), World::whole);
    assert_eq!(world.lost(), 0, "{}", world.story());
    world.assert_sound();
}

/// An operator's wish, told to that member.
fn ask(world: &mut World, on: &MemberId, id: &str, kind: RequestKind) {
    world.command(on, Command::Request { id: id.to_owned(), kind });
}

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

fn millis(count: u64) -> Duration {
    Duration::from_millis(count)
}
