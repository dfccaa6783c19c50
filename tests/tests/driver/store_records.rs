//! What stands in a real store's file and cannot be used: refused in the open, acted upon never, and forgotten once it is gone.

use std::path::PathBuf;
use std::sync::Arc;

use odoo_ha_backends::sqlite::{SqliteConfig, SqliteDcs};
use odoo_ha_core::driver::{HaHandle, HaNodeBuilder};
use odoo_ha_core::machine::StateName;
use odoo_ha_core::member::ClusterId;
use odoo_ha_core::store::MAX_VALUE_BYTES;
use rusqlite::{Connection, params};
use tempfile::TempDir;

use super::node::{Member, block_on, until};
use super::world::Store;

/// A store's file, and a hand that writes into it past the library.
struct File {
    _directory: TempDir,
    path: PathBuf,
}

impl File {
    /// Made by the library, and empty.
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let file = Self { path: directory.path().join("store.db"), _directory: directory };
        // The first look makes it.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        use odoo_ha_core::roles::Dcs;
        runtime.block_on(file.client().read(std::time::Duration::from_secs(30))).unwrap();
        file
    }

    fn client(&self) -> SqliteDcs {
        SqliteDcs::new(SqliteConfig::new(&self.path, ClusterId::new("shop").unwrap())).unwrap()
    }

    /// Puts a record there as if another program had: every watch sees it.
    fn put(&self, key: &str, value: &[u8]) {
        let mut connection = self.connection();
        let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate).unwrap();
        transaction.execute("UPDATE store SET revision = revision + 1", []).unwrap();
        transaction
            .execute(
                "INSERT INTO keys (cluster, key, version, value) VALUES ('shop', ?1, (SELECT revision FROM store), ?2)
                 ON CONFLICT (cluster, key) DO UPDATE SET version = excluded.version, value = excluded.value",
                params![key, value],
            )
            .unwrap();
        transaction.commit().unwrap();
    }

    fn remove(&self, key: &str) {
        self.connection().execute("DELETE FROM keys WHERE key = ?1", [key]).unwrap();
    }

    fn get(&self, key: &str) -> Option<Vec<u8>> {
        self.connection().query_row("SELECT value FROM keys WHERE key = ?1", [key], |row| row.get(0)).ok()
    }

    fn connection(&self) -> Connection {
        let connection = Connection::open(&self.path).unwrap();
        connection.busy_timeout(std::time::Duration::from_secs(30)).unwrap();
        connection
    }

    fn builder(&self, member: &Member) -> HaNodeBuilder {
        member.builder().dcs(Arc::new(self.client()))
    }

    fn spawn(&self, member: &Member) -> HaHandle {
        self.builder(member).build().unwrap().spawn().unwrap()
    }
}

fn leader_record(format: u32, cluster: &str) -> Vec<u8> {
    format!(
        r#"{{"header":{{"format":{format},"cluster":"{cluster}","nonce":{{"incarnation":1,"number":1}}}},"new":true}}"#
    )
    .into_bytes()
}

#[track_caller]
fn refuses(handle: &HaHandle, words: &[&str]) {
    until(handle, &format!("it refuses, saying {words:?}"), |status| {
        status.refusal.as_ref().is_some_and(|refusal| words.iter().all(|word| refusal.contains(word)))
    });
    println!("{}", handle.status().refusal.unwrap_or_default());
    assert_ne!(handle.status().state, StateName::Leading);
}

/// A new node meets this record, refuses it, touches nothing, and begins once it is gone and the agent was started again.
fn met_by_a_new_node(key: &str, value: &[u8], words: &[&str]) {
    let (file, member) = (File::new(), Member::new("a", &Store::new()));
    file.put(key, value);
    let handle = file.spawn(&member);
    refuses(&handle, words);
    assert!(!member.database.state().has_data(), "a database was made on the word of a broken store");
    assert!(!*member.address.here.lock().unwrap());
    assert_eq!(file.get(key).as_deref(), Some(value), "it is left for a person to look at");
    handle.kill();
    block_on(handle.ended());
    file.remove(key);
    let handle = file.spawn(&member);
    until(&handle, "it begins", |status| status.state == StateName::Leading && status.refusal.is_none());
    block_on(handle.shutdown(true)).unwrap();
}

#[test]
fn garbage_is_refused_and_not_taken_for_vacant() {
    met_by_a_new_node("leader", b"\0\xff not json", &["record leader of cluster shop cannot be understood", "restore"]);
}

#[test]
fn a_record_of_a_newer_version_is_refused_politely() {
    met_by_a_new_node("leader", &leader_record(99, "shop"), &["format 99", "newer version", "upgrade this node"]);
}

#[test]
fn a_record_of_another_cluster_is_refused() {
    met_by_a_new_node("leader", &leader_record(1, "other"), &["belongs to cluster", "other", "each its own"]);
}

#[test]
fn a_value_beyond_all_limits_is_refused() {
    met_by_a_new_node("leader", &vec![b' '; MAX_VALUE_BYTES + 1], &["bytes", "restore"]);
}

#[test]
fn a_key_of_another_program_is_refused() {
    met_by_a_new_node("what is this?", b"1", &["not one of this library's", "prefix"]);
}

#[test]
fn a_store_of_a_newer_schema_is_refused_politely() {
    let (file, member) = (File::new(), Member::new("a", &Store::new()));
    file.connection().pragma_update(None, "user_version", 2).unwrap();
    let handle = file.spawn(&member);
    refuses(&handle, &["written by a newer version", "update this node's agent"]);
    assert!(!member.database.state().has_data());
    handle.kill();
}

#[test]
fn a_leader_whose_record_is_overwritten_steps_down_and_nobody_takes_over() {
    for (value, words) in
        [(b"garbage".to_vec(), "cannot be understood"), (leader_record(2, "shop"), "newer version of odoo-ha")]
    {
        let (file, store) = (File::new(), Store::new());
        let (one, two) = (Member::new("a", &store), Member::new("b", &store));
        let leader = one.spawn_leader(file.builder(&one));
        let standby = file.spawn(&two);
        until(&standby, "it follows", |status| status.state == StateName::Following);
        file.put("leader", &value);
        refuses(&standby, &[words]);
        until(&leader, "it steps down", |status| status.state != StateName::Leading && !status.address_here);
        refuses(&leader, &[words]);
        assert!(!*one.address.here.lock().unwrap() && !*two.address.here.lock().unwrap());
        assert_eq!(file.get("leader").as_deref(), Some(&value[..]), "it is left for a person to look at");
        leader.kill();
        standby.kill();
    }
}
