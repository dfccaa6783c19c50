//! Mutants of the order in which the sync record and `synchronous_standby_names` change.

use super::{Catch, Mutant, edit};

const SYNC_CHANGE: &str = "odoo-ha-core/src/machine/sync_change.rs";
const PROMOTION: &str = "odoo-ha-core/src/machine/promotion.rs";
const LEADING: &str = "odoo-ha-core/src/machine/leading.rs";
const RENEWAL: &str = "odoo-ha-core/src/machine/renewal.rs";
const CALLS: &str = "odoo-ha-core/src/machine/calls.rs";
const FOLLOWING: &str = "odoo-ha-core/src/machine/following.rs";

pub(super) const MUTANTS: &[Mutant] = &[
    Mutant {
        name: "database_loosened_before_the_record",
        rules: &[18],
        breaks: "a silent standby is dropped from the database's setting before the sync record drops it",
        edits: &[edit(
            SYNC_CHANGE,
            ["Some(Direction::Easier) => ", "self.record(next.clone())", ","],
            "{\n\
             if let Some(term) = self.reign.as_ref().map(|reign| reign.term) {\n\
             let order = SynchronousOrder { term, standbys: next.standbys(), barrier: false };\n\
             self.order(DatabaseOrder::SetSynchronous(order), SET_TIMEOUT);\n\
             }\n\
             self.record(next.clone())\n\
             }",
        )],
        caught: Catch::Seeds {
            profile: "usual",
            seeds: 60,
            by: &["names_are_waited_for", "no_commit_is_lost", "strict_is_never_alone"],
        },
    },
    Mutant {
        name: "loosened_before_the_record_is_confirmed",
        rules: &[8, 18],
        breaks: "the database is loosened when the change of the sync record is sent, not when it is confirmed",
        edits: &[edit(
            SYNC_CHANGE,
            ["SyncStep::Recording { .. } => ", "{}", "\n            SyncStep::Loosening"],
            "{\n\
             let names = self.reign.as_ref().and_then(|reign| match &reign.sync_step {\n\
             SyncStep::Recording { draft } if reign.attempts.under_way.is_some() => Some(draft.standbys()),\n\
             _ => None,\n\
             });\n\
             if let (Some(names), Some(term)) = (names, self.reign.as_ref().map(|reign| reign.term)) {\n\
             let order = SynchronousOrder { term, standbys: names, barrier: false };\n\
             self.order(DatabaseOrder::SetSynchronous(order), SET_TIMEOUT);\n\
             }\n\
             }",
        )],
        caught: Catch::Seeds { profile: "usual", seeds: 60, by: &["names_are_waited_for", "no_commit_is_lost"] },
    },
    Mutant {
        name: "named_before_the_database_waits",
        rules: &[18, 20],
        breaks: "a standby is named in the sync record before the database waits for it",
        edits: &[edit(
            SYNC_CHANGE,
            [
                "Some(Direction::Harder) => {\n                ",
                "if let Some(reign) = &mut self.reign {\n                    reign.sync_step = SyncStep::Tightening { then: next.clone() };\n                }",
                "",
            ],
            "self.record(next.clone());",
        )],
        caught: Catch::Seeds { profile: "usual", seeds: 10, by: &["names_are_waited_for", "no_commit_is_lost"] },
    },
    Mutant {
        name: "renewal_without_a_guard",
        rules: &[9],
        breaks: "a renewal is written whatever stands in the store",
        edits: &[edit(
            RENEWAL,
            [
                "let mut commit = Commit { guards: ",
                "vec![Guard::Version(Key::leader(), reign.version)]",
                ", ..Commit::default() };",
            ],
            "Vec::new()",
        )],
        caught: Catch::Seeds { profile: "usual", seeds: 20, by: &["terms_grow", "one_believes"] },
    },
    Mutant {
        name: "strict_database_waits_for_nobody",
        rules: &[19],
        breaks: "in strict mode the setting is emptied when nobody is named",
        edits: &[edit(
            PROMOTION,
            ["SynchronousStandbys::Nobody if ", "sync.strict && sync.rule == ElectionRule::Synchronous", " =>"],
            "false",
        )],
        caught: Catch::Seeds { profile: "usual", seeds: 20, by: &["strict_is_never_alone"] },
    },
    Mutant {
        name: "promotes_with_an_empty_setting",
        rules: &[20],
        breaks: "the database is promoted before it waits for the recorded standbys",
        edits: &[edit(
            PROMOTION,
            [
                "synchronous: ",
                "self.standbys_by_record()",
                ",\n            members: self.view.others(&self.config.me),\n        };\n        let timeout = self.config.timing.promote_timeout;\n        self.order(DatabaseOrder::Promote",
            ],
            "SynchronousStandbys::Nobody",
        )],
        caught: Catch::Seeds { profile: "usual", seeds: 10, by: &["names_are_waited_for", "no_commit_is_lost"] },
    },
    Mutant {
        name: "starts_with_an_empty_setting",
        rules: &[20],
        breaks: "the database is started as primary before it waits for the recorded standbys",
        edits: &[edit(PROMOTION, ["synchronous: ", "self.standbys_for_start()", ","], "SynchronousStandbys::Nobody")],
        caught: Catch::Seeds { profile: "usual", seeds: 20, by: &["names_are_waited_for", "no_commit_is_lost"] },
    },
    Mutant {
        name: "read_older_than_an_own_write_is_taken",
        rules: &[18],
        breaks: "a read that an own write has overtaken brings the older sync record back",
        edits: &[edit(CALLS, ["&& ", "mark >= began.mark && mark < known", " {"], "false && mark < known")],
        caught: Catch::Situation("read_overtaken_by_an_own_write::what_was_written_is_not_forgotten"),
    },
    Mutant {
        name: "nosync_member_is_named",
        rules: &[13],
        breaks: "a member tagged nosync or nofailover is waited for and counted",
        edits: &[
            edit(SYNC_CHANGE, ["&& ", "record.tags.may_be_synchronous()", "\n            && record.system_id"], "true"),
            edit(SYNC_CHANGE, ["let untagged = ", "record.tags.may_be_synchronous()", ";"], "true"),
        ],
        caught: Catch::Seeds { profile: "tags", seeds: 20, by: &["tags_are_heard"] },
    },
    Mutant {
        name: "cascading_member_is_named",
        rules: &[29],
        breaks: "a member that is tagged to stream from another standby is waited for and counted",
        edits: &[
            edit(
                SYNC_CHANGE,
                ["&& ", "record.tags.may_be_synchronous()", "\n            && record.system_id"],
                "(!record.tags.nofailover && !record.tags.nosync)",
            ),
            edit(
                SYNC_CHANGE,
                ["let untagged = ", "record.tags.may_be_synchronous()", ";"],
                "(!record.tags.nofailover && !record.tags.nosync)",
            ),
        ],
        caught: Catch::Seeds { profile: "tags", seeds: 20, by: &["tags_are_heard"] },
    },
    Mutant {
        name: "discards_are_always_allowed",
        rules: &[30],
        breaks: "every order to follow allows the data to be discarded",
        edits: &[edit(FOLLOWING, ["may_discard: ", "self.may_discard", ",\n            reclone"], "true")],
        caught: Catch::Seeds { profile: "usual", seeds: 10, by: &["machines_are_whole", "counted_data_are_kept"] },
    },
    Mutant {
        name: "setting_is_emptied_while_giving_up",
        rules: &[21],
        breaks: "whoever gives leadership up lets its database acknowledge alone",
        edits: &[edit(
            LEADING,
            [
                "if let Some(reign) = &mut self.reign {\n            ",
                "reign.plan = None;",
                "\n        }\n        self.go(State::GivingUp",
            ],
            "reign.plan = None;\nlet standbys = crate::database::SynchronousStandbys::Nobody;\nlet order = crate::database::SynchronousOrder { term: reign.term, standbys, barrier: false };\nself.order(crate::database::DatabaseOrder::SetSynchronous(order), std::time::Duration::from_secs(5));",
        )],
        caught: Catch::Seeds { profile: "suspicious", seeds: 10, by: &["acts_within_belief", "names_are_waited_for"] },
    },
];
