//! Mutants of commits that wait for any k of the standbys.

use super::{Catch, Mutant, edit};

const QUORUM: &str = "odoo-ha-core/src/machine/quorum.rs";
const ELECTION: &str = "odoo-ha-core/src/machine/election.rs";
const FACES: &str = "odoo-ha-core/src/machine/faces/mod.rs";

pub(super) const MUTANTS: &[Mutant] = &[
    Mutant {
        name: "any_k_grows_in_the_database_first",
        rules: &[18],
        breaks: "of any k, one name more is waited for before the sync record has it, as is right with all of n",
        edits: &[
            edit(
                QUORUM,
                ["if ", "next.is_covered_by(&self.standbys())", " {"],
                "next.names.len() <= self.names.len() && next.is_covered_by(&self.standbys())",
            ),
            edit(
                QUORUM,
                ["} else if ", "self.is_covered_by(&next.standbys())", " {"],
                "next.names.len() > self.names.len() || self.is_covered_by(&next.standbys())",
            ),
        ],
        caught: Catch::Seeds {
            profile: "quorum",
            seeds: 20,
            by: &["names_are_waited_for", "counted_have_every_commit", "no_commit_is_lost"],
        },
    },
    Mutant {
        name: "any_k_shrinks_in_the_record_first",
        rules: &[18, 20],
        breaks: "of any k, a name is taken off the sync record before the database goes without it, as is right with all of n",
        edits: &[edit(
            QUORUM,
            ["if ", "next.is_covered_by(&self.standbys())", " {"],
            "next.names.len() < self.names.len() || next.is_covered_by(&self.standbys())",
        )],
        caught: Catch::Seeds {
            profile: "quorum",
            seeds: 20,
            by: &["names_are_waited_for", "counted_have_every_commit", "no_commit_is_lost"],
        },
    },
    Mutant {
        name: "of_any_k_all_must_have_everything",
        rules: &[13, 30],
        breaks: "a voter that lacks what any k others acknowledged is held to have lost it",
        edits: &[edit(ELECTION, ["sync.leader == vote.member || ", "all_of", " && sync.names"], "(all_of || !all_of)")],
        caught: Catch::Situation("any_k_acknowledge::the_leader_dies_while_one_lags"),
    },
    Mutant {
        name: "votes_that_lack_acknowledged_log_elect",
        rules: &[30],
        breaks: "of any k, votes that suffice elect their best though all of them end before what was acknowledged",
        edits: &[edit(
            ELECTION,
            ["top.filter(|top| ", "sync.rule == ElectionRule::Synchronous && top.lsn < leader.lsn", ")"],
            "sync.rule == ElectionRule::Synchronous && top.lsn.0 == u64::MAX",
        )],
        caught: Catch::Situation("any_k_acknowledge::nobody_leads_by_votes_that_all_lack_what_was_acknowledged"),
    },
    Mutant {
        name: "end_of_the_fastest_is_published",
        rules: &[30],
        breaks: "the leader record says as acknowledged what one standby has, though k of them must",
        edits: &[edit(
            QUORUM,
            ["ends.get(", "(self.k as usize).checked_sub(1)?", ")"],
            "(self.k as usize).min(1).checked_sub(1)?",
        )],
        caught: Catch::Situation("any_k_acknowledge::leader_and_the_fastest_die_at_once"),
    },
    Mutant {
        name: "served_when_one_of_k_has_the_recovered_log",
        rules: &[32],
        breaks: "users are let in when one standby has what recovery replayed, though a commit waits for k",
        edits: &[edit(FACES, [".count() >= ", "sync.k as usize", ""], "sync.k.min(1) as usize")],
        caught: Catch::Situation("any_k_acknowledge::users_come_in_when_k_have_what_the_winner_brought"),
    },
];
