//! What an operator asks for.

use std::time::Duration;

use odoo_ha_core::driver::{HaHandle, change_policy};
use odoo_ha_core::error::{Error, ErrorKind};
use odoo_ha_core::member::MemberId;
use odoo_ha_core::policy::Policy;
use odoo_ha_core::roles::Dcs;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::routes::Reply;
use crate::agent::policy_keys::changed;

/// How long each call of the store may take.
const STORE_PATIENCE: Duration = Duration::from_secs(5);

/// A wish, as the driver knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    Switchover {
        target: Option<MemberId>,
    },
    Failover {
        target: MemberId,
        accept_data_loss: bool,
    },
    Pause,
    Resume,
    Reinitialize,
    Recover,
    /// These keys of the policy, for the whole cluster.
    Policy(Map<String, Value>),
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Switchover {
    target: Option<MemberId>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Failover {
    target: MemberId,
    #[serde(default)]
    accept_data_loss: bool,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

impl Wish {
    /// What this path and body ask for; `None` when the path is none of a wish.
    pub(super) fn read(path: &str, body: &[u8]) -> Option<Result<Self, String>> {
        let nothing = |wish| optional::<Nothing>(body).map(|_| wish);
        Some(match path {
            "/switchover" => optional::<Switchover>(body).map(|asked| Self::Switchover { target: asked.target }),
            "/failover" => strict::<Failover>(body)
                .map(|asked| Self::Failover { target: asked.target, accept_data_loss: asked.accept_data_loss }),
            "/pause" => nothing(Self::Pause),
            "/resume" => nothing(Self::Resume),
            "/reinitialize" => nothing(Self::Reinitialize),
            "/recover" => nothing(Self::Recover),
            "/config" => strict::<Map<String, Value>>(body).and_then(|changes| {
                changed(Policy::default(), &changes)?;
                Ok(Self::Policy(changes))
            }),
            _ => return None,
        })
    }

    /// Asks for it and waits for its outcome.
    pub(super) async fn make(self, node: &HaHandle, store: &dyn Dcs) -> Reply {
        let result = match self {
            Self::Switchover { target } => node.switchover(target).await,
            Self::Failover { target, accept_data_loss } => node.failover(target, accept_data_loss).await,
            Self::Pause => node.pause().await,
            Self::Resume => node.resume().await,
            Self::Reinitialize if node.status().leader == Some(node.status().member) => {
                Err(Error::new(ErrorKind::NotReady, "a leader's data cannot be replaced").hint("switch over first"))
            }
            Self::Reinitialize => node.reinit().await,
            Self::Recover => node.recover().await,
            Self::Policy(changes) => change(node, store, &changes).await,
        };
        match result {
            Ok(()) => Reply::json(200, &json!({ "done": true })),
            Err(error) => Reply::error(status_of(&error), &error.chain()),
        }
    }
}

/// Changes these keys, and leaves the others as they are in the store, or, where nothing is there yet, as they are in force here.
async fn change(node: &HaHandle, store: &dyn Dcs, changes: &Map<String, Value>) -> Result<(), Error> {
    let status = node.status();
    let by = format!("the HTTP interface of {}", status.member);
    let change = |present: Option<Policy>| {
        changed(present.unwrap_or(status.policy), changes).map_err(|why| Error::new(ErrorKind::Misconfigured, why))
    };
    change_policy(store, &status.cluster, &by, change, STORE_PATIENCE).await.map(|_| ())
}

fn status_of(error: &Error) -> u16 {
    match error.kind() {
        ErrorKind::NotReady | ErrorKind::Conflict => 409,
        ErrorKind::Misconfigured => 400,
        // It may still happen.
        ErrorKind::Unknown => 504,
        _ => 503,
    }
}

fn strict<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, String> {
    serde_json::from_slice(body).map_err(|error| format!("the body is not what this asks for: {error}"))
}

/// As [`strict`]; no body is an empty object.
fn optional<'a, T: Deserialize<'a> + Default>(body: &'a [u8]) -> Result<T, String> {
    if body.is_empty() { Ok(T::default()) } else { strict(body) }
}
