//! The keys of a policy, as operators change them one by one: over HTTP, and with `odoo-hactl`.

use odoo_ha_core::policy::Policy;
use serde_json::{Map, Value};

/// The policy with these keys changed; a sentence when one of them is none, or its value.
pub(crate) fn changed(policy: Policy, changes: &Map<String, Value>) -> Result<Policy, String> {
    let Ok(Value::Object(mut keys)) = serde_json::to_value(policy) else {
        return Err("the policy is no object".into());
    };
    for (key, value) in changes {
        let known: Vec<_> = keys.keys().cloned().collect();
        match keys.get_mut(key) {
            Some(place) => *place = value.clone(),
            None => return Err(format!("the policy has no such key; it has {}", known.join(", "))),
        }
    }
    let policy: Policy =
        serde_json::from_value(Value::Object(keys)).map_err(|error| format!("the policy cannot be so: {error}"))?;
    policy.check().map_err(|error| error.to_string())?;
    Ok(policy)
}
