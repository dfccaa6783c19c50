//! Streaming replication: log travels from the upstream to a standby, is flushed and replayed there, and word of that travels back.
//!
//! What an upstream knows of a standby is what it was told, so a standby may have log of which its primary does not know.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use odoo_ha_core::database::{DatabaseState, StandbyStatus};
use odoo_ha_core::lsn::Lsn;
use odoo_ha_core::member::MemberId;

use super::world::Happening;
use super::{Database, World};

/// So many records are sent at most before word of them has come back (a TCP window).
const WINDOW: usize = 64;
/// What a flush takes on a disk that is not slow at all, times how slow the disk is.
const FLUSH: Duration = Duration::from_millis(1);

/// What a standby's receiver has under way.
#[derive(Clone, Debug)]
pub struct Receiver {
    /// Which start of the upstream's processes it is connected with.
    run: u64,
    /// Names the connection.
    connection: u64,
    start: usize,
    sent: usize,
    arriving: VecDeque<(Duration, usize)>,
    /// When something last came.
    heard: Duration,
    /// What was last said, and what of it is on its way.
    said: (usize, usize),
    answers: VecDeque<(Duration, (usize, usize))>,
}

/// What an upstream was told by a standby.
#[derive(Clone, Debug)]
pub struct Sender {
    connection: u64,
    /// What the standby has on disk.
    pub flushed: usize,
    /// What it has replayed.
    pub replayed: usize,
    heard: Duration,
}

impl World {
    /// Log travels, is flushed and replayed, and is acknowledged; what takes its time goes on.
    pub(super) fn replicate(&mut self) {
        let names = self.take_names();
        for name in &names {
            self.proceed(name);
        }
        for name in &names {
            self.receive(name);
        }
        for name in &names {
            self.give_up_senders(name);
            self.end_shutdown(name);
        }
        self.put_names(names);
    }

    fn flush_takes(&self, name: &MemberId) -> Duration {
        let slow = self.node(name).disk.slow;
        if slow > 1 { FLUSH * slow } else { Duration::ZERO }
    }

    /// What a database has begun goes on without anybody.
    fn proceed(&mut self, name: &MemberId) {
        let flush_takes = self.flush_takes(name);
        let now = self.now;
        let node = self.node_mut(name);
        if !node.database.state.runs() || node.asleep.is_some() || node.database.hung {
            return;
        }
        let full = node.disk.full;
        let database = &mut node.database;
        if full && database.flushed < database.log.len() && !database.in_recovery {
            // PostgreSQL cannot write its log: PANIC.
            self.kill_database(name);
            return;
        }
        database.proceed(now, flush_takes);
        if database.promotion.as_ref().is_some_and(|promotion| promotion.until.is_some_and(|until| until <= now)) {
            self.end_promotion(name);
        }
    }

    /// One standby's connection: made, used, or given up.
    fn receive(&mut self, name: &MemberId) {
        let node = self.node(name);
        let database = &node.database;
        let wants = database.state == DatabaseState::Standby && database.promotion.is_none() && !node.disk.full;
        let Some(upstream) = database.upstream.as_ref().filter(|_| wants) else {
            if node.receiver.is_some() || database.streaming {
                self.drop_receiver(name);
            }
            return;
        };
        let mute = database.hung || node.asleep.is_some();
        let idle = !mute && self.stands_by(name, upstream);
        let upstream = upstream.clone();
        if idle {
            let now = self.now;
            if let Some(receiver) = &mut self.node_mut(name).receiver {
                receiver.heard = now;
            }
            if let Some(sender) = self.node_mut(&upstream).senders.get_mut(name) {
                sender.heard = now;
            }
            return;
        }
        // Taken out while both sides are looked at, and put back.
        let node = self.node_mut(name);
        let mut receiver = node.receiver.take();
        let mut database = std::mem::replace(&mut node.database, Database::absent());
        let there = self.reaches(&upstream, name) && !mute && !self.node(&upstream).database.hung;
        let back = self.reaches(name, &upstream) && !mute && !self.node(&upstream).database.hung;
        receiver = receiver.filter(|receiver| self.stays_connected(receiver, name, &upstream, there));
        if receiver.is_none() && there && back {
            receiver = self.connect(name, &upstream, &database);
        }
        if let Some(receiver) = &mut receiver {
            if there {
                let known = self.node(&upstream).senders.get(name).map_or(0, |sender| sender.flushed);
                let limit = if back { usize::MAX } else { known.max(receiver.start) + WINDOW };
                self.carry(receiver, name, &upstream, &mut database, limit);
            }
            self.answer_upstream(receiver, name, &upstream, &database, back);
        }
        database.streaming = receiver.is_some();
        let node = self.node_mut(name);
        node.receiver = receiver;
        node.database = database;
        if !node.database.streaming {
            self.tell_upstreams_of_end(name);
        }
    }

