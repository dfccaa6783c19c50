//! One state of the whole: nodes, store, and what is under way between them.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{Hash, Hasher};
use std::time::Duration;

use odoo_ha_core::database::DatabaseState;
use odoo_ha_core::machine::{Action, Machine, Memo, Order, StateName};
use odoo_ha_core::member::MemberId;
use odoo_ha_core::store::{Commit, Key};

use super::bounds::Budget;
use super::database::Database;
use super::sealed::Sealed;
use super::store::Store;

/// One member: its agent, its database, what it remembers, what it waits for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Node {
    pub(super) name: MemberId,
    /// The real machine; `None` while the agent is dead.
    pub(super) machine: Option<Machine>,
    /// Its state, from its events.
    pub(super) doing: StateName,
    /// Starts of the agent.
    pub(super) lives: u64,
    pub(super) memo: Memo,
    pub(super) database: Database,
    /// What its clock shows.
    pub(super) clock: Duration,
    /// What the agent asked for and has no answer to.
    pub(super) calls: BTreeMap<u64, Call>,
    /// Keys whose last change the watch has not shown yet. It shows all of them at once, as they are by then; one that shows only some is one
    /// that showed those before the others were changed, and that is another order of the same steps.
    pub(super) news: BTreeSet<Key>,
    pub(super) watching: bool,
    /// The agent's process is frozen.
    pub(super) frozen: bool,
}

/// A call under way.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Call {
    pub(super) action: Action,
    /// When its driver gives up waiting, by the node's clock.
    pub(super) by: Duration,
}

impl Call {
    pub(super) fn commit(&self) -> Option<&Commit> {
        match &self.action.order {
            Order::Commit(commit) => Some(commit),
            _ => None,
        }
    }
}

/// What must never be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Wrong {
    /// The primary of the newest term lacks a commit that was acknowledged.
    Lost,
    /// A member that could be elected alone, by the sync record as it stands, lacks a commit that was acknowledged.
    AdmittedLacks,
    /// Two agents believe to lead at one time.
    TwoBelievers,
    /// A mark or a term in the store went back, or one term has two holders.
    TermWentBack,
    /// A database was promoted in a term that no leader record gave to its member.
    PromotedWithoutTerm,
    /// The sync record counts a member for whom its leader's database does not wait.
    CountedNotWaitedFor,
    /// A member receives log although its vote against the newest leader record stands.
    VoterReceives,
    /// A machine says so of itself.
    InvariantBroken,
}

impl Wrong {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Lost,
        Self::AdmittedLacks,
        Self::TwoBelievers,
        Self::TermWentBack,
        Self::PromotedWithoutTerm,
        Self::CountedNotWaitedFor,
        Self::VoterReceives,
        Self::InvariantBroken,
    ];
}

/// How unanswered commits ended, in this run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub(super) struct Unanswered {
    pub(super) done: bool,
    pub(super) not_done: bool,
    pub(super) done_later: bool,
}

/// The state of the whole. Two are equal when everything in them is, clocks, call numbers and revisions included: nothing is normalised.
#[derive(Clone, Debug)]
pub struct State {
    pub(super) nodes: Vec<Sealed<Node>>,
    pub(super) store: Sealed<Store>,
    pub(super) left: Budget,
    /// Commits whose sender does not wait any more, and which may still arrive.
    pub(super) late: Vec<Commit>,
    /// Commits of the client that wait for acknowledgement: on whose database, where in its log, which.
    pub(super) waiting: Vec<(usize, usize, u8)>,
    /// What the client was told is saved.
    pub(super) promised: Vec<u8>,
    pub(super) unanswered: Unanswered,
    /// What was seen that must never be.
    pub(super) wrong: Option<Wrong>,
    /// Steps from the beginning; not part of what makes a state.
    pub(super) depth: u16,
}

impl PartialEq for State {
    fn eq(&self, other: &Self) -> bool {
        self.nodes == other.nodes
            && self.store == other.store
            && self.left == other.left
            && self.late == other.late
            && self.waiting == other.waiting
            && self.promised == other.promised
            && self.unanswered == other.unanswered
            && self.wrong == other.wrong
    }
}

impl Hash for State {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.nodes.hash(state);
        self.store.hash(state);
        self.left.hash(state);
        self.late.hash(state);
        self.waiting.hash(state);
        self.promised.hash(state);
        self.unanswered.hash(state);
        self.wrong.hash(state);
    }
}

impl State {
    pub(super) fn node(&self, i: usize) -> &Node {
        self.nodes[i].get()
    }

    /// The node that bears a member's name.
    pub(super) fn index(&self, name: &MemberId) -> Option<usize> {
        self.nodes.iter().position(|node| node.get().name == *name)
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &Node> {
        self.nodes.iter().map(Sealed::get)
    }

    /// The database that is primary in the newest term.
    pub(super) fn newest_primary(&self) -> Option<&Node> {
        let primaries = self.all().filter(|node| node.database.state == DatabaseState::Primary);
        primaries.max_by_key(|node| node.database.term)
    }

    /// What was seen that must never be.
    pub fn wrong(&self) -> Option<Wrong> {
        self.wrong
    }

    /// One line a node, for a person.
    pub fn picture(&self) -> String {
        use std::fmt::Write as _;
        let mut text = String::new();
        let store = self.store.get();
        if let (Some(leader), Some(sync)) = (&store.leader, &store.sync) {
            let names: Vec<&str> = sync.names.keys().map(MemberId::as_str).collect();
            let holder = leader.holder.as_ref().map_or("nobody", MemberId::as_str);
            let _ = write!(text, "  store: {holder} {}, sync {} {names:?}, votes", leader.mark, sync.leader);
            for vote in store.votes.values() {
                let against = vote.against.map(|against| against.mark.to_string()).unwrap_or_default();
                let _ = write!(text, " {}@{} against {against}", vote.member, vote.position.lsn);
            }
            let _ = writeln!(text, "; acknowledged {:?}", self.promised);
        }
        for node in self.all() {
            let calls: Vec<String> = node.calls.values().map(|call| super::step::name_of(&call.action.order)).collect();
            let database = &node.database;
            let _ = writeln!(
                text,
                "  {} {}{} at {:.2} s: {:?} term {} {:?} from {:?} {} waits for {:?}; asks {calls:?}, news {}",
                node.name,
                if node.machine.is_some() { node.doing.as_str() } else { "dead" },
                if node.frozen { " (frozen)" } else { "" },
                node.clock.as_secs_f64(),
                database.state,
                database.term,
                database.log,
                database.upstream.as_ref().map(MemberId::as_str),
                if database.streaming { "streaming" } else { "dry" },
                database.synchronous,
                node.news.len(),
            );
        }
        text
    }
}
