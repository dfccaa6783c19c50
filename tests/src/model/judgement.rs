//! What is acknowledged, what must never be, and the properties that are checked.

use odoo_ha_core::database::{DatabaseState, SynchronousStandbys};
use odoo_ha_core::machine::StateName;
use odoo_ha_core::member::{DataId, MemberId};
use odoo_ha_core::records::{ElectionRule, Origin};
use odoo_ha_core::time::Moment;
use stateright::Property;

use super::Cluster;
use super::database::Database;
use super::motion::Motion;
use super::state::{Node, State, Wrong};

impl Motion<'_> {
    /// A commit is acknowledged as soon as it can be: nobody could be promised more.
    pub(super) fn acknowledge(&mut self) {
        let state = &self.state;
        let (done, waits): (Vec<_>, Vec<_>) = state.waiting.iter().partition(|(on, index, _)| {
            let node = state.node(*on);
            let flushed = |name: &odoo_ha_core::member::MemberId| {
                state.index(name).map(|k| &state.node(k).database).is_some_and(|standby| {
                    standby.streaming
                        && standby.upstream.as_ref() == Some(&node.name)
                        && standby.log.get(*index) == node.database.log.get(*index)
                })
            };
            match &node.database.synchronous {
                SynchronousStandbys::Nobody => true,
                SynchronousStandbys::AllOf(names) => names.iter().all(flushed),
                SynchronousStandbys::AnyOf { k, names } => names.iter().filter(|n| flushed(n)).count() >= *k as usize,
            }
        });
        self.state.waiting = waits;
        self.state.promised.extend(done.into_iter().map(|(_, _, id)| id));
        self.state.promised.sort_unstable();
    }

    /// Looks for what must never be.
    pub(super) fn look(&mut self) {
        for wrong in [self.lost(), self.admitted_lacks(), self.two_believers(), self.uncounted(), self.receives()]
            .into_iter()
            .flatten()
        {
            self.found(wrong);
        }
    }

    /// The primary of the newest term has everything that was acknowledged. One of an older term may still run: it acknowledges nothing.
    fn lost(&self) -> Option<Wrong> {
        let newest = self.state.newest_primary()?;
        let in_force = self.state.store.get().sync.as_ref()?.mark.term == newest.database.term;
        (in_force && self.lacks(&newest.database)).then_some(Wrong::Lost)
    }

    fn lacks(&self, database: &Database) -> bool {
        self.state.promised.iter().any(|id| !database.has(*id))
    }

    /// Whoever the sync record admits has everything that was acknowledged: its leader alone, and of the names one of each n - k + 1, with the
    /// copy that it names (protocol rules 12 and 18).
    fn admitted_lacks(&self) -> Option<Wrong> {
        let record = self.state.store.get().sync.as_ref()?;
        let leader = record.leader_data.iter().map(|data| (&record.leader, data));
        let database = |member: &MemberId, data: &DataId| {
            let database = self.state.index(member).map(|i| &self.state.node(i).database);
            database.filter(|database| database.data_id.as_ref() == Some(data))
        };
        let mut leader = leader.filter_map(|(member, data)| database(member, data));
        let named: Vec<&Database> = record.names.iter().filter_map(|(member, data)| database(member, data)).collect();
        let missed = |id: &u8| {
            let count = named.iter().filter(|database| !database.has(*id)).count();
            count > 0 && count + record.k as usize > record.names.len()
        };
        let synchronous = record.rule == ElectionRule::Synchronous;
        let lacks = leader.any(|database| self.lacks(database)) || self.state.promised.iter().any(missed);
        (synchronous && lacks).then_some(Wrong::AdmittedLacks)
    }

    fn two_believers(&self) -> Option<Wrong> {
        let believes = |node: &&Node| {
            let now = Moment::from_origin(node.clock);
            let until = node.machine.as_ref().and_then(odoo_ha_core::machine::Machine::leads_until);
            !node.frozen && until.is_some_and(|until| until > now)
        };
        (self.has_common_time() && self.state.all().filter(believes).count() > 1).then_some(Wrong::TwoBelievers)
    }

    /// Whom the sync record counts, the database of its leader waits for.
    fn uncounted(&self) -> Option<Wrong> {
        let record = self.state.store.get().sync.as_ref()?;
        let database = &self.state.node(self.state.index(&record.leader)?).database;
        let acknowledges = record.rule == ElectionRule::Synchronous && database.state == DatabaseState::Primary;
        (acknowledges && !record.is_covered_by(&database.synchronous)).then_some(Wrong::CountedNotWaitedFor)
    }

    /// Who has voted against the leader record as it stands receives from nobody.
    fn receives(&self) -> Option<Wrong> {
        let store = self.state.store.get();
        let leader = store.leader.as_ref()?.mark;
        let receives = store.votes.values().any(|vote| {
            let stands = vote.against.is_some_and(|against| against.mark >= leader);
            let database = self.state.index(&vote.member).map(|i| &self.state.node(i).database);
            stands && database.is_some_and(|d| d.upstream.is_some() && d.data_id.as_ref() == Some(&vote.data))
        });
        receives.then_some(Wrong::VoterReceives)
    }
}

type Holds = fn(&Cluster, &State) -> bool;

