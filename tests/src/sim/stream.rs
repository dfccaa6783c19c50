//! One connection of streaming replication: a standby, its upstream, and what is on its way between them.

use std::collections::VecDeque;
use std::time::Duration;

use odoo_ha_core::database::DatabaseState;
use odoo_ha_core::member::MemberId;

use super::{Dice, Link, Node};

/// So many records are sent at most before word of them has come back (a TCP window).
const WINDOW: usize = 64;

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
    pub(super) connection: u64,
    /// What the standby has on disk.
    pub flushed: usize,
    /// What it has replayed.
    pub replayed: usize,
    pub(super) heard: Duration,
}

/// Both sides of one connection, whether it stands or not, and the network between them.
pub(super) struct Stream<'a> {
    pub(super) name: &'a MemberId,
    pub(super) standby: &'a mut Node,
    pub(super) upstream: &'a mut Node,
    /// From the upstream to the standby.
    pub(super) there: &'a Link,
    /// From the standby to the upstream.
    pub(super) back: &'a Link,
    pub(super) notice: Duration,
    pub(super) now: Duration,
    pub(super) dice: &'a mut Dice,
    /// Numbers connections.
    pub(super) order: &'a mut u64,
}

impl Stream<'_> {
    /// The connection is made, used, or given up. Returns whether there is one.
    pub(super) fn goes_on(&mut self) -> bool {
        let mute = self.standby.database.hung || self.standby.asleep.is_some() || self.upstream.database.hung;
        let connected = !mute && self.standby.is_there() && self.upstream.is_there();
        let (there, back) = (connected && !self.there.cut, connected && !self.back.cut);
        // Taken out while both sides are looked at, and put back.
        let receiver = self.standby.receiver.take().filter(|receiver| self.stays_connected(receiver, there));
        let mut receiver = receiver.or_else(|| if there && back { self.connect() } else { None });
        if let Some(receiver) = &mut receiver {
            if there {
                self.carry(receiver, back);
            }
            self.answer(receiver, back);
        }
        self.standby.database.streaming = receiver.is_some();
        self.standby.receiver = receiver;
        self.standby.database.streaming
    }

    fn sender(&self) -> Option<&Sender> {
        self.upstream.senders.get(self.name)
    }

    fn stays_connected(&self, receiver: &Receiver, there: bool) -> bool {
        let upstream = &self.upstream.database;
        let lives = upstream.run == receiver.run && upstream.sends();
        let known = self.sender().is_some_and(|sender| sender.connection == receiver.connection);
        // The end of the other side is heard at once when it can be heard; else silence must do.
        if there { lives && known } else { self.now.saturating_sub(receiver.heard) < self.notice }
    }

    fn connect(&mut self) -> Option<Receiver> {
        let (own, upstream) = (&self.standby.database, &self.upstream.database);
        let serves = matches!(upstream.state, DatabaseState::Primary | DatabaseState::Standby);
        // As PostgreSQL does: the upstream's log of that timeline must reach as far as the standby's own.
        if !serves || upstream.hung || upstream.flushed < own.log.len() || !own.is_prefix_of(upstream) {
            return None;
        }
        *self.order += 1;
        let (connection, now) = (*self.order, self.now);
        let receiver = Receiver {
            run: upstream.run,
            connection,
            start: own.log.len(),
            sent: own.log.len(),
            arriving: VecDeque::new(),
            heard: now,
            said: (0, 0),
            answers: VecDeque::new(),
        };
        let sender = Sender { connection, flushed: 0, replayed: 0, heard: now };
        self.upstream.senders.insert(self.name.clone(), sender);
        Some(receiver)
    }

    /// From the upstream to the standby.
    fn carry(&mut self, receiver: &mut Receiver, back: bool) {
        receiver.heard = self.now;
        let known = self.sender().map_or(0, |sender| sender.flushed);
        let limit = if back { usize::MAX } else { known.max(receiver.start) + WINDOW };
        let upto = self.upstream.database.flushed.min(limit);
        if upto > receiver.sent {
            let last = receiver.arriving.back().map_or(Duration::ZERO, |(at, _)| *at);
            let at = (self.now + self.there.transit(self.dice)).max(last);
            receiver.arriving.push_back((at, upto));
            receiver.sent = upto;
        }
        let mut arrived = None;
        while let Some((_, upto)) = receiver.arriving.pop_front_if(|(at, _)| *at <= self.now) {
            arrived = Some(upto);
        }
        if let Some(upto) = arrived {
            let flush_takes = self.standby.flush_takes();
            let (source, database) = (&self.upstream.database.log, &mut self.standby.database);
            let from = database.log.len();
            database.log.extend_from_slice(source.get(from..upto).unwrap_or_default());
            database.timeline = database.log.last().map_or(database.timeline, |record| record.0);
            database.proceed(self.now, flush_takes);
        }
    }

    /// From the standby to the upstream.
    fn answer(&mut self, receiver: &mut Receiver, back: bool) {
        let (now, database) = (self.now, &self.standby.database);
        let says = (database.flushed, database.replayed);
        if says != receiver.said && !database.hung {
            let last = receiver.answers.back().map_or(Duration::ZERO, |(at, _)| *at);
            let at = (now + self.back.transit(self.dice)).max(last);
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
        let sender = self.upstream.senders.get_mut(self.name);
        if let Some(sender) = sender.filter(|sender| sender.connection == receiver.connection) {
            sender.heard = now;
            if let Some((flushed, replayed)) = heard {
                (sender.flushed, sender.replayed) = (flushed, replayed);
            }
        }
    }
}