    /// Nothing is on its way and nothing is wrong: both sides hear of one another, and that is all.
    fn stands_by(&self, name: &MemberId, upstream: &MemberId) -> bool {
        let (node, Some(other)) = (self.node(name), self.nodes.get(upstream)) else { return false };
        let (Some(receiver), Some(sender)) = (&node.receiver, other.senders.get(name)) else { return false };
        let said = (node.database.flushed, node.database.replayed);
        let idle = receiver.sent == other.database.flushed && receiver.said == said && receiver.arriving.is_empty();
        idle && receiver.answers.is_empty()
            && (sender.connection, other.database.run) == (receiver.connection, receiver.run)
            && other.database.sends()
            && !other.database.hung
            && self.talk(name, upstream)
    }

    fn stays_connected(&self, receiver: &Receiver, name: &MemberId, upstream: &MemberId, there: bool) -> bool {
        let Some(other) = self.nodes.get(upstream) else { return false };
        let lives = other.database.run == receiver.run && other.database.sends();
        let known = other.senders.get(name).is_some_and(|sender| sender.connection == receiver.connection);
        // The end of the other side is heard at once when it can be heard; else silence must do.
        if there { lives && known } else { self.now.saturating_sub(receiver.heard) < self.network.notice }
    }

    fn connect(&mut self, name: &MemberId, upstream: &MemberId, database: &Database) -> Option<Receiver> {
        let other = &self.nodes.get(upstream)?.database;
        let ready = other.state == DatabaseState::Primary && !other.hung && database.is_prefix_of(other);
        if !ready || other.flushed < database.log.len() {
            return None;
        }
        let run = other.run;
        self.order += 1;
        let (connection, now) = (self.order, self.now);
        let sender = Sender { connection, flushed: 0, replayed: 0, heard: now };
        self.node_mut(upstream).senders.insert(name.clone(), sender);
        Some(Receiver {
            run,
            connection,
            start: database.log.len(),
            sent: database.log.len(),
            arriving: VecDeque::new(),
            heard: now,
            said: (0, 0),
            answers: VecDeque::new(),
        })
    }

    /// From the upstream to the standby.
    fn carry(
        &mut self,
        receiver: &mut Receiver,
        name: &MemberId,
        upstream: &MemberId,
        database: &mut Database,
        limit: usize,
    ) {
        receiver.heard = self.now;
        let upto = self.node(upstream).database.flushed.min(limit);
        if upto > receiver.sent {
            let last = receiver.arriving.back().map_or(Duration::ZERO, |(at, _)| *at);
            let at = (self.now + self.transit(upstream, name)).max(last);
            receiver.arriving.push_back((at, upto));
            receiver.sent = upto;
        }
        let mut arrived = None;
        while let Some((_, upto)) = receiver.arriving.pop_front_if(|(at, _)| *at <= self.now) {
            arrived = Some(upto);
        }
        if let Some(upto) = arrived {
            let source = &self.node(upstream).database.log;
            let from = database.log.len();
            database.log.extend_from_slice(source.get(from..upto).unwrap_or_default());
            database.timeline = database.log.last().map_or(database.timeline, |record| record.0);
            let flush_takes = self.flush_takes(name);
            database.proceed(self.now, flush_takes);
        }
    }

