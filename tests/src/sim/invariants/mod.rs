//! What must never be: one invariant a file. Each is looked at after every step of the world, and says which rule it holds and why.
//!
//! "Design rule" is a rule of `docs/testing.md`'s list of promises, "protocol rule" one of `docs/protocol.md`. An invariant never changes
//! the world, and believes nothing of what a machine says of itself where the world, the store or a client shows it. What clients read is
//! judged in `sim/history.rs`, and that everything heals in `sim/healing.rs`.

mod acts_within_belief;
mod address_is_safe;
mod asynchronous_loss_is_bounded;
mod belief_within_the_record;
mod broken_data_stay_down;
mod counted_data_are_kept;
mod counted_have_every_commit;
mod elections_follow_the_rule;
mod files_and_services_once;
mod foreign_data_stay_away;
mod forgetful_store_is_refused;
mod freezes_are_confirmed;
mod guards_end_with_the_record;
mod handed_over_whole;
mod history_is_told;
mod jumps_shorten_belief;
mod machines_are_whole;
mod mode_is_wished;
mod names_are_waited_for;
mod new_databases_are_first;
mod no_commit_is_lost;
mod older_terms_are_refused;
mod one_acknowledges;
mod one_believes;
mod one_database;
mod one_renewal_at_a_time;
mod own_writes_are_known;
mod paused_is_left_alone;
mod primaries_have_the_term;
mod resumes_by_memory;
mod shutdowns_are_called_off;
mod silence_is_waited_for;
mod somebody_takes_over;
mod stopped_before_belief_ends;
mod streams_its_own_log;
mod strict_is_never_alone;
mod tags_are_heard;
mod terms_grow;
mod timelines_are_owned;
mod vacant_means_stopped;
mod votes_bind;
mod winners_stand_back;

use super::World;

/// Something that must never be. It keeps what it must remember from look to look.
pub trait Invariant: Send {
    /// Its name: that of its file.
    fn name(&self) -> &'static str;

    /// Looks at the world after a step, and at what happened in it; says what is wrong.
    fn look(&mut self, world: &World) -> Option<String>;
}

/// All of them.
pub fn all() -> Vec<Box<dyn Invariant>> {
    vec![
        Box::new(machines_are_whole::MachinesAreWhole),
        Box::new(one_believes::OneBelieves::default()),
        Box::new(belief_within_the_record::BeliefWithinTheRecord::default()),
        Box::new(terms_grow::TermsGrow::default()),
        Box::new(primaries_have_the_term::PrimariesHaveTheTerm::default()),
        Box::new(one_database::OneDatabase),
        Box::new(broken_data_stay_down::BrokenDataStayDown),
        Box::new(timelines_are_owned::TimelinesAreOwned::default()),
        Box::new(streams_its_own_log::StreamsItsOwnLog),
        Box::new(names_are_waited_for::NamesAreWaitedFor),
        Box::new(counted_have_every_commit::CountedHaveEveryCommit),
        Box::new(one_acknowledges::OneAcknowledges),
        Box::new(no_commit_is_lost::NoCommitIsLost::default()),
        Box::new(asynchronous_loss_is_bounded::AsynchronousLossIsBounded::default()),
        Box::new(strict_is_never_alone::StrictIsNeverAlone::default()),
        Box::new(mode_is_wished::ModeIsWished::default()),
        Box::new(votes_bind::VotesBind::default()),
        Box::new(counted_data_are_kept::CountedDataAreKept),
        Box::new(address_is_safe::AddressIsSafe::default()),
        Box::new(files_and_services_once::FilesAndServicesOnce),
        Box::new(forgetful_store_is_refused::ForgetfulStoreIsRefused),
        Box::new(older_terms_are_refused::OlderTermsAreRefused::default()),
        Box::new(silence_is_waited_for::SilenceIsWaitedFor::default()),
        Box::new(elections_follow_the_rule::ElectionsFollowTheRule),
        Box::new(paused_is_left_alone::PausedIsLeftAlone),
        Box::new(tags_are_heard::TagsAreHeard),
        Box::new(somebody_takes_over::SomebodyTakesOver::default()),
        Box::new(acts_within_belief::ActsWithinBelief),
        Box::new(stopped_before_belief_ends::StoppedBeforeBeliefEnds::default()),
        Box::new(jumps_shorten_belief::JumpsShortenBelief::default()),
        Box::new(guards_end_with_the_record::GuardsEndWithTheRecord::default()),
        Box::new(one_renewal_at_a_time::OneRenewalAtATime),
        Box::new(own_writes_are_known::OwnWritesAreKnown::default()),
        Box::new(resumes_by_memory::ResumesByMemory),
        Box::new(freezes_are_confirmed::FreezesAreConfirmed::default()),
        Box::new(vacant_means_stopped::VacantMeansStopped),
        Box::new(handed_over_whole::HandedOverWhole),
        Box::new(winners_stand_back::WinnersStandBack::default()),
        Box::new(shutdowns_are_called_off::ShutdownsAreCalledOff::default()),
        Box::new(history_is_told::HistoryIsTold::default()),
        Box::new(foreign_data_stay_away::ForeignDataStayAway),
        Box::new(new_databases_are_first::NewDatabasesAreFirst::default()),
    ]
}

