//! What else a leader alone may have: services that serve users, and the side of the filestore that users write to.

use std::time::Duration;

use odoo_ha_core::error::{ErrorKind, Failure};
use odoo_ha_core::machine::{Action, Answer, Order};
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
    /// Changing it takes so much longer.
    pub slow: Duration,
    /// Changing it happens, but nobody hears of it.
    pub unanswered: bool,
}

impl World {
    /// What runs beside the agent ends: its watchdog, or whoever switches the machine off, sees to it.
    pub(super) fn stop_services_and_files(&mut self, name: &MemberId) {
        let node = self.node_mut(name);
        node.services.running = None;
        node.filestore.role = FilesRole::Rest;
    }
}

impl Services {
    pub(super) fn mend(&mut self) {
        *self = Self { running: self.running, newest: self.newest, ..Self::default() };
    }
}

impl Filestore {
    pub(super) fn mend(&mut self) {
        (self.fails, self.slow, self.unanswered) = (false, Duration::ZERO, false);
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
                node.filestore.unanswered
            }
            _ => {
                node.filestore.role = FilesRole::Rest;
                node.filestore.unanswered
            }
        };
        if unanswered { failed(ErrorKind::Unknown, "no answer in time") } else { Ok(Answer::Done) }
    }
}
