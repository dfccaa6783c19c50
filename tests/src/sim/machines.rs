//! Whole machines that stand still, and go on.

use std::time::Duration;

use odoo_ha_core::member::MemberId;

use super::happenings::Happening;
use super::{Clock, World};

/// What was sent to a machine that stood still reaches it so much after it woke, at the earliest.
const RETRANSMISSION: Duration = Duration::from_millis(5);

/// Which clocks stand still together with the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standstill {
    /// None that we go by: it wakes and sees that time has passed (suspend; `CLOCK_BOOTTIME` counts on).
    ClockGoesOn,
    /// All: it wakes and sees nothing of it (a virtual machine that was paused).
    AllClocks,
}

/// A machine that stands still: agent, database, watchdog, services, everything.
#[derive(Clone, Copy, Debug)]
pub struct Asleep {
    ppm: i64,
    pub(super) was_hung: bool,
    was_frozen: bool,
    address: bool,
}

impl World {
    /// Stops a whole machine. Nobody reaches it, and nobody is told: its connections are silent.
    pub fn freeze_machine(&mut self, name: &MemberId, standstill: Standstill) {
        let now = self.now;
        let node = self.node_mut(name);
        if node.asleep.is_some() {
            return;
        }
        let asleep = Asleep {
            ppm: node.clock.ppm(),
            was_hung: node.database.hung,
            was_frozen: node.frozen,
            address: node.address,
        };
        node.asleep = Some(asleep);
        node.frozen = true;
        node.database.hung = true;
        node.address = false;
        if standstill == Standstill::AllClocks {
            node.clock.set(now, Clock::STANDS);
            self.note_clocks();
        }
    }

    /// Lets it go on where it stood. Its watchdog, whose time may be over, is the first to move.
    pub fn wake_machine(&mut self, name: &MemberId) {
        let now = self.now;
        let node = self.node_mut(name);
        let Some(asleep) = node.asleep.take() else { return };
        node.frozen = asleep.was_frozen;
        node.database.hung = asleep.was_hung && node.database.state.runs();
        node.address = asleep.address && node.machine.is_some();
        node.clock.set(now, asleep.ppm);
        // What came for it meanwhile is retransmitted a little later, in order: it moves before it hears.
        let (waiting, incarnation) = (std::mem::take(&mut node.waiting), node.incarnation);
        let wait = RETRANSMISSION + Duration::from_millis(self.chance(200));
        let node = self.node_mut(name);
        node.watch_stalled_until = node.watch_stalled_until.max(now + wait);
        for input in waiting {
            self.after(wait, Happening::Input(name.clone(), incarnation, input));
        }
        self.note_clocks();
        self.watch_dog(name);
        if !self.node(name).frozen {
            self.thaw_agent(name);
        }
    }
}
