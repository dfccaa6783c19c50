//! Mutants of what is not known: writes without an answer, stores that forgot, memos that are not read.

use super::{Catch, Mutant, edit};

const RENEWAL: &str = "odoo-ha-core/src/machine/renewal.rs";
const CALLS: &str = "odoo-ha-core/src/machine/calls.rs";
const FOLLOWING: &str = "odoo-ha-core/src/machine/following.rs";
const PROMOTION: &str = "odoo-ha-core/src/machine/promotion.rs";
const MACHINE: &str = "odoo-ha-core/src/machine/mod.rs";

pub(super) const MUTANTS: &[Mutant] = &[
    Mutant {
        name: "unanswered_renewal_is_taken_for_no",
        rules: &[8],
        breaks: "a renewal without an answer is forgotten",
        edits: &[edit(
            RENEWAL,
            [
                "_ => {\n                        ",
                "reign.attempts.unanswered();\n                        reign.store_is_silent = true;",
                "",
            ],
            "reign.attempts.under_way = None",
        )],
        caught: Catch::Seeds { profile: "suspicious", seeds: 10, by: &["own_writes_are_known"] },
    },
    Mutant {
        name: "unanswered_renewal_is_taken_for_yes",
        rules: &[8],
        breaks: "a renewal without an answer confirms leadership",
        edits: &[edit(
            RENEWAL,
            [
                "_ => {\n                        ",
                "reign.attempts.unanswered();\n                        reign.store_is_silent = true;",
                "",
            ],
            "{\n\
             reign.confirmed = reign.attempts.under_way.as_ref().map(|attempt| attempt.sent);\n\
             reign.attempts.unanswered();\n\
             }",
        )],
        caught: Catch::Seeds { profile: "usual", seeds: 20, by: &["belief_within_the_record"] },
    },
    Mutant {
        name: "unanswered_change_is_taken_for_yes",
        rules: &[8, 18],
        breaks: "a change of the sync record without an answer loosens the database",
        edits: &[edit(
            RENEWAL,
            [
                "_ => {\n                        ",
                "reign.attempts.unanswered();\n                        reign.store_is_silent = true;",
                "",
            ],
            "{\n\
             if matches!(reign.sync_step, SyncStep::Recording { .. }) { reign.sync_step = SyncStep::Loosening; reign.standbys_in_force = None; }\n\
             reign.attempts.unanswered();\n\
             }",
        )],
        caught: Catch::Situation("change_of_names_unanswered::the_database_waits_for_whom_either_version_names"),
    },
    Mutant {
        name: "a_read_settles_what_it_does_not_show",
        rules: &[8],
        breaks: "an unanswered renewal is forgotten when a read does not show it",
        edits: &[edit(
            RENEWAL,
            ["_succeeded: bool) ", "{}", ""],
            "{\n\
             if _succeeded && let Some(reign) = &mut self.reign {\n\
             reign.attempts.unsettled.clear();\n\
             }\n\
             }",
        )],
        caught: Catch::Seeds { profile: "suspicious", seeds: 20, by: &["own_writes_are_known"] },
    },
    Mutant {
        name: "every_write_has_the_same_nonce",
        rules: &[2, 8],
        breaks: "the writes of one agent cannot be told apart",
        edits: &[edit(CALLS, ["", "self.next_nonce += 1;", ""], "")],
        caught: Catch::Seeds {
            profile: "usual",
            seeds: 20,
            by: &["terms_grow", "belief_within_the_record", "one_believes"],
        },
    },
    Mutant {
        name: "older_store_is_believed",
        rules: &[6],
        breaks: "a store that shows less than was seen is taken for true",
        edits: &[edit(CALLS, ["} else if ", "mark < began.mark && !unreadable", " {"], "false")],
        caught: Catch::Seeds {
            profile: "forgetful",
            seeds: 10,
            by: &["names_are_waited_for", "forgetful_store_is_refused"],
        },
    },
    Mutant {
        name: "memo_is_not_held_against_the_store",
        rules: &[6],
        breaks: "a restarted agent believes a store that shows less than its memo",
        edits: &[edit(MACHINE, ["", "seen.max(self.memo_wanted.mark)", ""], "seen")],
        caught: Catch::Seeds { profile: "forgetful", seeds: 150, by: &["forgetful_store_is_refused"] },
    },
    Mutant {
        name: "resumes_without_its_memory",
        rules: &[6],
        breaks: "leadership is resumed by record by a member whose memo does not hold that term",
        edits: &[edit(
            FOLLOWING,
            ["if ", "self.memo.led == leader.mark.term && leader.writer == *self.me()", " {\n            return true;"],
            "leader.writer == *self.me()",
        )],
        caught: Catch::Seeds { profile: "losses", seeds: 10, by: &["resumes_by_memory"] },
    },
    Mutant {
        name: "resumes_without_what_was_acknowledged",
        rules: &[6, 30],
        breaks: "a leader whose database ends before what it published serves all the same",
        edits: &[edit(PROMOTION, ["if ", "started.lsn < acknowledged", " {\n            let why"], "false")],
        caught: Catch::Seeds { profile: "lost-leaders", seeds: 10, by: &["no_commit_is_lost"] },
    },
    Mutant {
        name: "follows_before_it_remembers",
        rules: &[6],
        breaks: "a new leader is followed before its term is durable beside the data",
        edits: &[edit(FOLLOWING, ["if ", "self.memo.mark.term < leader.mark.term", " {"], "false")],
        caught: Catch::Seeds { profile: "harsh", seeds: 10, by: &["resumes_by_memory"] },
    },
];