    /// From the standby to the upstream.
    fn answer_upstream(
        &mut self,
        receiver: &mut Receiver,
        name: &MemberId,
        upstream: &MemberId,
        database: &Database,
        back: bool,
    ) {
        let now = self.now;
        let says = (database.flushed, database.replayed);
        if says != receiver.said && !database.hung {
            let last = receiver.answers.back().map_or(Duration::ZERO, |(at, _)| *at);
            let at = (now + self.transit(name, upstream)).max(last);
            receiver.answers.push_back((at, says));
            receiver.said = says;
        }
        if !back {
            return;
        }
        let mut heard = None;
        while let Some((_, said)) = receiver.answers.pop_front_if(|(at, _)| *at <= now) {
            heard = Some(said);
        }
        let connection = receiver.connection;
        let sender = self.node_mut(upstream).senders.get_mut(name);
        if let Some(sender) = sender.filter(|sender| sender.connection == connection) {
            sender.heard = now;
            if let Some((flushed, replayed)) = heard {
                (sender.flushed, sender.replayed) = (flushed, replayed);
            }
        }
    }

    /// An upstream ends what is silent too long.
    fn give_up_senders(&mut self, name: &MemberId) {
        let node = self.node(name);
        if node.senders.is_empty() || node.asleep.is_some() {
            return;
        }
        let (now, notice) = (self.now, self.network.notice);
        let gone = !node.database.sends();
        // A standby that could not be heard in this very tick has been silent since the one before.
        self.node_mut(name)
            .senders
            .retain(|_, sender| !gone && (sender.heard == now || now.saturating_sub(sender.heard) < notice));
    }

    /// The standby's side has ended; its upstreams hear of it at once where they can.
    fn tell_upstreams_of_end(&mut self, name: &MemberId) {
        let holds = |node: &super::Node| node.senders.contains_key(name);
        let Some(upstream) = self.nodes.iter().find(|(_, node)| holds(node)).map(|(upstream, _)| upstream.clone())
        else {
            return;
        };
        if self.reaches(name, &upstream) && !self.node(name).database.hung {
            self.node_mut(&upstream).senders.remove(name);
        }
    }

    /// The receiver ends: nothing arrives any more. What had arrived comes to disk before it ends.
    pub(super) fn drop_receiver(&mut self, name: &MemberId) {
        let node = self.node_mut(name);
        node.receiver = None;
        node.database.streaming = false;
        self.tell_upstreams_of_end(name);
    }

    /// The standbys of a primary, as it sees them.
    pub fn standbys_of(&self, name: &MemberId) -> BTreeMap<MemberId, StandbyStatus> {
        let node = self.node(name);
        let named = &node.database.synchronous;
        let seen = |standby: &MemberId, sender: &Sender| StandbyStatus {
            streaming: true,
            flushed: Lsn(sender.flushed as u64),
            replayed: Lsn(sender.replayed as u64),
            synchronous: named.names(standby),
        };
        node.senders.iter().map(|(standby, sender)| (standby.clone(), seen(standby, sender))).collect()
    }

    /// Whether the database there may tell its client that this record is saved: it is on its disk, and it was told so by whom it waits for.
    pub fn may_acknowledge(&self, on: &MemberId, index: usize) -> bool {
        let node = self.node(on);
        let told = |name: &MemberId| node.senders.get(name).is_some_and(|sender| sender.flushed > index);
        node.database.flushed > index && (node.database.hasty || node.database.is_enough(told))
    }

    /// A shutdown that waits for its standbys ends when they have everything.
    pub(super) fn end_shutdown(&mut self, name: &MemberId) {
        let node = self.node(name);
        if !node.database.stopping || node.asleep.is_some() {
            return;
        }
        let end = node.database.log.len();
        if node.database.flushed == end && node.senders.values().all(|sender| sender.flushed >= end) {
            let incarnation = node.incarnation;
            let node = self.node_mut(name);
            node.senders.clear();
            node.database.end_processes();
            node.database.state = DatabaseState::StoppedCleanly;
            let exited = odoo_ha_core::machine::Input::DatabaseExited;
            self.after(Duration::from_millis(3), Happening::Input(name.clone(), incarnation, exited));
        }
    }
}
