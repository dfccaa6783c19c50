//! Mutants of votes: the freeze, what a vote says and how long it binds, and which votes suffice.

use super::{Catch, Mutant, edit};

const CANDIDACY: &str = "odoo-ha-core/src/machine/candidacy.rs";
const ELECTION: &str = "odoo-ha-core/src/machine/election.rs";
const FOLLOWING: &str = "odoo-ha-core/src/machine/following.rs";
const JOINING: &str = "odoo-ha-core/src/machine/joining.rs";
const SYNC: &str = "odoo-ha-core/src/records/sync.rs";

pub(super) const MUTANTS: &[Mutant] = &[
    Mutant {
        name: "votes_while_it_receives",
        rules: &[26],
        breaks: "the vote is published without a freeze: the database still receives from the old leader",
        edits: &[
            edit(
                CANDIDACY,
                ["self.following = None;\n        ", "self.order(DatabaseOrder::Freeze, FREEZE_TIMEOUT);", "\n    }"],
                "self.frozen = self.database.as_ref().and_then(|database| {\n\
                 let data_id = database.data_id.clone()?;\n\
                 Some(crate::database::Frozen { data_id, lsn: database.lsn, timeline: database.timeline })\n\
                 });",
            ),
            edit(CANDIDACY, ["&& ", "!database.streaming", "\n"], "true"),
        ],
        caught: Catch::Situation("TODO"),
    },
    Mutant {
        name: "vote_states_an_earlier_look",
        rules: &[27],
        breaks: "the vote states a position from before the freeze",
        edits: &[edit(
            CANDIDACY,
            ["self.view.position(frozen.timeline, ", "frozen.lsn", ", beside)"],
            "self.previous_lsn.min(frozen.lsn)",
        )],
        caught: Catch::Situation("TODO"),
    },
    Mutant {
        name: "freezes_without_a_look",
        rules: &[25],
        breaks: "a failed read after the suspicion counts as a confirmed silence",
        edits: &[edit(
            CANDIDACY,
            ["} else if ", "!succeeded || !self.store_is_usable()", " {\n            self.hold_off_until"],
            "!self.store_is_usable()",
        )],
        caught: Catch::Situation("TODO"),
    },
    Mutant {
        name: "votes_without_a_look",
        rules: &[25],
        breaks: "the vote is cast though the read right before it failed",
        edits: &[edit(
            CANDIDACY,
            ["if ", "succeeded && self.store_is_usable()", " && self.view.leader_ref() == Some(against) {"],
            "self.store_is_usable()",
        )],
        caught: Catch::Situation("TODO"),
    },
    Mutant {
        name: "vote_binds_for_a_while_only",
        rules: &[28],
        breaks: "a voter that nobody beat to leadership for two seconds follows the old leader again",
        edits: &[
            edit(
                CANDIDACY,
                [
                    "recheck } = self.state.clone() else { return false };\n        if ",
                    "self.superseded(against)",
                    " {",
                ],
                "self.superseded(against) || self.now.since(since) > Duration::from_secs(2)",
            ),
            edit(FOLLOWING, ["if ", "self.bound.is_some_and(|bound| leader.mark <= bound.mark)", " {"], "false"),
        ],
        caught: Catch::Situation("TODO"),
    },
    Mutant {
        name: "thaws_on_the_version_it_voted_against",
        rules: &[28],
        breaks: "the very record that was voted against frees from the vote",
        edits: &[edit(CANDIDACY, ["", "leader.mark > against.mark", ")"], "leader.mark >= against.mark")],
        caught: Catch::Situation("TODO"),
    },
    Mutant {
        name: "never_thaws",
        rules: &[28],
        breaks: "a newer record does not free from the vote",
        edits: &[edit(CANDIDACY, ["", "leader.mark > against.mark", ")"], "false")],
        caught: Catch::Situation("TODO"),
    },
    Mutant {
        name: "restarted_agent_forgets_its_vote",
        rules: &[28],
        breaks: "an agent that was restarted follows the leader that it voted against",
        edits: &[edit(JOINING, ["let bound = ", "self.memo.intent", ".filter"], "self.memo.intent.filter(|_| false)")],
        caught: Catch::Situation("TODO"),
    },
    Mutant {
        name: "votes_before_the_intent_is_durable",
        rules: &[28],
        breaks: "the vote is sent before the intent to vote is fsynced beside the data",
        edits: &[edit(CANDIDACY, ["", "self.memo.intent == Some(against)", " {"], "true")],
        caught: Catch::Situation("TODO"),
    },
    Mutant {
        name: "votes_against_older_records_count",
        rules: &[15, 28],
        breaks: "a vote counts whichever version of the leader record it names",
        edits: &[edit(
            ELECTION,
            [".filter(|(_, seen)| ", "seen.record.against == Some(against)", ")"],
            "seen.record.against.is_some() && against.mark.term > crate::term::Term(0)",
        )],
        caught: Catch::Situation("TODO"),
    },
    Mutant {
        name: "one_vote_too_few_suffices",
        rules: &[12],
        breaks: "n - k votes of N suffice instead of n - k + 1",
        edits: &[edit(SYNC, ["", "counted + self.k as usize > n", "\n"], "counted + self.k as usize >= n")],
        caught: Catch::Situation("TODO"),
    },
    Mutant {
        name: "anybody_wins_where_nobody_is_named",
        rules: &[12],
        breaks: "with no names in the sync record any voter may win, not only the leader",
        edits: &[edit(
            SYNC,
            ["", "n > 0 && counted + self.k as usize > n", "\n"],
            "(n == 0 && !voters.is_empty()) || (n > 0 && counted + self.k as usize > n)",
        )],
        caught: Catch::Situation("TODO"),
    },
    Mutant {
        name: "any_copy_of_a_named_member_counts",
        rules: &[30],
        breaks: "a member counts by its name, though it has another copy than the recorded one",
        edits: &[edit(
            SYNC,
            ["", "voters.get(*member) == Some(*data)", ""],
            "voters.contains_key(*member) && !data.0.is_empty()",
        )],
        caught: Catch::Situation("TODO"),
    },
    Mutant {
        name: "positions_compare_without_terms",
        rules: &[14],
        breaks: "the longest log wins, of whatever reign",
        edits: &[
            edit(
                ELECTION,
                ["let top = fit.values().map(|vote| ", "vote.position", ").max();"],
                "crate::lsn::Position { term: crate::term::Term(0), ..vote.position }",
            ),
            edit(
                ELECTION,
                ["|| ", "Some(vote.position) == top", ")"],
                "Some(vote.position.lsn) == top.map(|top| top.lsn)",
            ),
            edit(
                ELECTION,
                [".max_by_key(|(member, vote)| (", "vote.position", ", vote.priority"],
                "crate::lsn::Position { term: crate::term::Term(0), ..vote.position }",
            ),
        ],
        caught: Catch::Situation("TODO"),
    },
    Mutant {
        name: "diverged_copy_may_win",
        rules: &[14],
        breaks: "a copy with log that the next reign never had is electable",
        edits: &[edit(ELECTION, ["if ", "view.has_diverged(vote.timeline, vote.position.lsn)", " {"], "false")],
        caught: Catch::Situation("TODO"),
    },
    Mutant {
        name: "copy_that_lost_data_counts",
        rules: &[30],
        breaks: "a named member counts though its copy ends before what was acknowledged",
        edits: &[edit(ELECTION, ["if ", "counted && vote.position.lsn < leader.lsn", " {"], "false")],
        caught: Catch::Situation("TODO"),
    },
    Mutant {
        name: "better_voter_is_waited_for_without_end",
        rules: &[13],
        breaks: "a better voter that does not take leadership is never passed over",
        edits: &[edit(CANDIDACY, ["if ", "waited < passed_over", " {"], "waited < passed_over * 1000")],
        caught: Catch::Situation("TODO"),
    },
    Mutant {
        name: "rule_of_the_policy_instead_of_the_record",
        rules: &[16],
        breaks: "who policy says is asynchronous elects by the asynchronous rule, whatever the sync record says",
        edits: &[edit(
            CANDIDACY,
            [
                "let (Some(sync), Some(leader)) = (\n            ",
                "self.view.sync.as_ref().map(|seen| seen.record.clone())",
                ",",
            ],
            "self.view.sync.as_ref().map(|seen| match self.config.policy.sync_mode {\n\
             crate::policy::SyncMode::Asynchronous => crate::records::SyncRecord { rule: ElectionRule::Asynchronous, ..seen.record.clone() },\n\
             _ => seen.record.clone(),\n\
             })",
        )],
        caught: Catch::Situation("TODO"),
    },
    Mutant {
        name: "lag_limit_is_ignored",
        rules: &[16],
        breaks: "in asynchronous mode a candidate wins however far it is behind",
        edits: &[edit(
            ELECTION,
            ["", "leader.lsn.bytes_since(vote.position.lsn) <= maximum_lag", ")"],
            "true || maximum_lag == 0",
        )],
        caught: Catch::Situation("TODO"),
    },
    Mutant {
        name: "nofailover_member_may_win",
        rules: &[13],
        breaks: "a member tagged nofailover stands for election",
        edits: &[
            edit(CANDIDACY, ["electable: ", "!self.config.tags.nofailover", ","], "true"),
            edit(FOLLOWING, ["&& ", "!self.config.tags.nofailover", "\n"], "true"),
        ],
        caught: Catch::Situation("TODO"),
    },
];