/// What must hold in every state.
pub(super) const ALWAYS: [(&str, Wrong, Holds); 8] = [
    ("the primary of the newest term has every acknowledged commit", Wrong::Lost, |_, s| s.wrong != Some(Wrong::Lost)),
    ("whoever the sync record admits alone has every acknowledged commit", Wrong::AdmittedLacks, |_, s| {
        s.wrong != Some(Wrong::AdmittedLacks)
    }),
    ("at most one agent believes to lead", Wrong::TwoBelievers, |_, s| s.wrong != Some(Wrong::TwoBelievers)),
    ("terms in the store only grow and have one holder", Wrong::TermWentBack, |_, s| {
        s.wrong != Some(Wrong::TermWentBack)
    }),
    ("nobody is promoted without the term", Wrong::PromotedWithoutTerm, |_, s| {
        s.wrong != Some(Wrong::PromotedWithoutTerm)
    }),
    ("whom the sync record counts is waited for", Wrong::CountedNotWaitedFor, |_, s| {
        s.wrong != Some(Wrong::CountedNotWaitedFor)
    }),
    ("whose vote stands receives from nobody", Wrong::VoterReceives, |_, s| s.wrong != Some(Wrong::VoterReceives)),
    ("the machine's own invariants hold", Wrong::InvariantBroken, |_, s| s.wrong != Some(Wrong::InvariantBroken)),
];

/// States that must be reached, so that the exploration is known to have looked where it matters.
pub(super) const SOMETIMES: [(&str, Holds); 13] = [
    ("a commit is acknowledged", |_, s| !s.promised.is_empty()),
    ("a member votes", |_, s| s.all().any(|node| node.doing == StateName::Voting)),
    ("a failover has ended", |_, s| serves(s, |origin| matches!(origin, Origin::Takeover), true)),
    ("a failover has ended after an acknowledged commit", |_, s| {
        !s.promised.is_empty() && serves(s, |origin| matches!(origin, Origin::Takeover), true)
    }),
    ("a vote is void", |_, s| void_votes(s, |_| true)),
    ("a voter receives again from a newer leader", |_, s| void_votes(s, |node| node.database.streaming)),
    ("a voter receives again from the old leader", |c, s| {
        let first = s.store.get().holders.len() == c.first_terms();
        first && void_votes(s, |node| node.database.streaming)
    }),
    ("a primary of an older term runs beside the newest", |_, s| {
        s.all().filter(|node| node.database.state == DatabaseState::Primary).count() > 1
    }),
    ("a member is dropped from the sync record", |_, s| {
        s.store.get().sync.as_ref().is_some_and(|sync| sync.names.len() + 1 < s.nodes.len())
    }),
    ("a dropped member is named again", |c, s| {
        let store = s.store.get();
        c.bounds.beginning == super::Beginning::Dropped
            && store.sync.as_ref().is_some_and(|sync| sync.names.len() + 1 == s.nodes.len())
    }),
    ("a switchover has ended", |_, s| serves(s, |origin| matches!(origin, Origin::HandOver { .. }), true)),
    ("a leader leads on after an unanswered commit that landed", |_, s| {
        (s.unanswered.done || (s.unanswered.done_later && s.late.is_empty())) && leads_on(s)
    }),
    ("a leader leads on after an unanswered commit that did not", |_, s| s.unanswered.not_done && leads_on(s)),
];

/// The holder of the leader record leads a primary of its term, that term being one that began so and after the beginning.
fn serves(state: &State, began: fn(&Origin) -> bool, later: bool) -> bool {
    let Some(leader) = &state.store.get().leader else { return false };
    let holder = leader.holder.as_ref().and_then(|holder| state.index(holder)).map(|i| state.node(i));
    let new = !later || leader.mark.term.0 > 1;
    new && leader.serving
        && began(&leader.origin)
        && holder.is_some_and(|node| {
            node.doing == StateName::Leading
                && node.database.state == DatabaseState::Primary
                && node.database.term == leader.mark.term
        })
}

fn leads_on(state: &State) -> bool {
    let store = state.store.get();
    let holder = store.leader.as_ref().and_then(|leader| state.index(leader.holder.as_ref()?));
    holder.is_some_and(|i| {
        let node = state.node(i);
        // Nothing of it is under way any more.
        node.doing == StateName::Leading && node.calls.is_empty() && node.news.is_empty()
    })
}

/// A member whose vote names an older record than the one that stands.
fn void_votes(state: &State, also: impl Fn(&Node) -> bool) -> bool {
    let store = state.store.get();
    let Some(leader) = store.leader.as_ref().map(|leader| leader.mark) else { return false };
    store.votes.values().any(|vote| {
        vote.against.is_some_and(|against| against.mark < leader)
            && state.index(&vote.member).is_some_and(|i| also(state.node(i)))
    })
}

/// As `stateright` wants them.
pub(super) fn properties() -> Vec<Property<Cluster>> {
    let always = ALWAYS.iter().map(|(name, _, holds)| Property::<Cluster>::always(name, *holds));
    always.chain(SOMETIMES.iter().map(|(name, holds)| Property::<Cluster>::sometimes(name, *holds))).collect()
}
