//! What goes over the wire: Consul's JSON, and what it means.
//!
//! Key/value pairs: <https://developer.hashicorp.com/consul/api-docs/kv>, transactions:
//! <https://developer.hashicorp.com/consul/api-docs/txn>. Everything that comes back is taken for hostile until it has been looked at.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use odoo_ha_core::error::{Error, ErrorKind};
use odoo_ha_core::store::{Commit, Committed, Entry, Guard, Key, MAX_VALUE_BYTES, Version};
use serde::{Deserialize, Serialize};

/// Most operations that Consul 1.8 takes in one transaction; newer ones take 128.
pub(super) const MOST_OPERATIONS: usize = 64;

/// Longest body of a transaction that Consul takes unless it is configured otherwise (`limits.txn_max_req_len`), in bytes.
/// Values count by their base64, 4/3 of their bytes.
pub(super) const MOST_BYTES: usize = 512 * 1024;

/// A key as the store has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pair {
    pub(super) key: Key,
    pub(super) entry: Entry,
    /// The index at which the key appeared.
    pub(super) created: u64,
    /// The stamp of the commit that wrote it.
    pub(super) stamp: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RawPair {
    key: String,
    #[serde(default)]
    value: Option<String>,
    #[serde(default)]
    flags: u64,
    create_index: u64,
    modify_index: u64,
}

/// One operation of a transaction.
#[derive(Default, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Operation<'a> {
    verb: &'a str,
    key: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    index: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    flags: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    namespace: Option<&'a str>,
}

/// `{"KV": …}`
#[derive(Serialize, Deserialize)]
struct Kv<T> {
    #[serde(rename = "KV")]
    kv: T,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RawResults {
    results: Option<Vec<Kv<RawPair>>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RawErrors {
    errors: Option<Vec<RawFailure>>,
}

/// Why a transaction did not happen.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct RawFailure {
    /// Which operation failed.
    pub(super) op_index: usize,
    /// Consul's own words.
    pub(super) what: String,
}

/// Where keys are: what they begin with, and the namespace.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) prefix: String,
    pub(super) namespace: Option<String>,
}

impl Place {
    fn operation<'a>(&'a self, verb: &'a str, key: &str) -> Operation<'a> {
        let key = format!("{}{key}", self.prefix);
        Operation { verb, key, namespace: self.namespace.as_deref(), ..Operation::default() }
    }

    /// A commit: all guards first, as Consul goes through the operations one by one, then all writes.
    ///
    /// Each written key carries `stamp` in its flags. Consul leaves a key untouched, its version included, when bytes and flags
    /// are as before; so a write of equal bytes gets a version of its own, too. And a commit whose answer was lost can be
    /// told by its stamp.
    pub(super) fn commit(&self, commit: &Commit, stamp: u64) -> Result<Vec<u8>, Error> {
        let too_much = |what: String| {
            Error::new(ErrorKind::Unavailable, what)
                .hint("nothing was written; the library's own records are far smaller")
        };
        let count = commit.guards.len() + commit.writes.len();
        if count > MOST_OPERATIONS {
            return Err(too_much(format!(
                "a commit with {count} guards and writes is more than the {MOST_OPERATIONS} that Consul takes at once"
            )));
        }
        let mut operations = Vec::with_capacity(count);
        for guard in &commit.guards {
            operations.push(match guard {
                Guard::Absent(key) => self.operation("check-not-exists", key.as_str()),
                Guard::Version(key, version) => {
                    Operation { index: Some(version.0), ..self.operation("check-index", key.as_str()) }
                }
            });
        }
        for (key, value) in &commit.writes {
            if value.len() > MAX_VALUE_BYTES {
                return Err(too_much(format!(
                    "the value of {key} has {} bytes, more than the {MAX_VALUE_BYTES} of a record",
                    value.len()
                )));
            }
            operations.push(Operation {
                flags: Some(stamp),
                value: Some(STANDARD.encode(value)),
                ..self.operation("set", key.as_str())
            });
        }
        let body = serialize(operations)?;
        if body.len() > MOST_BYTES {
            return Err(too_much(format!(
                "a commit of {} bytes is more than the {MOST_BYTES} that Consul takes at once",
                body.len()
            )));
        }
        Ok(body)
    }