/// What holds only while the rates of clocks differ by less than the margin: what hangs on belief. Everything else holds whatever they do.
const NEED_CLOCKS: &[&str] = &[
    "one_believes",
    "one_acknowledges",
    "address_is_safe",
    "files_and_services_once",
    "older_terms_are_refused",
    "silence_is_waited_for",
    "stopped_before_belief_ends",
    super::history::READS_HAVE_WHAT_WAS_ACKNOWLEDGED,
    super::history::READS_NEVER_GO_BACK,
    super::healing::HEALS,
];

/// Whether an invariant holds whatever the clocks do.
pub fn holds_without_clocks(invariant: &str) -> bool {
    !NEED_CLOCKS.contains(&invariant)
}

/// What the tests of the invariants share.
#[cfg(test)]
pub(super) mod doctored {
    use std::collections::BTreeSet;
    use std::time::Duration;

    use odoo_ha_core::lsn::{Lsn, Position};
    use odoo_ha_core::member::MemberId;
    use odoo_ha_core::policy::SyncMode;
    use odoo_ha_core::records::{LeaderRef, Origin, VoteRecord, encode};
    use odoo_ha_core::store::{Key, Version};

    use super::super::World;

    /// A sound, whole cluster of three, its leader, and the others.
    pub(in crate::sim) fn whole(mode: SyncMode) -> (World, MemberId, Vec<MemberId>) {
        let mut world = World::new(3, mode, 7);
        world.run_until("a whole cluster", Duration::from_secs(30), World::whole);
        world.run(Duration::from_secs(1));
        world.assert_sound();
        let leader = world.leader().expect("a whole cluster has a leader");
        let others = world.nodes.keys().filter(|name| **name != leader).cloned().collect();
        (world, leader, others)
    }

    /// Takes leadership from a leader that has just renewed, without a vote, as nobody does.
    pub(in crate::sim) fn take_over_at_once(world: &mut World, winner: &MemberId) {
        let mut record = world.store.leader_record().expect("there is a leader");
        let mut sync = world.store.sync_record().expect("there is a sync record");
        record.mark.term = record.mark.term.next();
        (record.holder, record.writer) = (Some(winner.clone()), winner.clone());
        (record.origin, record.serving) = (Origin::Takeover, false);
        sync.mark = record.mark;
        world.store.put_raw(Key::sync(), encode(&sync));
        world.put_raw(Key::leader(), encode(&record));
    }

    /// A vote against the present leader, with so much.
    pub(in crate::sim) fn vote(world: &World, member: &MemberId, lsn: Lsn) -> VoteRecord {
        let record = world.store.leader_record().expect("there is a leader");
        VoteRecord {
            header: record.header.clone(),
            member: member.clone(),
            data: world.node(member).database.data_id.clone().expect("it has data"),
            against: Some(LeaderRef { mark: record.mark, version: Version(1) }),
            position: Position { term: record.mark.term, lsn },
            timeline: record.timeline,
            priority: 0,
            penalty: 0,
            electable: true,
        }
    }

    /// Looks, and asserts that this invariant is broken, whatever else is.
    pub(in crate::sim) fn breaks_among_others(world: &mut World, invariant: &str) {
        world.look();
        assert!(world.violations.iter().any(|violation| violation.invariant == invariant), "{:#?}", world.violations);
    }

    /// Looks, and asserts that exactly this invariant is broken.
    pub(in crate::sim) fn breaks(world: &mut World, invariant: &str) {
        world.look();
        let seen: BTreeSet<&str> = world.violations.iter().map(|violation| violation.invariant).collect();
        assert_eq!(seen.into_iter().collect::<Vec<_>>(), [invariant], "{:#?}", world.violations);
    }
}
