//! Databases whose log is a list, so that "is a prefix of" and "was acknowledged" can be looked at; and what is done to them.

use std::collections::BTreeMap;

use odoo_ha_core::database::{
    BootstrapOrder, Bootstrapped, DatabaseState, DatabaseStatus, FollowOrder, Followed, FollowedBy, Frozen,
    PromoteOrder, Promoted, StandbyStatus, StartPrimaryOrder, Started, StopMode, Stopped, SynchronousOrder,
    SynchronousStandbys,
};
use odoo_ha_core::error::{Error, ErrorKind};
use odoo_ha_core::lsn::{Lsn, Timeline};
use odoo_ha_core::member::{DataId, MemberId, SystemId};
use odoo_ha_core::term::Term;

use super::state::State;

/// The one that the world's clusters have.
const SYSTEM: SystemId = SystemId(7);

/// One member's database.
#[derive(Clone, Debug)]
pub(super) struct Data {
    pub(super) state: DatabaseState,
    pub(super) system_id: Option<SystemId>,
    pub(super) data_id: Option<DataId>,
    /// Kept beside the data.
    pub(super) term: Term,
    /// The timeline of the next record.
    pub(super) timeline: u32,
    /// Of each record the timeline that it was written on, and which write of the client it is (0: none).
    pub(super) log: Vec<(u32, u64)>,
    pub(super) upstream: Option<MemberId>,
    pub(super) streaming: bool,
    pub(super) synchronous: SynchronousStandbys,
    /// Counts the starts of its main process.
    pub(super) run: u64,
    /// It does not answer.
    pub(super) hung: bool,
    /// A fast shutdown does not end.
    pub(super) slow_shutdown: bool,
    /// It receives at most so many records a tick.
    pub(super) receives: usize,
}

impl Data {
    pub(super) fn absent() -> Self {
        Self {
            state: DatabaseState::Absent,
            system_id: None,
            data_id: None,
            term: Term(0),
            timeline: 0,
            log: Vec::new(),
            upstream: None,
            streaming: false,
            synchronous: SynchronousStandbys::Nobody,
            run: 0,
            hung: false,
            slow_shutdown: false,
            receives: usize::MAX,
        }
    }

    pub(super) fn lsn(&self) -> Lsn {
        Lsn(self.log.len() as u64)
    }

    pub(super) fn is_primary(&self) -> bool {
        self.state == DatabaseState::Primary
    }

    pub(super) fn append(&mut self, write: u64) {
        self.log.push((self.timeline, write));
    }

    pub(super) fn is_prefix_of(&self, other: &Self) -> bool {
        other.log.get(..self.log.len()) == Some(&self.log[..])
    }

    fn last_timeline(&self) -> Timeline {
        Timeline(self.log.last().map_or(self.timeline, |record| record.0))
    }

    fn runs_as(&mut self, state: DatabaseState) {
        if !self.state.runs() {
            self.run += 1;
        }
        self.state = state;
    }

    /// Its processes die.
    pub(super) fn crash(&mut self) {
        if self.state.runs() {
            self.state = DatabaseState::Crashed;
        }
        self.streaming = false;
        self.hung = false;
    }
}

fn refused(kind: ErrorKind, why: &str) -> Error {
    Error::new(kind, why)
}

impl State {
    fn data_of(&self, name: &MemberId) -> &Data {
        &self.site(name).data
    }

    /// The standbys of a primary, as it sees them.
    pub(super) fn standbys_of(&self, name: &MemberId) -> BTreeMap<MemberId, StandbyStatus> {
        let named = &self.data_of(name).synchronous;
        let follows = |data: &Data| data.streaming && data.upstream.as_ref() == Some(name);
        self.sites
            .iter()
            .filter(|(_, site)| follows(&site.data))
            .map(|(standby, site)| {
                let lsn = site.data.lsn();
                let synchronous = named.names(standby);
                (standby.clone(), StandbyStatus { streaming: true, flushed: lsn, replayed: lsn, synchronous })
            })
            .collect()
    }