    /// A transaction that succeeds only if none of these keys exists and the token may write them.
    pub(super) fn absence<'a>(&self, keys: impl IntoIterator<Item = &'a Key>) -> Result<Vec<u8>, Error> {
        serialize(keys.into_iter().map(|key| self.operation("check-not-exists", key.as_str())).collect())
    }

    /// The pairs of a listing.
    pub(super) fn pairs(&self, body: &[u8]) -> Result<Vec<Pair>, Error> {
        let raw: Vec<RawPair> = parse(body)?;
        raw.into_iter().filter_map(|raw| self.pair(raw).transpose()).collect()
    }

    /// The pairs in a transaction's results.
    pub(super) fn results(&self, body: &[u8]) -> Result<Vec<Pair>, Error> {
        let raw: RawResults = parse(body)?;
        raw.results.unwrap_or_default().into_iter().filter_map(|raw| self.pair(raw.kv).transpose()).collect()
    }

    /// What a commit that happened has made of the keys that it wrote.
    pub(super) fn committed(&self, commit: &Commit, body: &[u8]) -> Result<Committed, Error> {
        // Operations are answered in their order: of a key that is guarded and written, the later version is the new one.
        let found: BTreeMap<Key, Version> =
            self.results(body)?.into_iter().map(|pair| (pair.key, pair.entry.version)).collect();
        let mut versions = BTreeMap::new();
        for key in commit.writes.keys() {
            let version =
                *found.get(key).ok_or_else(|| malformed("the store's answer to a commit leaves out a key"))?;
            versions.insert(key.clone(), version);
        }
        Ok(Committed { versions })
    }

    /// `None` for what only looks like a key: the empty "folders" that Consul's own user interface makes.
    fn pair(&self, raw: RawPair) -> Result<Option<Pair>, Error> {
        let key =
            raw.key.strip_prefix(&self.prefix).ok_or_else(|| malformed("the store gave keys of somebody else"))?;
        let value = raw.value.unwrap_or_default();
        if (key.is_empty() || key.ends_with('/')) && value.is_empty() {
            return Ok(None);
        }
        let key = Key::parse(key)?;
        if value.len() / 4 * 3 > MAX_VALUE_BYTES + 2 {
            return Err(malformed(format!("the value of {key} in the store has more than {MAX_VALUE_BYTES} bytes"))
                .hint(
                    "nothing of this library writes so much; give the cluster a prefix that nothing else writes to",
                ));
        }
        let value = STANDARD
            .decode(value)
            .map_err(|error| malformed(format!("the value of {key} came as no base64")).caused_by(error))?;
        if raw.modify_index == 0 {
            return Err(malformed(format!("{key} came without a version")));
        }
        let entry = Entry { version: Version(raw.modify_index), value };
        Ok(Some(Pair { key, entry, created: raw.create_index, stamp: raw.flags }))
    }
}

/// Why a transaction failed, as it was answered.
pub(super) fn failures(body: &[u8]) -> Result<Vec<RawFailure>, Error> {
    let raw: RawErrors = parse(body)?;
    Ok(raw.errors.unwrap_or_default())
}

fn serialize(operations: Vec<Operation<'_>>) -> Result<Vec<u8>, Error> {
    let operations: Vec<_> = operations.into_iter().map(|kv| Kv { kv }).collect();
    // Strings and numbers only; so it cannot fail, but must not panic.
    serde_json::to_vec(&operations)
        .map_err(|error| Error::new(ErrorKind::Unavailable, "a commit cannot be written as JSON").caused_by(error))
}

fn parse<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, Error> {
    serde_json::from_slice(body).map_err(|error| malformed("the store's answer cannot be understood").caused_by(error))
}

