//! Mutants of the takeover, of timelines, and of handing over and back.

use super::{Catch, Mutant, edit};

const TAKEOVER: &str = "odoo-ha-core/src/machine/takeover.rs";
const RENEWAL: &str = "odoo-ha-core/src/machine/renewal.rs";
const QUORUM: &str = "odoo-ha-core/src/machine/quorum.rs";
const PROMOTION: &str = "odoo-ha-core/src/machine/promotion.rs";
const HAND_OVER: &str = "odoo-ha-core/src/machine/hand_over.rs";
const FACES: &str = "odoo-ha-core/src/machine/faces/mod.rs";

pub(super) const MUTANTS: &[Mutant] = &[
    Mutant {
        name: "takeover_not_guarded_by_the_leader_record",
        rules: &[15],
        breaks: "leadership is taken though the leader has renewed meanwhile",
        edits: &[edit(
            TAKEOVER,
            [
                "let mut guards =\n            ",
                "vec![Guard::Version(Key::leader(), against.version), Guard::Version(Key::sync(), sync.version)]",
                ";",
            ],
            "vec![Guard::Version(Key::sync(), sync.version)]",
        )],
        caught: Catch::Seeds {
            profile: "suspicious",
            seeds: 100,
            by: &["elections_follow_the_rule", "silence_is_waited_for"],
        },
    },
    Mutant {
        name: "winner_names_every_voter",
        rules: &[15],
        breaks: "the winner's sync record names voters that may lack what the winner has",
        edits: &[
            edit(
                TAKEOVER,
                ["names: ", "draft.names", ",\n            k: draft.k,\n            strict: draft.strict,"],
                "ballots.iter().filter(|(member, _)| **member != self.config.me)\n\
                 .map(|(member, ballot)| (member.clone(), ballot.seen.record.data.clone())).collect()",
            ),
            edit(
                TAKEOVER,
                ["k: ", "draft.k", ",\n            strict: draft.strict,"],
                "ballots.keys().filter(|member| **member != self.config.me).count() as u32",
            ),
        ],
        caught: Catch::Seeds { profile: "harsh", seeds: 10, by: &["elections_follow_the_rule", "no_commit_is_lost"] },
    },
    Mutant {
        name: "old_leader_gets_no_place",
        rules: &[15],
        breaks: "the old leader does not take the place of the winner, so nobody is left who could be elected after it",
        edits: &[edit(QUORUM, ["", "names.insert(sync.leader.clone(), data.clone());", ""], "let _ = data;")],
        caught: Catch::Seeds { profile: "usual", seeds: 10, by: &["elections_follow_the_rule"] },
    },
    Mutant {
        name: "takeover_in_the_same_term",
        rules: &[7],
        breaks: "a takeover does not raise the term",
        edits: &[edit(
            TAKEOVER,
            ["let term = ", "before.mark.term.max(remembered).max(self.memo.mark.term).next()", ";"],
            "before.mark.term.max(remembered).max(self.memo.mark.term)",
        )],
        caught: Catch::Seeds { profile: "usual", seeds: 10, by: &["primaries_have_the_term", "terms_grow"] },
    },
    Mutant {
        name: "hand_over_in_the_same_term",
        rules: &[7],
        breaks: "a hand-over does not raise the term",
        edits: &[edit(RENEWAL, ["leader.mark.term = ", "reign.term.next()", ";"], "reign.term")],
        caught: Catch::Seeds { profile: "usual", seeds: 10, by: &["primaries_have_the_term", "terms_grow"] },
    },
    Mutant {
        name: "timeline_is_not_reserved",
        rules: &[31],
        breaks: "a reign promotes to a timeline that another reign may own",
        edits: &[edit(
            TAKEOVER,
            ["timeline: ", "before.timeline.max(newest).max(recorded.unwrap_or_default()).next()", ","],
            "before.timeline.max(newest).max(recorded.unwrap_or_default())",
        )],
        caught: Catch::Seeds { profile: "usual", seeds: 10, by: &["timelines_are_owned"] },
    },
    Mutant {
        name: "serves_before_the_history_is_recorded",
        rules: &[14],
        breaks: "the address is attached before the history row is in the store",
        edits: &[
            edit(FACES, ["|| reign.lost || ", "!reign.leader.serving || reign.history.is_some()", " {"], "false"),
            edit(PROMOTION, ["if ", "reign.leader.serving && reign.history.is_none()", " {"], "true"),
        ],
        caught: Catch::Seeds { profile: "usual", seeds: 60, by: &["history_is_told"] },
    },
    Mutant {
        name: "failed_winner_is_not_excluded",
        rules: &[17],
        breaks: "a winner that could not promote does not stand back",
        edits: &[edit(PROMOTION, ["", "reign.excluded.insert(self.config.me.clone());", ""], "")],
        caught: Catch::Seeds { profile: "lasting", seeds: 40, by: &["winners_stand_back"] },
    },
    Mutant {
        name: "hands_over_without_stopping",
        rules: &[40],
        breaks: "leadership is handed over while the old leader's database runs",
        edits: &[edit(
            HAND_OVER,
            [
                "if self.faces.are_down() {\n                    ",
                "self.hand_over_step(Step::Stopping);\n                    return true;",
                "",
            ],
            "let (now, target) = (self.now, hand_over.target.clone());\n\
                 let shutdown = self.database.as_ref().map_or(Lsn(0), |database| database.lsn);\n\
                 self.hand_over_step(Step::Announcing { shutdown, since: now });\n\
                 if let Some(reign) = &mut self.reign {\n\
                 reign.plan = Some(PlannedHandOver { target, shutdown: Some(shutdown) });\n\
                 reign.next_renewal = now;\n\
                 }\n\
                 return true;",
        )],
        caught: Catch::Seeds { profile: "usual", seeds: 10, by: &["stopped_before_belief_ends", "handed_over_whole"] },
    },
    Mutant {
        name: "shutdown_that_hangs_is_waited_for",
        rules: &[40],
        breaks: "a fast shutdown that does not end is never called off",
        edits: &[edit(HAND_OVER, ["", "self.hand_over_step(Step::Aborting);", ""], "")],
        caught: Catch::Seeds { profile: "lasting", seeds: 20, by: &["shutdowns_are_called_off"] },
    },
    Mutant {
        name: "released_before_the_database_has_stopped",
        rules: &[10, 37],
        breaks: "leadership is vacant while the database still runs as primary",
        edits: &[edit(
            "odoo-ha-core/src/machine/giving_up.rs",
            ["self.take_down(&giving_up);\n            ", "return false;", ""],
            "",
        )],
        caught: Catch::Seeds {
            profile: "usual",
            seeds: 10,
            by: &["guards_end_with_the_record", "vacant_means_stopped", "stopped_before_belief_ends"],
        },
    },
    Mutant {
        name: "released_before_the_address_is_down",
        rules: &[10],
        breaks: "leadership is vacant while the address may still be here",
        edits: &[edit(
            "odoo-ha-core/src/machine/giving_up.rs",
            ["if ", "!self.faces.are_down() || not_before > self.now", " {"],
            "false && not_before > self.now",
        )],
        caught: Catch::Seeds { profile: "suspicious", seeds: 10, by: &["files_and_services_once", "address_is_safe"] },
    },
    Mutant {
        name: "promotion_has_no_bound",
        rules: &[37],
        breaks: "a leader that cannot promote renews for ever",
        edits: &[
            edit(PROMOTION, ["if ", "self.now.since(reign.began) > self.config.timing.promote_timeout", " {"], "false"),
            edit(PROMOTION, ["if ", "hopeless && matches!(self.state, State::Promoting)", " {"], "false && hopeless"),
        ],
        caught: Catch::Situation("winner_cannot_promote::one_that_hangs_is_passed_over"),
    },
    Mutant {
        name: "promotes_before_the_term_is_durable",
        rules: &[34],
        breaks: "the database is promoted before the right to do so is durable beside the data",
        edits: &[edit(PROMOTION, ["if ", "self.memo.led != term", " {\n            self.memo_wanted.led"], "false")],
        caught: Catch::Seeds { profile: "usual", seeds: 10, by: &["machines_are_whole", "primaries_have_the_term"] },
    },
    Mutant {
        name: "hands_over_to_one_that_lacks_the_end",
        rules: &[40],
        breaks: "leadership is handed over before the target has the shutdown checkpoint",
        edits: &[edit(HAND_OVER, ["if ", "has_it", " && settled && self.store_is_usable()"], "(true || has_it)")],
        caught: Catch::Seeds { profile: "usual", seeds: 20, by: &["handed_over_whole"] },
    },
];
