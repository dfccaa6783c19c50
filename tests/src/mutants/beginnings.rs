//! Mutants of beginnings: the first database, and stores that know nothing.

use super::{Catch, Mutant, edit};

const BEGINNING: &str = "odoo-ha-core/src/machine/beginning.rs";
const FOLLOWING: &str = "odoo-ha-core/src/machine/following.rs";
const JOINING: &str = "odoo-ha-core/src/machine/joining.rs";
const TAKEOVER: &str = "odoo-ha-core/src/machine/takeover.rs";

pub(super) const MUTANTS: &[Mutant] = &[
    Mutant {
        name: "new_database_beside_data",
        rules: &[38],
        breaks: "a new database is made though another member has data",
        edits: &[edit(BEGINNING, ["**member != self.config.me && ", "of_before", ""], "(false && of_before)")],
        caught: Catch::Seeds { profile: "beginnings", seeds: 20, by: &["new_databases_are_first"] },
    },
    Mutant {
        name: "new_cluster_in_a_wiped_store",
        rules: &[6, 38],
        breaks: "a member that remembers a cluster begins another one in an empty store",
        edits: &[
            edit(BEGINNING, ["if ", "self.memo.mark.term > Term(0)", " {\n            self.refuse("], "false"),
            edit(
                "odoo-ha-core/src/machine/calls.rs",
                ["} else if ", "mark < began.mark && !unreadable", " {"],
                "mark < began.mark && !unreadable && seen.leader.is_some()",
            ),
            edit(BEGINNING, ["Bootstrap::Create if ", "has_data", " =>"], "false && has_data"),
            edit(
                BEGINNING,
                ["if ", "self.config.bootstrap == Bootstrap::Create && !self.founders_are_empty(None)", " {"],
                "false",
            ),
        ],
        caught: Catch::Situation("store_restored_from_backup::a_wiped_store_begins_no_new_cluster"),
    },
    Mutant {
        name: "two_may_begin_the_cluster",
        rules: &[38],
        breaks: "the commit that begins a cluster is not guarded by the absence of one",
        edits: &[edit(
            TAKEOVER,
            [
                "(None, _) => ",
                "vec![\n                Guard::Absent(Key::leader()),\n                Guard::Absent(Key::sync()),\n                Guard::Absent(Key::cluster()),\n                Guard::Absent(Key::history()),\n            ]",
                ",",
            ],
            "Vec::new()",
        )],
        caught: Catch::Seeds { profile: "usual", seeds: 10, by: &["terms_grow"] },
    },
    Mutant {
        name: "silent_beginner_is_not_replaced",
        rules: &[38],
        breaks: "a bootstrap whose beginner died is never taken over",
        edits: &[edit(FOLLOWING, ["if ", "self.beginner_is_silent(&leader)", " {"], "false")],
        caught: Catch::Seeds { profile: "beginnings", seeds: 20, by: &["heals"] },
    },
    Mutant {
        name: "new_database_beside_what_was_being_adopted",
        rules: &[38],
        breaks: "a beginner with data of before is followed by one that makes a new database",
        edits: &[edit(BEGINNING, ["Bootstrap::Create if ", "leader.origin == Origin::Adoption", " =>"], "false")],
        caught: Catch::Seeds { profile: "beginnings", seeds: 40, by: &["new_databases_are_first"] },
    },
    Mutant {
        name: "new_database_beside_data_that_came_late",
        rules: &[38],
        breaks: "who begins again after a beginner died does not ask who has reported data meanwhile",
        edits: &[edit(
            BEGINNING,
            ["term > leader.mark.term || ", "(has_data && **member != leader.writer)", ","],
            "(false && has_data)",
        )],
        caught: Catch::Situation("bootstrap_first_wins::no_database_is_made_beside_data_that_came_late"),
    },
    Mutant {
        name: "another_database_is_accepted",
        rules: &[38],
        breaks: "data of another system identifier take part in the cluster",
        edits: &[edit(JOINING, ["(Some(ours), Some(here)) if ", "ours != here", " =>"], "false && ours != here")],
        caught: Catch::Seeds { profile: "losses", seeds: 20, by: &["foreign_data_stay_away"] },
    },
];
