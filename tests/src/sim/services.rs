//! What else a leader alone may have: services that serve users, and the side of the filestore that users write to.

use std::time::Duration;

use odoo_ha_core::error::{ErrorKind, Failure};
use odoo_ha_core::machine::{Action, Answer, CallId, Order};
use odoo_ha_core::member::MemberId;
use odoo_ha_core::term::Term;

use super::{Node, World};

/// What serves users on one node. It lives on when the agent dies.
#[derive(Clone, Debug, Default)]
pub struct Services {
    /// The reign under which they run; `None` while none does.
    pub running: Option<Term>,
    /// The newest reign that started them.
    pub newest: Term,
    /// They do not start.
    pub start_fails: bool,
    /// They do not stop.
    pub stop_fails: bool,
    /// Starting and stopping do not end.
    pub hangs: bool,
    /// A stop was asked for while it could not be done in time, and they have not stopped since.
    pub unstoppable: bool,
    /// What hangs.
    pub(super) hanging: Option<CallId>,
    /// A start that hung until a stop was asked for: it never happens.
    pub(super) called_off: Option<CallId>,
    /// Starting and stopping take so much longer.
    pub slow: Duration,
    /// Starting and stopping happen, but nobody hears of it.
    pub unanswered: bool,
}

/// What the files are for on one node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum FilesRole {
    /// Nothing.
    #[default]
    Rest,
    /// Users write to them.
    Lead(Term),
    /// They are a copy.
    Follow(Term, MemberId),
}

/// Odoo's files on one node.
#[derive(Clone, Debug, Default)]
pub struct Filestore {
    /// What they are for.
    pub role: FilesRole,
    /// The newest reign that it heard of.
    pub newest: Term,
    /// Their role cannot be changed.
    pub fails: bool,
    /// Changing it does not end.
    pub hangs: bool,
    /// Another role was asked for while it could not be had in time, and they have not had another since.
    pub stuck: bool,
    /// What hangs.
    pub(super) hanging: Option<CallId>,
    /// Changing it takes so much longer.
    pub slow: Duration,
    /// Changing it happens, but nobody hears of it.
    pub unanswered: bool,
}

impl World {
    /// What runs beside the agent ends: its watchdog, or whoever switches the machine off, sees to it.
    pub(super) fn stop_services_and_files(&mut self, name: &MemberId) {
        let node = self.node_mut(name);
        (node.services.running, node.services.unstoppable) = (None, false);
        (node.filestore.role, node.filestore.stuck) = (FilesRole::Rest, false);
    }
}

impl Services {
    pub(super) fn mend(&mut self) {
        (self.start_fails, self.stop_fails, self.hangs) = (false, false, false);
        (self.slow, self.unanswered) = (Duration::ZERO, false);
    }
}

impl Filestore {
    pub(super) fn mend(&mut self) {
        (self.fails, self.hangs) = (false, false);
        (self.slow, self.unanswered) = (Duration::ZERO, false);
    }
}

impl Node {
    /// How much longer this takes than usual.
    pub(super) fn service_takes(&self, action: &Action) -> Duration {
        match action.order {
            Order::StartServices { .. } | Order::StopServices => self.services.slow,
            Order::LeadFilestore { .. } | Order::FollowFilestore { .. } | Order::RestFilestore => self.filestore.slow,
            _ => Duration::ZERO,
        }
    }
}

impl World {
    /// Whether an order to services or files has begun, and hangs until it is mended.
    pub(super) fn service_hangs(&mut self, name: &MemberId, action: &Action) -> bool {
        let node = self.node_mut(name);
        let (hangs, hanging) = match action.order {
            Order::StartServices { .. } | Order::StopServices => (node.services.hangs, &mut node.services.hanging),
            Order::LeadFilestore { .. } | Order::FollowFilestore { .. } | Order::RestFilestore => {
                (node.filestore.hangs, &mut node.filestore.hanging)
            }
            _ => return false,
        };
        if hangs {
            *hanging = Some(action.id);
        }
        hangs
    }

    /// Whether it hung before.
    pub(super) fn service_hung(&self, name: &MemberId, action: &Action) -> bool {
        let node = self.node(name);
        node.services.hanging == Some(action.id) || node.filestore.hanging == Some(action.id)
    }

    /// An order to services or files is under way: a leader whose services cannot be stopped in time is not judged by them.
    pub(super) fn service_begins(&mut self, name: &MemberId, order: &Order) {
        let node = self.node_mut(name);
        match order {
            Order::StopServices => {
                let services = &mut node.services;
                services.unstoppable |= services.stop_fails || services.hangs || services.slow > Duration::ZERO;
                services.called_off = services.hanging.take();
            }
            // One that leads late, or may, is told to rest only a while after leadership went: nobody waits for it.
            Order::LeadFilestore { .. } | Order::FollowFilestore { .. } | Order::RestFilestore => {
                let files = &mut node.filestore;
                files.stuck |= files.fails || files.hangs || files.unanswered || files.slow > Duration::ZERO;
            }
            _ => {}
        }
    }

    /// Services run on the leader and nowhere else, and so do users write to its files only.
    pub fn faces_follow(&self) -> bool {
        let Some(leader) = self.leader() else { return false };
        self.nodes.iter().filter(|(_, node)| !node.gone).all(|(name, node)| {
            let leads = *name == leader;
            (!node.config.services || node.services.running.is_some() == leads)
                && (!node.config.filestore || matches!(node.filestore.role, FilesRole::Lead(_)) == leads)
        })
    }

    /// Does what is wanted of services and files.
    pub(super) fn service_order(&mut self, name: &MemberId, order: &Order) -> Result<Answer, Failure> {
        let failed = |kind, text: &str| Err(Failure::new(kind, text));
        let node = self.node_mut(name);
        let unanswered = match order {
            Order::StartServices { term } => {
                if *term < node.services.newest {
                    return failed(ErrorKind::Fenced, "an older term");
                }
                if node.services.start_fails {
                    return failed(ErrorKind::Unknown, "the services do not start");
                }
                (node.services.running, node.services.newest) = (Some(*term), *term);
                node.services.unanswered
            }
            Order::StopServices => {
                if node.services.stop_fails {
                    return failed(ErrorKind::Unknown, "the services do not stop");
                }
                node.services.running = None;
                node.services.unstoppable = false;
                node.services.unanswered
            }
            Order::LeadFilestore { term } | Order::FollowFilestore { term, .. } if *term < node.filestore.newest => {
                return failed(ErrorKind::Fenced, "an older term");
            }
            _ if node.filestore.fails => return failed(ErrorKind::Unknown, "the files keep their role"),
            Order::LeadFilestore { term } => {
                (node.filestore.role, node.filestore.newest) = (FilesRole::Lead(*term), *term);
                node.filestore.unanswered
            }
            Order::FollowFilestore { term, leader, .. } => {
                (node.filestore.role, node.filestore.newest) = (FilesRole::Follow(*term, leader.clone()), *term);
                node.filestore.stuck = false;
                node.filestore.unanswered
            }
            _ => {
                node.filestore.role = FilesRole::Rest;
                node.filestore.stuck = false;
                node.filestore.unanswered
            }
        };
        if unanswered { failed(ErrorKind::Unknown, "no answer in time") } else { Ok(Answer::Done) }
    }
}