pub(super) fn malformed(what: impl Into<String>) -> Error {
    Error::new(ErrorKind::Malformed, what)
        .hint("look at what answers at the store's endpoints, and at the cluster's keys")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place() -> Place {
        Place { prefix: "odoo-ha/shop/".into(), namespace: None }
    }

    #[test]
    fn a_commit_checks_first_and_writes_then() {
        let commit = Commit {
            guards: vec![Guard::Version(Key::leader(), Version(7)), Guard::Absent(Key::sync())],
            writes: BTreeMap::from([(Key::leader(), b"new".to_vec())]),
        };
        let body = place().commit(&commit, 42).unwrap();
        assert_eq!(
            String::from_utf8(body).unwrap(),
            r#"[{"KV":{"Verb":"check-index","Key":"odoo-ha/shop/leader","Index":7}},"#.to_owned()
                + r#"{"KV":{"Verb":"check-not-exists","Key":"odoo-ha/shop/sync"}},"#
                + r#"{"KV":{"Verb":"set","Key":"odoo-ha/shop/leader","Flags":42,"Value":"bmV3"}}]"#
        );
        let there = Place { namespace: Some("team".into()), ..place() };
        let body = String::from_utf8(there.commit(&commit, 42).unwrap()).unwrap();
        assert_eq!(body.matches(r#""Namespace":"team""#).count(), 3);
    }

    #[test]
    fn hostile_listings_are_malformed() {
        let pair = |key: &str, value: &str| {
            format!(r#"[{{"Key":{key},"Value":{value},"Flags":0,"CreateIndex":1,"ModifyIndex":2}}]"#)
        };
        let fine = pair(r#""odoo-ha/shop/leader""#, r#""YQ==""#);
        assert_eq!(place().pairs(fine.as_bytes()).unwrap()[0].entry.value, b"a");
        let huge = format!("\"{}\"", "A".repeat(MAX_VALUE_BYTES * 2));
        let hostile = [
            String::new(),
            "null".into(),
            "{}".into(),
            "<html>".into(),
            "[1]".into(),
            "[".repeat(100_000),
            "\u{0}\u{ff}".into(),
            fine.replace("[{", "[[{"),
            fine.replace(r#""ModifyIndex":2"#, r#""ModifyIndex":"2""#),
            fine.replace(r#""ModifyIndex":2"#, r#""ModifyIndex":-2"#),
            fine.replace(r#""ModifyIndex":2"#, r#""ModifyIndex":0"#),
            fine.replace(r#""ModifyIndex":2"#, r#""ModifyIndex":99999999999999999999"#),
            fine.replace(r#","ModifyIndex":2"#, ""),
            pair("7", r#""YQ==""#),
            pair(r#""odoo-ha/other/leader""#, r#""YQ==""#),
            pair(r#""odoo-ha/shop/no key""#, r#""YQ==""#),
            pair(r#""odoo-ha/shop/folder/""#, r#""YQ==""#),
            pair(r#""odoo-ha/shop/leader""#, r#""YQ""#),
            pair(r#""odoo-ha/shop/leader""#, r#""not base64!""#),
            pair(r#""odoo-ha/shop/leader""#, "7"),
            pair(r#""odoo-ha/shop/leader""#, &huge),
        ];
        for body in hostile {
            let kind = place().pairs(body.as_bytes()).map_err(|error| error.kind());
            assert_eq!(kind, Err(ErrorKind::Malformed), "{body:.80}");
        }
    }

    #[test]
    fn folders_of_the_user_interface_are_no_keys() {
        let body = br#"[{"Key":"odoo-ha/shop/","Value":null,"CreateIndex":1,"ModifyIndex":1},
            {"Key":"odoo-ha/shop/votes/","Value":"","CreateIndex":1,"ModifyIndex":1}]"#;
        assert_eq!(place().pairs(body).unwrap(), []);
    }
}
