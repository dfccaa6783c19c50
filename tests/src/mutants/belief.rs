//! Mutants of belief: until when a leader may act, and from when on others may doubt it.

use super::{Catch, Mutant, edit};

const REIGN: &str = "odoo-ha-core/src/machine/reign.rs";
const RENEWAL: &str = "odoo-ha-core/src/machine/renewal.rs";
const WATCH: &str = "odoo-ha-core/src/machine/watch.rs";
const FOLLOWING: &str = "odoo-ha-core/src/machine/following.rs";
const CANDIDACY: &str = "odoo-ha-core/src/machine/candidacy.rs";
const PROMOTION: &str = "odoo-ha-core/src/machine/promotion.rs";
const LEADING: &str = "odoo-ha-core/src/machine/leading.rs";

pub(super) const MUTANTS: &[Mutant] = &[
    Mutant {
        name: "belief_counts_from_the_answer",
        rules: &[11],
        breaks: "a renewal is counted from when it was answered, not from before it was sent",
        edits: &[edit(RENEWAL, ["reign.confirmed = Some(", "attempt.sent", ");"], "now")],
        caught: Catch::Seeds { profile: "usual", seeds: 10, by: &["belief_within_the_record"] },
    },
    Mutant {
        name: "unanswered_renewal_shortens_nothing",
        rules: &[4],
        breaks: "a renewal under way with a shorter ttl does not shorten belief until it is answered",
        edits: &[edit(REIGN, ["let by_store = ", "all.fold(ends, Ends::min)", ";"], "drop(all); ends")],
        caught: Catch::Seeds { profile: "usual", seeds: 40, by: &["belief_within_the_record"] },
    },
    Mutant {
        name: "gives_up_at_the_end_of_ttl",
        rules: &[37],
        breaks: "giving up begins when belief has ended, so that the database still runs when others may start",
        edits: &[edit(REIGN, ["give_up: ", "belief.before(timing.clock_margin + timing.stop_budget)", " }"], "belief")],
        caught: Catch::Seeds {
            profile: "unguarded",
            seeds: 10,
            by: &["stopped_before_belief_ends", "address_is_safe"],
        },
    },
    Mutant {
        name: "stop_budget_is_nothing",
        rules: &[37],
        breaks: "no time is reserved for stopping the database before belief ends",
        edits: &[edit(
            REIGN,
            ["give_up: ", "belief.before(timing.clock_margin + timing.stop_budget)", " }"],
            "belief.before(timing.clock_margin)",
        )],
        caught: Catch::Seeds { profile: "unguarded", seeds: 10, by: &["stopped_before_belief_ends"] },
    },
    Mutant {
        name: "believes_twice_as_long",
        rules: &[4],
        breaks: "belief outlasts the ttl that the record gives",
        edits: &[edit(REIGN, ["Self::at(sent + ", "record.ttl()", ", timing)"], "record.ttl() * 2")],
        caught: Catch::Seeds { profile: "usual", seeds: 10, by: &["belief_within_the_record"] },
    },
    Mutant {
        name: "suspicion_survives_a_renewal",
        rules: &[11],
        breaks: "silence is counted from the first version that was watched, not from the receipt of the newest",
        edits: &[edit(
            WATCH,
            ["let (now, timing) = (", "self.now", ", self.config.timing)"],
            "self.watched.map_or(self.now, |watch| watch.received)",
        )],
        caught: Catch::Seeds { profile: "usual", seeds: 10, by: &["silence_is_waited_for"] },
    },
    Mutant {
        name: "acts_before_the_renewal_is_answered",
        rules: &[11],
        breaks: "who finds itself in the leader record acts at once, without a renewal that is confirmed",
        edits: &[edit(
            PROMOTION,
            [
                "",
                "if reign.belief_ends() <= self.now {\n            return self.leave_unanswered();\n        }",
                "\n        let (serving, term)",
            ],
            "let _ = reign;",
        )],
        caught: Catch::Situation("restarted_leader_renews_first::both_died_and_it_comes_back_within_its_right"),
    },
    Mutant {
        name: "lost_leadership_goes_unnoticed",
        rules: &[9],
        breaks: "a leader that sees another's record in place of its own leads on",
        edits: &[edit(
            RENEWAL,
            ["} else if seen.record.mark > reign.leader.mark {\n            ", "reign.lost = true;", ""],
            "",
        )],
        caught: Catch::Seeds { profile: "usual", seeds: 20, by: &["heals", "one_believes"] },
    },
    Mutant {
        name: "paused_record_is_taken_over",
        rules: &[5],
        breaks: "a leader record that says paused is suspected like any other",
        edits: &[
            edit(FOLLOWING, ["if ", "leader.paused && !forced", " {\n            return None;"], "false"),
            edit(CANDIDACY, ["if ", "leader.paused && self.forced().is_none()", " {"], "false"),
        ],
        caught: Catch::Seeds { profile: "paused", seeds: 10, by: &["paused_is_left_alone"] },
    },
    Mutant {
        name: "asynchronous_suspicion_is_short",
        rules: &[42],
        breaks: "a short suspicion holds in asynchronous mode too, where only the lease keeps two leaders apart",
        edits: &[edit(FOLLOWING, ["let at = if ", "synchronous && !forced", " {"], "!forced")],
        caught: Catch::Seeds { profile: "asynchronous", seeds: 20, by: &["silence_is_waited_for"] },
    },
    Mutant {
        name: "clock_jump_changes_nothing",
        rules: &[36],
        breaks: "after a jump of the wall clock the leader goes on believing in renewals sent before",
        edits: &[edit("odoo-ha-core/src/machine/mod.rs", ["Input::ClockJumped => ", "self.clock_jumped()", ","], "")],
        caught: Catch::Seeds { profile: "suspicious", seeds: 20, by: &["jumps_shorten_belief"] },
    },
    Mutant {
        name: "renewal_from_before_a_jump_confirms",
        rules: &[36],
        breaks: "the answer to a renewal that was sent before the clock jumped confirms leadership",
        edits: &[edit(RENEWAL, ["if ", "reign.jumped_at.is_none_or(|jumped| attempt.sent >= jumped)", " {"], "true")],
        caught: Catch::Seeds { profile: "unguarded", seeds: 60, by: &["jumps_shorten_belief"] },
    },
    Mutant {
        name: "shorter_ttl_before_the_guard_knows",
        rules: &[4],
        breaks: "a shorter ttl is written while the watchdog still knows the later end",
        edits: &[edit(
            RENEWAL,
            [
                "if ",
                "wanted.ttl >= in_force.ttl || reign.paused || self.watchdog_ends_by(self.after(wanted.ttl))",
                " {",
            ],
            "true",
        )],
        caught: Catch::Seeds { profile: "paused", seeds: 10, by: &["guards_end_with_the_record"] },
    },
    Mutant {
        name: "never_gives_up",
        rules: &[34],
        breaks: "a leader whose right has ended does not step down",
        edits: &[edit(
            LEADING,
            ["if ", "reign.give_up_at() <= self.now", " {\n            self.give_up(\"leadership could not be renewed"],
            "false",
        )],
        caught: Catch::Seeds { profile: "unguarded", seeds: 10, by: &["stopped_before_belief_ends"] },
    },
    Mutant {
        name: "observer_counts_by_its_own_times",
        rules: &[4],
        breaks: "an observer takes a leader for abandoned by its own ttl, not by that of the record",
        edits: &[
            edit(FOLLOWING, ["watch.sent + ", "leader.suspicion()", " }"], "self.config.timing.suspicion"),
            edit(FOLLOWING, ["watch.received + ", "leader.ttl()", " };"], "self.config.timing.ttl"),
        ],
        caught: Catch::Seeds { profile: "unguarded", seeds: 20, by: &["silence_is_waited_for"] },
    },
    Mutant {
        name: "asynchronous_silence_counts_from_the_sending",
        rules: &[11, 42],
        breaks: "where commits may be lost, too, silence counts from when the record was sent, by another machine's clock",
        edits: &[edit(FOLLOWING, ["", "watch.received + leader.ttl()", " };"], "watch.sent + leader.ttl()")],
        caught: Catch::Situation("standby_hears_late::asynchronous_silence_counts_from_the_receipt"),
    },
    Mutant {
        name: "address_counts_from_the_sending",
        rules: &[35, 42],
        breaks: "an address that no term fences is attached when the old belief has ended by another machine's clock",
        edits: &[edit(CANDIDACY, ["let since = ", "watch.received", ";"], "watch.sent")],
        caught: Catch::Situation("standby_hears_late::the_address_counts_from_the_receipt"),
    },
    Mutant {
        name: "two_renewals_under_way",
        rules: &[10],
        breaks: "a renewal is sent while the one before has no answer",
        edits: &[
            edit(
                RENEWAL,
                [
                    ".is_some_and(|reign| !reign.lost && ",
                    "reign.attempts.under_way.is_none()",
                    " && reign.next_renewal <= self.now);",
                ],
                "true",
            ),
            edit(
                RENEWAL,
                [
                    "let Some(reign) = &self.reign else { return };\n        if ",
                    "reign.attempts.under_way.is_some()",
                    " {\n            return;",
                ],
                "false",
            ),
        ],
        caught: Catch::Seeds { profile: "suspicious", seeds: 10, by: &["one_renewal_at_a_time"] },
    },
];