    pub(super) fn observe(&self, name: &MemberId) -> DatabaseStatus {
        let data = self.data_of(name);
        let mut status = DatabaseStatus::absent();
        status.state = if data.hung && data.state.runs() { DatabaseState::Unresponsive } else { data.state };
        status.system_id = data.system_id;
        status.data_id = data.data_id.clone();
        status.term = data.term;
        status.timeline = if data.is_primary() { Timeline(data.timeline) } else { data.last_timeline() };
        status.lsn = data.lsn();
        status.replayed = data.lsn();
        status.streaming = data.streaming;
        status.upstream = data.upstream.clone();
        status.standbys = self.standbys_of(name);
        status.synchronous = Some(data.synchronous.clone());
        status
    }

    pub(super) fn bootstrap(&mut self, name: &MemberId, order: &BootstrapOrder) -> Result<Bootstrapped, Error> {
        let data_id = DataId(format!("{name}-first-{}", order.term));
        let data = &mut self.site_mut(name).data;
        if data.state.has_data() && data.term != order.term {
            return Err(refused(ErrorKind::Misconfigured, "there are data"));
        }
        if !data.state.has_data() {
            data.timeline = 1;
            data.append(0);
        }
        data.runs_as(DatabaseState::Primary);
        data.system_id = Some(SYSTEM);
        data.data_id = Some(data_id.clone());
        data.term = order.term;
        Ok(Bootstrapped { system_id: SYSTEM, data_id, timeline: Timeline(data.timeline), lsn: data.lsn() })
    }

    pub(super) fn start_primary(&mut self, name: &MemberId, order: &StartPrimaryOrder) -> Result<Started, Error> {
        let data = &mut self.site_mut(name).data;
        if data.term != order.term {
            return Err(refused(ErrorKind::Fenced, "the data have another term"));
        }
        if data.state == DatabaseState::Standby || data.upstream.is_some() {
            return Err(refused(ErrorKind::NotReady, "a standby's data"));
        }
        data.runs_as(DatabaseState::Primary);
        data.synchronous = order.synchronous.clone();
        Ok(Started { lsn: data.lsn(), timeline: Timeline(data.timeline) })
    }

    pub(super) fn stop(&mut self, name: &MemberId, mode: StopMode) -> Result<Stopped, Error> {
        let data = &mut self.site_mut(name).data;
        if data.slow_shutdown && mode == StopMode::Fast {
            return Err(refused(ErrorKind::Unknown, "it did not stop in time"));
        }
        let (was, clean) = (data.state, data.is_primary() && !data.hung);
        if clean {
            // The shutdown checkpoint, which connected standbys receive before the primary exits.
            data.append(0);
            self.replicate(true);
        }
        let site = self.site_mut(name);
        let data = &mut site.data;
        if was.runs() {
            let cleanly = clean || was == DatabaseState::Standby;
            data.state = if cleanly { DatabaseState::StoppedCleanly } else { DatabaseState::Crashed };
        }
        data.streaming = false;
        data.hung = false;
        let clean = data.state == DatabaseState::StoppedCleanly;
        let stopped = Stopped { clean, lsn: data.lsn(), timeline: Timeline(data.timeline) };
        site.ring();
        self.client.pending.retain(|(on, _, _)| on != name);
        Ok(stopped)
    }

    pub(super) fn freeze(&mut self, name: &MemberId) -> Result<Frozen, Error> {
        let data = &mut self.site_mut(name).data;
        let Some(data_id) = data.data_id.clone() else {
            return Err(refused(ErrorKind::NotReady, "there are no data"));
        };
        if data.is_primary() {
            return Err(refused(ErrorKind::NotReady, "it runs as primary"));
        }
        data.runs_as(DatabaseState::Standby);
        data.upstream = None;
        data.streaming = false;
        Ok(Frozen { data_id, lsn: data.lsn(), timeline: data.last_timeline() })
    }

