//! Elections: which votes count, whether they suffice, and whose is best. Pure functions of what was read.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use crate::member::{DataId, MemberId};
use crate::records::{ElectionRule, LeaderRecord, LeaderRef, SyncRecord, VoteRecord};

use super::view::{Seen, View};

/// A vote that counts, and the version under which it was read.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Ballot {
    pub(super) seen: Seen<VoteRecord>,
    /// Its copy has log that the next reign never had, or lacks log that is known to have been acknowledged.
    pub(super) unfit: Option<String>,
}

/// The votes against this very version of the leader record.
pub(super) fn ballots(view: &View, against: LeaderRef) -> BTreeMap<MemberId, Ballot> {
    let Some(leader) = view.leader.as_ref().map(|seen| &seen.record) else { return BTreeMap::new() };
    view.votes
        .iter()
        .filter(|(_, seen)| seen.record.against == Some(against))
        .map(|(member, seen)| (member.clone(), Ballot { unfit: unfit(view, leader, &seen.record), seen: seen.clone() }))
        .collect()
}

/// Why a copy must not be counted, if so: it has diverged, or it is one that acknowledged commits and has lost some
/// (protocol rules 14 and 30).
fn unfit(view: &View, leader: &LeaderRecord, vote: &VoteRecord) -> Option<String> {
    if view.has_diverged(vote.timeline, vote.position.lsn) {
        return Some(format!(
            "{} has log at {} of timeline {} that the next reign never had",
            vote.member, vote.position.lsn, vote.timeline
        ));
    }
    let sync = view.sync.as_ref().map(|seen| &seen.record)?;
    // Of any k the others may lack what was acknowledged; that some voter has it is looked at when the votes suffice.
    let all_of = sync.k as usize == sync.names.len();
    let counted = sync.rule == ElectionRule::Synchronous
        && (sync.leader == vote.member || all_of && sync.names.contains_key(&vote.member));
    // Positions of one ancestry compare as bare log positions, and this copy has not left the ancestry.
    if counted && vote.position.lsn < leader.lsn {
        return Some(format!(
            "{} ends at {} but {} was acknowledged: it has lost data",
            vote.member, vote.position.lsn, leader.lsn
        ));
    }
    None
}

/// What an election comes to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Verdict {
    /// The votes do not suffice; the sentence says for what one waits.
    TooFew(String),
    /// This member is the best of votes that suffice.
    Winner(MemberId),
    /// The votes suffice and nobody among them may win; the sentence says why.
    Nobody(String),
}

/// Decides over these votes. `ignored` are voters whose election was waited for in vain: they are not looked at.
pub(super) fn decide(
    sync: &SyncRecord,
    leader: &LeaderRecord,
    ballots: &BTreeMap<MemberId, Ballot>,
    maximum_lag: u64,
) -> Verdict {
    let fit: BTreeMap<&MemberId, &VoteRecord> =
        ballots.iter().filter(|(_, b)| b.unfit.is_none()).map(|(member, b)| (member, &b.seen.record)).collect();
    let voters: BTreeMap<MemberId, DataId> =
        fit.iter().map(|(member, vote)| ((*member).clone(), vote.data.clone())).collect();
    if !sync.admits(&voters) {
        return Verdict::TooFew(waited_for(sync, ballots));
    }
    let allowed = |vote: &VoteRecord| {
        vote.electable
            && leader.may_be_taken_by(&vote.member)
            && (sync.rule == ElectionRule::Synchronous
                || vote.position.term > leader.mark.term
                || leader.lsn.bytes_since(vote.position.lsn) <= maximum_lag)
    };
    // The maximum of all fit voters wins; preferences only order equals. One that must not win bars nobody who has as
    // much as it.
    let top = fit.values().map(|vote| vote.position).max();
    if let Some(top) = top.filter(|top| sync.rule == ElectionRule::Synchronous && top.lsn < leader.lsn) {
        return Verdict::Nobody(format!(
            "the most advanced of the votes that suffice ends at {} but {} was acknowledged: data were lost; bring {} back, or force a failover and \
             accept the loss",
            top.lsn, leader.lsn, sync.leader
        ));
    }
    let best = fit
        .iter()
        .filter(|(_, vote)| allowed(vote))
        .filter(|(_, vote)| sync.rule == ElectionRule::Asynchronous || Some(vote.position) == top)
        .max_by_key(|(member, vote)| (vote.position, vote.priority, Reverse(vote.penalty), Reverse(*member)));
    match best {
        Some((member, _)) => Verdict::Winner((*member).clone()),
        None if sync.rule == ElectionRule::Asynchronous => Verdict::Nobody(format!(
            "no candidate is within maximum_lag_on_failover ({maximum_lag} bytes) of {}: bring a more recent copy back, or \
             force a failover and accept the loss",
            leader.lsn
        )),
        None => Verdict::Nobody(
            "the most advanced copy is tagged nofailover, or joined after the leader's last renewal: lift the tag, or bring the old leader back"
                .into(),
        ),
    }
}

fn waited_for(sync: &SyncRecord, ballots: &BTreeMap<MemberId, Ballot>) -> String {
    let unfit: Vec<&str> = ballots.values().filter_map(|ballot| ballot.unfit.as_deref()).collect();
    let names: Vec<&str> = sync.names.keys().map(MemberId::as_str).collect();
    let mut text = if names.is_empty() {
        format!("only {} may lead: nobody else is known to have all acknowledged commits; bring it back", sync.leader)
    } else {
        let needed = sync.names.len() + 1 - sync.k as usize;
        format!("the votes do not suffice: needed are {}, or {needed} of {}", sync.leader, names.join(", "))
    };
    if !unfit.is_empty() {
        text.push_str("; ");
        text.push_str(&unfit.join("; "));
    }
    text
}
