//! Model checking within bounds that a normal run can afford: every order of events, over the real machine. The program `model` goes further.

use odoo_ha_tests::model::{Beginning, Bounds, Budget, Clocks, Mistake, Report, Wrong, check};

const CALM: Budget = Budget { writes: 0, crashes: 0, lost: 0, freezes: 0, switchovers: 0 };

/// Nothing that must never be, and these states were reached.
fn sound(bounds: Bounds, reached: &[&str]) -> Report {
    let report = check(bounds, 1, None);
    let wrong = report.wrong.first().map(|(_, found)| format!("{}:\n{}", found.property, found.story));
    assert_eq!(wrong, None, "{bounds:?}");
    assert!(report.complete, "{bounds:?}");
    for landmark in reached {
        assert!(Report::landmarks().contains(landmark), "{landmark} is no landmark");
        assert!(report.reached(landmark), "not reached: {landmark}; {bounds:?}, {} states", report.unique);
    }
    report
}

#[test]
fn two_members_a_crash_a_lost_answer_and_a_commit_in_any_order() {
    let reached = [
        "a commit is acknowledged",
        "a member votes",
        "a vote is void",
        "a voter receives again from a newer leader",
        "a voter receives again from the old leader",
        "a primary of an older term runs beside the newest",
        "a member is dropped from the sync record",
        "a leader leads on after an unanswered commit that landed",
        "a leader leads on after an unanswered commit that did not",
    ];
    sound(Bounds::new(2, 6), &reached);
}

#[test]
fn three_members_a_crash_a_lost_answer_and_a_commit_in_any_order() {
    let reached = ["a commit is acknowledged", "a member votes"];
    sound(Bounds::new(3, 5), &reached);
}

#[test]
fn a_leader_that_crashes_after_a_commit_was_acknowledged() {
    let budget = Budget { writes: 1, crashes: 1, ..CALM };
    let reached = ["a failover has ended", "a failover has ended after an acknowledged commit"];
    sound(Bounds { budget, ..Bounds::new(2, 9) }, &reached);
}

#[test]
fn a_member_that_was_dropped_comes_back() {
    let bounds = Bounds { beginning: Beginning::Dropped, ..Bounds::new(3, 5) };
    sound(bounds, &["a dropped member is named again", "a member votes"]);
}

#[test]
fn commits_that_wait_for_any_one_of_two() {
    let whole = Bounds { quorum: 1, ..Bounds::new(3, 5) };
    sound(whole, &["a commit is acknowledged", "a member votes"]);
    let dropped = Bounds { beginning: Beginning::Dropped, ..whole };
    sound(dropped, &["a dropped member is named again"]);
}

#[test]
fn an_old_leader_comes_back_after_a_failover() {
    let bounds = Bounds { beginning: Beginning::FailedOver, ..Bounds::new(3, 5) };
    sound(bounds, &["a failover has ended", "a vote is void"]);
}

#[test]
fn a_cluster_begins() {
    sound(Bounds { beginning: Beginning::Nothing, ..Bounds::new(2, 6) }, &["a commit is acknowledged"]);
}

#[test]
fn a_switchover_at_any_moment() {
    let budget = Budget { switchovers: 1, ..CALM };
    sound(Bounds { budget, ..Bounds::new(2, 10) }, &["a switchover has ended"]);
}

#[test]
fn at_most_one_believes_while_agents_freeze_and_go_on() {
    let budget = Budget { freezes: 2, lost: 1, ..CALM };
    let bounds = Bounds { clocks: Clocks::Common, budget, ..Bounds::new(2, 8) };
    sound(bounds, &["a failover has ended", "a voter receives again from a newer leader"]);
}

/// The checker bites: each mistake between machine and world is found.
#[test]
fn mistakes_are_found() {
    let dropped = |mistake| match mistake {
        Mistake::TightenedLate => Beginning::Dropped,
        _ => Beginning::Whole,
    };
    let seen_as = |mistake| match mistake {
        Mistake::TakeoverUnguarded | Mistake::RenewalUnguarded => Wrong::TermWentBack,
        Mistake::FreezeSkipped | Mistake::IntentForgotten => Wrong::VoterReceives,
        _ => Wrong::CountedNotWaitedFor,
    };
    for mistake in Mistake::ALL {
        let report = check(Bounds { mistake, beginning: dropped(mistake), ..Bounds::new(2, 8) }, 1, None);
        let found: Vec<Wrong> = report.wrong.iter().map(|(wrong, _)| *wrong).collect();
        assert!(found.contains(&seen_as(mistake)), "{mistake:?}: {found:?} in {} states", report.unique);
    }
}

/// Where only commits are looked at, and not the rule that was broken on the way.
#[test]
fn a_database_loosened_before_the_record_loses_a_commit() {
    let budget = Budget { writes: 1, crashes: 1, ..CALM };
    let only = Some(Wrong::AdmittedLacks);
    let report = check(Bounds { budget, mistake: Mistake::LoosenedFirst, only, ..Bounds::new(2, 7) }, 1, None);
    assert!(report.wrong.iter().any(|(wrong, _)| *wrong == Wrong::AdmittedLacks), "{} states", report.unique);
}