    pub(super) fn follow(&mut self, name: &MemberId, order: &FollowOrder) -> Result<Followed, Error> {
        let Some(from) = self.sites.get(&order.upstream.member) else {
            return Err(refused(ErrorKind::Unavailable, "there is no such upstream"));
        };
        let own = self.site(name);
        if order.term < own.data.term {
            return Err(refused(ErrorKind::Fenced, "an older term"));
        }
        let reachable = from.data.is_primary() && !from.data.hung && !from.cut_from_peers && !own.cut_from_peers;
        let by = if own.data.state == DatabaseState::Absent || order.reclone {
            FollowedBy::Clone
        } else if own.data.is_prefix_of(&from.data) || !reachable {
            FollowedBy::Nothing
        } else if order.may_discard {
            FollowedBy::Rewind
        } else {
            return Err(refused(ErrorKind::Diverged, "the data have diverged"));
        };
        if by != FollowedBy::Nothing && !reachable {
            return Err(refused(ErrorKind::Unavailable, "the upstream does not answer"));
        }
        let (log, system_id, copy) = (from.data.log.clone(), from.data.system_id, self.calls);
        let site = self.site_mut(name);
        let data = &mut site.data;
        match by {
            FollowedBy::Nothing => {}
            FollowedBy::Rewind => {
                let common = data.log.iter().zip(&log).take_while(|(a, b)| a == b).count();
                data.log.truncate(common);
            }
            FollowedBy::Clone => {
                data.log = log;
                data.data_id = Some(DataId(format!("{name}-copy-{copy}")));
                data.system_id = system_id;
            }
        }
        data.runs_as(DatabaseState::Standby);
        data.streaming = false;
        data.term = order.term;
        data.upstream = Some(order.upstream.member.clone());
        data.synchronous = SynchronousStandbys::Nobody;
        let data_id = data.data_id.clone().ok_or_else(|| refused(ErrorKind::Unknown, "there are no data"))?;
        self.client.pending.retain(|(on, _, _)| on != name);
        Ok(Followed { by, data_id })
    }

    pub(super) fn promote(&mut self, name: &MemberId, order: &PromoteOrder) -> Result<Promoted, Error> {
        let owned =
            |(other, data): (&MemberId, &Data)| other != name && data.is_primary() && data.timeline == order.timeline.0;
        let reused = self.sites.iter().map(|(other, site)| (other, &site.data)).any(owned);
        let data = &mut self.site_mut(name).data;
        if order.term < data.term {
            return Err(refused(ErrorKind::Fenced, "an older term"));
        }
        if data.lsn() < order.at_least {
            return Err(refused(ErrorKind::NotReady, "the data do not reach"));
        }
        let switch_lsn = data.lsn();
        if !data.is_primary() {
            data.runs_as(DatabaseState::Primary);
            data.term = order.term;
            data.timeline = order.timeline.0;
            data.synchronous = order.synchronous.clone();
            data.upstream = None;
            data.streaming = false;
            data.append(0);
        }
        let promoted = Promoted { timeline: order.timeline, switch_lsn, lsn: data.lsn() };
        if reused {
            self.violated("timelines", format!("{name} promotes to {}, which another owns", order.timeline));
        }
        Ok(promoted)
    }

    pub(super) fn set_synchronous(&mut self, name: &MemberId, order: &SynchronousOrder) -> Result<(), Error> {
        let data = &mut self.site_mut(name).data;
        if order.term < data.term {
            return Err(refused(ErrorKind::Fenced, "an older term"));
        }
        data.synchronous = order.standbys.clone();
        Ok(())
    }

    /// Whether all that a primary waits for has all that it has.
    pub(super) fn barrier_holds(&self, name: &MemberId) -> bool {
        let (streaming, data) = (self.standbys_of(name), self.data_of(name));
        let has_all = |member: &MemberId| streaming.get(member).is_some_and(|status| status.flushed == data.lsn());
        match &data.synchronous {
            SynchronousStandbys::Nobody => true,
            SynchronousStandbys::AllOf(names) => names.iter().all(has_all),
            SynchronousStandbys::AnyOf { k, names } => {
                names.iter().filter(|member| has_all(member)).count() >= *k as usize
            }
        }
    }
}
