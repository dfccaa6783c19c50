//! Mutants of votes: the freeze, what a vote says and how long it binds, and which votes suffice.

use super::{Catch, Mutant, edit};

const CANDIDACY: &str = "odoo-ha-core/src/machine/candidacy.rs";
const ELECTION: &str = "odoo-ha-core/src/machine/election.rs";
const FOLLOWING: &str = "odoo-ha-core/src/machine/following.rs";
const JOINING: &str = "odoo-ha-core/src/machine/joining.rs";
const VIEW: &str = "odoo-ha-core/src/machine/view.rs";
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
        caught: Catch::Seeds { profile: "usual", seeds: 20, by: &["heals", "votes_bind", "no_commit_is_lost"] },
    },
    Mutant {
        name: "votes_wait_for_a_follow_that_hangs",
        rules: &[10, 26],
        breaks: "a member that hangs in following a leader does not suspect it before that order has ended",
        edits: &[edit(
            FOLLOWING,
            ["if ", "!self.may_freeze()", " || !self.may_vote(leader)"],
            "self.running.is_some()",
        )],
        caught: Catch::Situation("follow_hangs::its_member_votes_in_time"),
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
        caught: Catch::Seeds { profile: "suspicious", seeds: 10, by: &["freezes_are_confirmed"] },
    },
    Mutant {
        name: "thaws_on_the_version_it_voted_against",
        rules: &[28],
        breaks: "the very record that was voted against frees from the vote",
        edits: &[edit(CANDIDACY, ["", "leader.mark > against.mark", ")"], "leader.mark >= against.mark")],
        caught: Catch::Seeds { profile: "usual", seeds: 20, by: &["heals"] },
    },
    Mutant {
        name: "never_thaws",
        rules: &[28],
        breaks: "a newer record does not free from the vote",
        edits: &[edit(CANDIDACY, ["", "leader.mark > against.mark", ")"], "false")],
        caught: Catch::Seeds { profile: "usual", seeds: 20, by: &["heals"] },
    },
    Mutant {
        name: "restarted_agent_forgets_its_vote",
        rules: &[28],
        breaks: "an agent that was restarted follows the leader that it voted against",
        edits: &[edit(JOINING, ["let bound = ", "self.memo.intent", ".filter"], "self.memo.intent.filter(|_| false)")],
        caught: Catch::Situation(
            "agent_restarted_while_bound_by_its_vote::it_stays_frozen_until_it_has_seen_a_newer_record",
        ),
    },
    Mutant {
        name: "votes_before_the_intent_is_durable",
        rules: &[28],
        breaks: "the vote is sent before the intent to vote is fsynced beside the data",
        edits: &[edit(CANDIDACY, ["", "self.memo.intent == Some(against)", " {"], "true")],
        caught: Catch::Seeds { profile: "asynchronous", seeds: 60, by: &["votes_bind", "no_commit_is_lost"] },
    },
    Mutant {
        name: "one_vote_too_few_suffices",
        rules: &[12],
        breaks: "n - k votes of N suffice instead of n - k + 1",
        edits: &[edit(SYNC, ["", "counted + self.k as usize > n", "\n"], "counted + self.k as usize >= n")],
        caught: Catch::Seeds { profile: "physics", seeds: 40, by: &["elections_follow_the_rule"] },
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
        caught: Catch::Seeds { profile: "usual", seeds: 20, by: &["elections_follow_the_rule"] },
    },
    Mutant {
        name: "diverged_copy_may_win",
        rules: &[14],
        breaks: "a copy with log that the next reign never had is electable",
        edits: &[edit(ELECTION, ["if ", "view.has_diverged(vote.timeline, vote.position.lsn)", " {"], "false")],
        caught: Catch::Seeds { profile: "pauses", seeds: 40, by: &["elections_follow_the_rule"] },
    },
    Mutant {
        name: "copy_that_lost_data_counts",
        rules: &[30],
        breaks: "a named member counts though its copy ends before what was acknowledged",
        edits: &[edit(ELECTION, ["if ", "counted && vote.position.lsn < leader.lsn", " {"], "false")],
        caught: Catch::Situation(
            "copy_that_lost_data_is_not_counted::one_that_ends_before_what_was_acknowledged_waits_for_the_leader",
        ),
    },
    Mutant {
        name: "better_voter_is_waited_for_without_end",
        rules: &[13],
        breaks: "a better voter that does not take leadership is never passed over",
        edits: &[edit(CANDIDACY, ["if ", "waited < passed_over", " {"], "waited < passed_over * 1000")],
        caught: Catch::Situation("best_voter_vanishes::the_rest_elect_their_own"),
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
        caught: Catch::Situation("standby_silent::dropped_it_cannot_win_by_its_own_policy"),
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
        caught: Catch::Seeds { profile: "tags", seeds: 20, by: &["elections_follow_the_rule"] },
    },
    Mutant {
        name: "nofailover_member_may_win",
        rules: &[13],
        breaks: "a member tagged nofailover stands for election",
        edits: &[
            edit(CANDIDACY, ["electable: ", "!self.config.tags.nofailover", ","], "true"),
            edit(FOLLOWING, ["&& ", "!self.config.tags.nofailover", "\n"], "true"),
        ],
        caught: Catch::Seeds { profile: "tags", seeds: 10, by: &["tags_are_heard"] },
    },
    Mutant {
        name: "vote_binds_for_a_while_only",
        rules: &[28],
        breaks: "a vote that nobody used ceases to bind after a while",
        edits: &[
            edit(
                CANDIDACY,
                ["(recovered || ", "self.view.leader_ref().is_some_and(|leader| leader.mark > against.mark)", ")"],
                "self.view.leader_ref().is_some_and(|leader| leader.mark > against.mark) || self.silent_for() > self.config.timing.suspicion + Duration::from_millis(600)",
            ),
            edit(FOLLOWING, ["if ", "self.bound.is_some_and(|bound| leader.mark <= bound.mark)", " {"], "false"),
        ],
        caught: Catch::Seeds { profile: "suspicious", seeds: 20, by: &["votes_bind", "heals"] },
    },
    Mutant {
        name: "unrecorded_timeline_is_the_newest",
        rules: &[12, 14],
        breaks: "a copy on a timeline that nobody recorded is taken for one of its newest term",
        edits: &[edit(
            VIEW,
            [
                "let by_copy = ",
                "self.term_after(timeline).map_or(beside, |later| beside.min(Term(later.0.saturating_sub(1))))",
                ";",
            ],
            "beside",
        )],
        caught: Catch::Core("machine::view::tests::a_term_beside_the_data_makes_an_unrecorded_timeline_no_newer"),
    },
];
