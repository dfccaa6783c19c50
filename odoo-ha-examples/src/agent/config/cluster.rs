//! `[cluster]`: who this node is, and how its cluster begins.

use std::path::PathBuf;

use odoo_ha_core::machine::Bootstrap;
use odoo_ha_core::member::{ClusterId, MemberId, Tags};
use serde::{Deserialize, Serialize};

/// Who this node is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClusterSection {
    /// The cluster's name, the same on all nodes.
    pub name: ClusterId,
    /// This node's name, another one on each.
    pub member: MemberId,
    /// Those that must have said that they hold no data before a new database is made.
    #[serde(default)]
    pub founders: Vec<MemberId>,
    /// How a cluster that does not exist yet begins.
    #[serde(default)]
    pub bootstrap: Beginning,
    /// Where the agent keeps its memory, on a local disk.
    pub state_dir: PathBuf,
    /// Never leads.
    #[serde(default)]
    pub nofailover: bool,
    /// Is never waited for by commits.
    #[serde(default)]
    pub nosync: bool,
    /// Of those with equal data, who is higher leads.
    #[serde(default)]
    pub failover_priority: i32,
    /// Streams from this member as long as that is a standby that streams itself.
    pub replicate_from: Option<MemberId>,
}

impl ClusterSection {
    pub(crate) fn tags(&self) -> Tags {
        let mut tags = Tags::default();
        (tags.nofailover, tags.nosync) = (self.nofailover, self.nosync);
        tags.failover_priority = self.failover_priority;
        tags.replicate_from.clone_from(&self.replicate_from);
        tags
    }
}

/// How a cluster begins, as the file says it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Beginning {
    /// With a new, empty database.
    #[default]
    Create,
    /// With the data that this node has.
    Adopt,
    /// Another node begins it.
    Never,
}

impl From<Beginning> for Bootstrap {
    fn from(beginning: Beginning) -> Self {
        match beginning {
            Beginning::Create => Self::Create,
            Beginning::Adopt => Self::Adopt,
            Beginning::Never => Self::Never,
        }
    }
}
