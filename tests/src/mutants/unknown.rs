//! Mutants of what is not known: writes without an answer, stores that forgot, memos that are not read.

use super::{Catch, Mutant, edit};

const RENEWAL: &str = "odoo-ha-core/src/machine/renewal.rs";
const TAKEOVER: &str = "odoo-ha-core/src/machine/takeover.rs";
const CALLS: &str = "odoo-ha-core/src/machine/calls.rs";
const FOLLOWING: &str = "odoo-ha-core/src/machine/following.rs";
const PROMOTION: &str = "odoo-ha-core/src/machine/promotion.rs";
const MACHINE: &str = "odoo-ha-core/src/machine/mod.rs";
const CANDIDACY: &str = "odoo-ha-core/src/machine/candidacy.rs";

pub(super) const MUTANTS: &[Mutant] = &[
    Mutant {
        name: "unanswered_renewal_is_taken_for_no",
        rules: &[8],
        breaks: "a renewal without an answer is forgotten",
        edits: &[edit(RENEWAL, ["_ => ", "reign.attempts.unanswered()", ","], "reign.attempts.under_way = None")],
        caught: Catch::Situation("TODO"),
    },
    Mutant {
        name: "unanswered_renewal_is_taken_for_yes",
        rules: &[8],
        breaks: "a renewal without an answer confirms leadership",
        edits: &[edit(
            RENEWAL,
            ["_ => ", "reign.attempts.unanswered()", ","],
            "{\n\
             reign.confirmed = reign.attempts.under_way.as_ref().map(|attempt| attempt.sent);\n\
             reign.attempts.unanswered();\n\
             }",
        )],
        caught: Catch::Situation("TODO"),
    },
    Mutant {
        name: "unanswered_change_is_taken_for_yes",
        rules: &[8, 18],
        breaks: "a change of the sync record without an answer loosens the database",
        edits: &[edit(
            RENEWAL,
            ["_ => ", "reign.attempts.unanswered()", ","],
            "{\n\
             if matches!(reign.sync_step, SyncStep::Recording { .. }) { reign.sync_step = SyncStep::Loosening; reign.standbys_in_force = None; }\n\
             reign.attempts.unanswered();\n\
             }",
        )],
        caught: Catch::Situation("TODO"),
    },
    Mutant {
        name: "unanswered_takeover_is_taken_for_no",
        rules: &[8],
        breaks: "a takeover without an answer is forgotten",
        edits: &[edit(
            TAKEOVER,
            ["_ => ", "take_over.attempts.unanswered()", ","],
            "take_over.attempts.under_way = None",
        )],
        caught: Catch::Situation("TODO"),
    },
    Mutant {
        name: "unanswered_vote_is_taken_for_no",
        rules: &[8, 28],
        breaks: "a vote without an answer binds nobody",
        edits: &[edit(
            CANDIDACY,
            [
                "",
                "self.follow_again_at = self.after(STORE_RETRY / 4);\n                self.state = State::Freezing { against, step: FreezeStep::Confirm(confirm) };",
                "",
            ],
            "let _ = confirm;\n\
                 self.bound = None;\n\
                 self.go(State::Following, Cause::NotConfirmed);",
        )],
        caught: Catch::Situation("TODO"),
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
        caught: Catch::Situation("TODO"),
    },
    Mutant {
        name: "every_write_has_the_same_nonce",
        rules: &[2, 8],
        breaks: "the writes of one agent cannot be told apart",
        edits: &[edit(CALLS, ["", "self.next_nonce += 1;", ""], "")],
        caught: Catch::Situation("TODO"),
    },
    Mutant {
        name: "older_store_is_believed",
        rules: &[6],
        breaks: "a store that shows less than was seen is taken for true",
        edits: &[edit(CALLS, ["} else if ", "mark < began.mark && !unreadable", " {"], "false")],
        caught: Catch::Situation("TODO"),
    },
    Mutant {
        name: "memo_is_not_held_against_the_store",
        rules: &[6],
        breaks: "a restarted agent believes a store that shows less than its memo",
        edits: &[edit(MACHINE, ["", "seen.max(self.memo_wanted.mark)", ""], "seen")],
        caught: Catch::Situation("TODO"),
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
        caught: Catch::Situation("TODO"),
    },
    Mutant {
        name: "resumes_without_the_acknowledged_data",
        rules: &[6, 30],
        breaks: "a leader that lost acknowledged data serves again",
        edits: &[edit(PROMOTION, ["if ", "started.lsn < acknowledged", " {"], "false && started.lsn < acknowledged")],
        caught: Catch::Situation("TODO"),
    },
    Mutant {
        name: "follows_before_the_term_is_remembered",
        rules: &[6],
        breaks: "a leader is followed before its term is durable in the memo",
        edits: &[edit(FOLLOWING, ["if ", "self.memo.mark.term < leader.mark.term", " {"], "false")],
        caught: Catch::Situation("TODO"),
    },
];
