//! The cluster's policy: shown, and changed key by key.

use odoo_ha_core::driver::{change_policy, read_policy};
use odoo_ha_core::error::{Error, ErrorKind};
use odoo_ha_core::member::ClusterId;
use odoo_ha_core::policy::Policy;
use odoo_ha_core::roles::Dcs;
use serde_json::{Map, Value};

use super::STORE_TIMEOUT;
use crate::agent::policy_keys::changed;

/// Shows it, after these changes if there are any; each is `KEY=VALUE`. `own` is what the node's file says, which is changed where nothing stands in
/// the store yet. Dropping the call may have changed it.
///
/// # Errors
///
/// `Misconfigured` for a key or a value that there is not; what the store says when it cannot be read or written.
pub(super) async fn policy(
    store: &dyn Dcs,
    cluster: &ClusterId,
    changes: &[String],
    own: Policy,
) -> Result<String, Error> {
    if changes.is_empty() {
        return Ok(match read_policy(store, cluster, STORE_TIMEOUT).await? {
            Some(record) => format!("{}# by {}\n", render(&record.policy), record.by.escape_debug()),
            None => "none stands in the store yet: every member goes by its own file\n".to_owned(),
        });
    }
    let changes = changes.iter().map(|change| pair(change)).collect::<Result<Map<String, Value>, Error>>()?;
    let change = |present: Option<Policy>| changed(present.unwrap_or(own), &changes).map_err(|why| misconfigured(&why));
    let record = change_policy(store, cluster, "odoo-hactl", change, STORE_TIMEOUT).await?;
    Ok(render(&record.policy))
}

/// `quorum=1`, `quorum=null`, `sync_mode=strict`: a value of JSON, or else a word.
fn pair(change: &str) -> Result<(String, Value), Error> {
    let Some((key, value)) = change.split_once('=') else {
        return Err(misconfigured(&format!("{change:?} is not KEY=VALUE")));
    };
    let value = serde_json::from_str(value).unwrap_or_else(|_| Value::String(value.to_owned()));
    Ok((key.to_owned(), value))
}

fn misconfigured(why: &str) -> Error {
    Error::new(ErrorKind::Misconfigured, why.to_owned())
        .hint("docs/reference/configuration.md, [policy], has every key")
}

fn render(policy: &Policy) -> String {
    let Ok(Value::Object(keys)) = serde_json::to_value(policy) else { return String::new() };
    keys.iter()
        .map(|(key, value)| format!("{key}={}\n", value.as_str().map_or_else(|| value.to_string(), str::to_owned)))
        .collect()
}
