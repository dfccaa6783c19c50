//! The one address that users type.

use odoo_ha_core::error::{ErrorKind, Failure};
use odoo_ha_core::machine::{Answer, Machine};
use odoo_ha_core::member::MemberId;
use odoo_ha_core::term::Term;

use super::World;

impl World {
    /// Attaches the address as its kind does: one that fences refuses an older term, one that moves takes it from whoever has it, any
    /// other is refused while somebody has it.
    pub(super) fn attach(&mut self, name: &MemberId, term: Term) -> Result<Answer, Failure> {
        let facts = self.node(name).config.address.unwrap_or_default();
        if self.node(name).attach_fails {
            return Err(Failure::new(ErrorKind::Unavailable, "the address cannot be attached"));
        }
        if facts.fences_by_term && term < self.address_term {
            return Err(Failure::new(ErrorKind::Fenced, "a newer term has it"));
        }
        let elsewhere = self.nodes.iter().find(|(other, node)| *other != name && node.address);
        if let Some((other, holder)) = elsewhere {
            // One that was frozen past its right holds the socket a moment longer; it believes no more.
            let believes = holder.machine.as_ref().and_then(Machine::leads_until);
            let believes = believes.is_some_and(|until| until > self.moment(other)) && !holder.frozen;
            let taken_by_term = facts.fences_by_term && facts.moves_authoritatively;
            if believes && !taken_by_term && self.clocks_honest() {
                let text = format!("{name} attaches the address while {other} still has it");
                self.violate("address_is_safe", text);
            }
            if !facts.moves_authoritatively {
                return Err(Failure::new(ErrorKind::NotReady, "another has it"));
            }
            for (_, node) in self.nodes.iter_mut().filter(|(other, _)| *other != name) {
                node.address = false;
            }
        }
        self.address_term = self.address_term.max(term);
        let node = self.node_mut(name);
        node.address = true;
        self.address_answer(name)
    }

    pub(super) fn detach(&mut self, name: &MemberId) -> Result<Answer, Failure> {
        if self.node(name).detach_fails {
            return Err(Failure::new(ErrorKind::Unknown, "the address cannot be detached"));
        }
        self.node_mut(name).address = false;
        self.address_answer(name)
    }

    fn address_answer(&self, name: &MemberId) -> Result<Answer, Failure> {
        if self.node(name).address_unanswered {
            return Err(Failure::new(ErrorKind::Unknown, "no answer in time"));
        }
        Ok(Answer::Done)
    }

    /// The address vanishes from where it is; nobody is told.
    pub fn lose_address(&mut self) {
        self.nodes.values_mut().for_each(|node| node.address = false);
    }
}
