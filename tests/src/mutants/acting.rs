//! Mutants of what hangs on leadership: the address, the watchdog, a database that runs without it.

use super::{Catch, Mutant, edit};

const REQUESTS: &str = "odoo-ha-core/src/machine/requests.rs";
const FACES: &str = "odoo-ha-core/src/machine/faces/mod.rs";
const FACE: &str = "odoo-ha-core/src/machine/faces/face.rs";
const WATCHDOG: &str = "odoo-ha-core/src/machine/faces/watchdog.rs";
const TAKEOVER: &str = "odoo-ha-core/src/machine/takeover.rs";
const HAND_OVER: &str = "odoo-ha-core/src/machine/hand_over.rs";
const PROMOTION: &str = "odoo-ha-core/src/machine/promotion.rs";

pub(super) const MUTANTS: &[Mutant] = &[
    Mutant {
        name: "hands_over_before_the_old_belief_ended",
        rules: &[35, 42],
        breaks: "a winner hands over at once, and its target attaches the address while the deposed leader still believes",
        edits: &[edit(HAND_OVER, ["if self.running.is_none() && ", "others_are_harmless", " {"], "true")],
        caught: Catch::Situation("address_waits_for_the_old_belief::when_the_winner_leaves_before_it"),
    },
    Mutant {
        name: "address_before_the_promotion",
        rules: &[32],
        breaks: "the address is attached before the database is primary",
        edits: &[
            edit(
                FACES,
                ["State::HandingOver(hand_over) => hand_over.serves(),\n            _ => ", "false", ",\n        };"],
                "matches!(self.state, State::Promoting)",
            ),
            edit(FACES, ["|| reign.lost || ", "!reign.leader.serving || reign.history.is_some()", " {"], "false"),
            edit(FACES, ["None => ", "false", ",\n            Some(end)"], "true"),
            edit(FACES, ["enforced && reached && ", "database.state == DatabaseState::Primary", ""], "true"),
        ],
        caught: Catch::Seeds { profile: "usual", seeds: 10, by: &["address_is_safe"] },
    },
    Mutant {
        name: "address_before_the_old_belief_has_ended",
        rules: &[35, 42],
        breaks: "the winner attaches an address that cannot refuse an older term before the old leader's belief has ended",
        edits: &[edit(TAKEOVER, ["reign.not_before = ", "self.others_are_harmless_at()", ";"], "self.now")],
        caught: Catch::Seeds { profile: "unguarded", seeds: 10, by: &["address_is_safe", "files_and_services_once"] },
    },
    Mutant {
        name: "restarted_winner_does_not_wait",
        rules: &[35],
        breaks: "a winner whose agent was restarted no longer waits for the end of the old belief",
        edits: &[edit(
            PROMOTION,
            ["let fresh = ", "seen.record.origin == Origin::Takeover && self.memo.alone != seen.record.mark.term", ";"],
            "false",
        )],
        caught: Catch::Situation("address_waits_for_the_old_belief::when_the_winner_agent_restarts"),
    },
    Mutant {
        name: "address_before_the_recovered_log_is_safe",
        rules: &[32],
        breaks: "users are let in before the named standbys have what recovery replayed",
        edits: &[edit(
            FACES,
            [
                "|name: &&MemberId| ",
                "database.standbys.get(*name).is_some_and(|s| s.streaming && s.flushed >= end)",
                "",
            ],
            "!name.as_str().is_empty() && end >= crate::lsn::Lsn(0)",
        )],
        caught: Catch::Seeds { profile: "tags", seeds: 60, by: &["reads_never_go_back"] },
    },
    Mutant {
        name: "address_stays_when_leadership_goes",
        rules: &[35],
        breaks: "the address is not taken down",
        edits: &[edit(
            FACE,
            [
                "(false, Lift::Up | Lift::Rising(_)) => {\n                next.call_off();\n                ",
                "next.lift = Lift::Falling(self.call(Order::DetachAddress, DOWN_TIMEOUT, None));",
                "",
            ],
            "next.lift = Lift::Down;",
        )],
        caught: Catch::Seeds { profile: "usual", seeds: 10, by: &["address_is_safe"] },
    },
    Mutant {
        name: "guard_is_fed_beyond_belief",
        rules: &[34],
        breaks: "the watchdog lets this node live on after its belief has ended",
        edits: &[edit(
            WATCHDOG,
            ["", "Some(ends.map_or(next, |ends| ends.min(next)))", ""],
            "let _ = (ends, next); Some(self.after(timing.ttl * 4))",
        )],
        caught: Catch::Seeds { profile: "usual", seeds: 10, by: &["guards_end_with_the_record"] },
    },
    Mutant {
        name: "guard_is_not_armed",
        rules: &[34],
        breaks: "the database is promoted without a watchdog",
        edits: &[
            edit(PROMOTION, ["return false;\n        }\n        ", "self.watchdog_is_armed()", "\n    }"], "true"),
            edit(WATCHDOG, ["            ", "self.watchdog_is_armed();", "\n"], ""),
        ],
        caught: Catch::Seeds { profile: "usual", seeds: 10, by: &["guards_end_with_the_record"] },
    },
    Mutant {
        name: "primary_without_leadership_runs_on",
        rules: &[39],
        breaks: "a database that runs as primary without leadership behind it is not stopped",
        edits: &[edit(
            "odoo-ha-core/src/machine/upkeep.rs",
            ["if ", "stop", " {\n            self.trouble"],
            "false && stop",
        )],
        caught: Catch::Situation("resumed_without_the_store::an_unconfirmed_primary_is_stopped"),
    },
    Mutant {
        name: "resumed_with_a_guard_without_an_end",
        rules: &[5, 34],
        breaks: "a paused leader writes that it is paused no more while its watchdog knows no end",
        edits: &[edit(
            REQUESTS,
            ["if ", "ends.is_some_and(|ends| !self.watchdog_ends_by(ends))", " {"],
            "false && ends.is_none()",
        )],
        caught: Catch::Seeds { profile: "paused", seeds: 10, by: &["guards_end_with_the_record"] },
    },
    Mutant {
        name: "guard_is_let_go_while_primary",
        rules: &[34],
        breaks: "a member without leadership lets the watchdog go while its database runs as primary",
        edits: &[edit(
            WATCHDOG,
            [
                "if settled && ",
                "!may_be_primary && self.faces.are_down()",
                " {\n                self.disarm_watchdog();",
            ],
            "(true || may_be_primary)",
        )],
        caught: Catch::Seeds { profile: "suspicious", seeds: 10, by: &["guards_end_with_the_record"] },
    },
    Mutant {
        name: "lost_address_is_not_taken_again",
        rules: &[35],
        breaks: "an address that is not where it was is not taken again",
        edits: &[edit(FACE, ["if ", "matches!(result, Ok(Answer::AddressHere(false)))", " {"], "false")],
        caught: Catch::Seeds { profile: "physics", seeds: 10, by: &["heals"] },
    },
    Mutant {
        name: "guard_is_let_go_beside_a_hung_primary",
        rules: &[34],
        breaks: "a member without leadership takes a database that does not answer for no primary, and lets the watchdog go",
        edits: &[edit(
            WATCHDOG,
            [
                "is_none_or(|database| {\n            ",
                "matches!(database.state, DatabaseState::Primary | DatabaseState::Unresponsive | DatabaseState::Starting)",
                "\n        });",
            ],
            "(database.state == DatabaseState::Primary)",
        )],
        caught: Catch::Situation("database_hangs::its_agent_starts_anew_and_the_watchdog_ends_it_all_the_same"),
    },
    Mutant {
        name: "begun_beside_a_late_fall",
        rules: &[34, 35],
        breaks: "what a start that was called off left behind is brought down beside what is raised next",
        edits: &[edit(FACE, ["Lift::Falling(_) => ", "self.fall_again = true", ","], "self.lift = Lift::Unsure")],
        caught: Catch::Situation("services_slow_to_stop::they_run_in_the_end"),
    },
];
