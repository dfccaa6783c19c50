//! Mutants of the driver: what it must hand on, and what it must not begin.

use super::{Catch, Mutant, edit};

const PERFORM: &str = "odoo-ha-core/src/driver/perform.rs";
const CALLS: &str = "odoo-ha-core/src/driver/calls.rs";
const WATCHES: &str = "odoo-ha-core/src/driver/watches.rs";
const MEMO: &str = "odoo-ha-core/src/driver/memo.rs";

pub(super) const MUTANTS: &[Mutant] = &[
    Mutant {
        name: "driver_begins_what_is_too_late",
        rules: &[34, 35],
        breaks: "the driver does not look at the latest begin of an action",
        edits: &[edit(PERFORM, ["if ", "action.not_after.is_some_and(|not_after| now >= not_after)", " {"], "false")],
        caught: Catch::Core("driver::situations::what_may_not_begin_any_more_is_fenced_without_a_call"),
    },
    Mutant {
        name: "driver_waits_without_end",
        rules: &[34],
        breaks: "a call that is past its deadline is not answered",
        edits: &[edit(
            CALLS,
            ["filter(|live| ", "!live.answered && live.deadline <= now", ") {"],
            "false && !live.answered && live.deadline <= now",
        )],
        caught: Catch::Core("driver::situations::no_answer_is_unknown_but_of_a_read_unavailable"),
    },
    Mutant {
        name: "driver_takes_no_answer_for_no",
        rules: &[8],
        breaks: "a commit that nobody answered in time is reported as not done",
        edits: &[edit(
            CALLS,
            ["let kind = ", "if live.duty == Duty::Read { ErrorKind::Unavailable } else { ErrorKind::Unknown }", ";"],
            "ErrorKind::Unavailable",
        )],
        caught: Catch::Core("driver::situations::no_answer_is_unknown_but_of_a_read_unavailable"),
    },
    Mutant {
        name: "driver_answers_twice",
        rules: &[8],
        breaks: "what ends after it was given up is answered a second time",
        edits: &[edit(CALLS, ["", "(!live.answered)", ".then(|| Ended"], "true")],
        caught: Catch::Core("driver::situations::a_promotion_that_was_answered_while_it_waited_is_never_begun"),
    },
    Mutant {
        name: "driver_begins_what_was_answered",
        rules: &[34],
        breaks: "an order that was given up while it waited for its turn is begun all the same",
        edits: &[edit(
            CALLS,
            ["filter(|live| !live.answered && live.deadline <= now) {\n            ", "live.task.abort();", ""],
            "",
        )],
        caught: Catch::Core("driver::situations::no_answer_is_unknown_but_of_a_read_unavailable"),
    },
    Mutant {
        name: "driver_stop_takes_no_place",
        rules: &[37],
        breaks: "a stop of the database waits behind the order that runs",
        edits: &[edit(CALLS, ["_ => ", "place == Place::DatabaseStop", ","], "false")],
        caught: Catch::Core("driver::situations::a_stop_takes_the_place_of_the_order_that_runs"),
    },
    Mutant {
        name: "driver_listens_to_a_watch_that_is_over",
        rules: &[28],
        breaks: "changes told by a watch that has ended are taken for new",
        edits: &[edit(WATCHES, ["", "!self.store.is_free() && self.number == watch", ""], "watch <= self.number")],
        caught: Catch::Core("driver::situations::a_watch_begins_at_what_was_read_and_its_end_is_told"),
    },
    Mutant {
        name: "driver_keeps_a_lost_watch_to_itself",
        rules: &[11],
        breaks: "the end of a watch of the store is not told",
        edits: &[edit(
            WATCHES,
            ["slot.end(task).then_some(", "input", ")"],
            "if matches!(input, Input::WatchLost) { return None; } else { input }",
        )],
        caught: Catch::Core("driver::situations::a_watch_begins_at_what_was_read_and_its_end_is_told"),
    },
    Mutant {
        name: "driver_writes_an_older_memo",
        rules: &[6, 28],
        breaks: "a memo that is older than the one beside the data replaces it",
        edits: &[edit(MEMO, ["if ", "number < *newest", " {"], "false")],
        caught: Catch::Core("driver::memo::tests::what_was_written_is_read_by_the_next_start"),
    },
    Mutant {
        name: "driver_ignores_another_s_memo",
        rules: &[6],
        breaks: "two agents use one directory",
        edits: &[edit(
            MEMO,
            ["let lock = ", "lock(directory)?", ";"],
            "File::open(directory).map_err(|cause| disk(\"\", directory, cause))?",
        )],
        caught: Catch::Core("driver::memo::tests::a_second_agent_is_refused_and_told_who_has_it"),
    },
];
