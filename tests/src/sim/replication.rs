//! Streaming replication: log travels from the upstream to a standby, is flushed and replayed there, and word of that travels back.
//!
//! What an upstream knows of a standby is what it was told, so a standby may have log of which its primary does not know.

use std::collections::BTreeMap;
use std::time::Duration;

use odoo_ha_core::database::{DatabaseState, StandbyStatus};
use odoo_ha_core::lsn::Lsn;
use odoo_ha_core::member::MemberId;

use super::happenings::Happening;
use super::stream::{Sender, Stream};
use super::{Node, World};

/// What a flush takes on a disk that is not slow at all, times how slow the disk is.
const FLUSH: Duration = Duration::from_millis(1);

/// What ends while a database goes on.
enum Ending {
    OfTheDatabase,
    OfItsPromotion,
}

impl Node {
    pub(super) fn flush_takes(&self) -> Duration {
        if self.disk.slow > 1 { FLUSH * self.disk.slow } else { Duration::ZERO }
    }

    /// What its database has begun goes on.
    fn proceed(&mut self, now: Duration) -> Option<Ending> {
        if !self.database.state.runs() || self.asleep.is_some() || self.database.hung {
            return None;
        }
        let flush_takes = self.flush_takes();
        let database = &mut self.database;
        if self.disk.full && database.flushed < database.log.len() && !database.in_recovery {
            // PostgreSQL cannot write its log: PANIC.
            return Some(Ending::OfTheDatabase);
        }
        database.proceed(now, flush_takes);
        let promoted = database.promotion.as_ref().is_some_and(|going| going.until.is_some_and(|until| until <= now));
        promoted.then_some(Ending::OfItsPromotion)
    }
}

impl World {
    /// Log travels, is flushed and replayed, and is acknowledged; what takes its time goes on.
    pub(super) fn replicate(&mut self) {
        self.proceed();
        let names = self.take_names();
        for name in &names {
            self.receive(name);
        }
        self.put_names(names);
        self.give_up_senders();
        self.end_shutdowns();
    }

    /// What databases have begun goes on without anybody.
    fn proceed(&mut self) {
        let now = self.now;
        let mut ended = Vec::new();
        for (name, node) in &mut self.nodes {
            ended.extend(node.proceed(now).map(|ending| (name.clone(), ending)));
        }
        for (name, ending) in ended {
            match ending {
                Ending::OfTheDatabase => self.kill_database(&name),
                Ending::OfItsPromotion => self.end_promotion(&name),
            }
        }
    }

    /// One standby's connection: made, used, or given up.
    fn receive(&mut self, name: &MemberId) {
        let node = self.node(name);
        let database = &node.database;
        let wants = database.state == DatabaseState::Standby && database.promotion.is_none() && !node.disk.full;
        let Some(upstream) = database.upstream.clone().filter(|_| wants) else {
            if node.receiver.is_some() || database.streaming {
                self.drop_receiver(name);
            }
            return;
        };
        let Some(mut stream) = self.stream(name, &upstream) else { return };
        if !stream.goes_on() {
            self.tell_upstreams_of_end(name);
        }
    }

    /// A standby and its upstream, both to be changed.
    fn stream<'a>(&'a mut self, name: &'a MemberId, upstream: &MemberId) -> Option<Stream<'a>> {
        let (mut standby, mut source) = (None, None);
        for (member, node) in &mut self.nodes {
            if member == name {
                standby = Some(node);
            } else if member == upstream {
                source = Some(node);
            }
        }
        Some(Stream {
            name,
            standby: standby?,
            upstream: source?,
            there: self.network.link(upstream, name),
            back: self.network.link(name, upstream),
            notice: self.network.notice,
            now: self.now,
            dice: &mut self.dice,
            order: &mut self.order,
        })
    }

    /// An upstream ends what is silent too long.
    fn give_up_senders(&mut self) {
        let (now, notice) = (self.now, self.network.notice);
        for node in self.nodes.values_mut().filter(|node| !node.senders.is_empty() && node.asleep.is_none()) {
            let sends = node.database.sends();
            // A standby that could not be heard in this very tick has been silent since the one before.
            node.senders
                .retain(|_, sender| sends && (sender.heard == now || now.saturating_sub(sender.heard) < notice));
        }
    }

    fn end_shutdowns(&mut self) {
        let stopping = self.nodes.iter().filter(|(_, node)| node.database.stopping);
        let stopping: Vec<MemberId> = stopping.map(|(name, _)| name.clone()).collect();
        for name in stopping {
            self.end_shutdown(&name);
        }
    }

    /// The standby's side has ended; its upstreams hear of it at once where they can.
    fn tell_upstreams_of_end(&mut self, name: &MemberId) {
        let holds = |node: &Node| node.senders.contains_key(name);
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
