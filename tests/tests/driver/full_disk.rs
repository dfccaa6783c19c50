//! The disk with the memo or the store is full: said so; what was acknowledged stays, and all goes on when there is room.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use odoo_ha_backends::sqlite::{SqliteConfig, SqliteDcs};
use odoo_ha_core::driver::Streamed;
use odoo_ha_core::error::ErrorKind;
use odoo_ha_core::event::EventKind;
use odoo_ha_core::machine::StateName;
use odoo_ha_core::member::{ClusterId, MemberId};
use odoo_ha_core::roles::Dcs;
use odoo_ha_core::store::{Commit, Key};
use odoo_ha_tests::small_disk::on_small_disk;

use super::node::{Member, block_on, renewals_go_on, until};
use super::world::Store;

/// Generous: nothing here is a matter of speed.
const TIME: Duration = Duration::from_secs(30);

fn store_at(path: &std::path::Path) -> SqliteDcs {
    SqliteDcs::new(SqliteConfig::new(path.join("store.db"), ClusterId::new("shop").unwrap())).unwrap()
}

fn write(key: &Key, value: Vec<u8>) -> Commit {
    Commit { guards: Vec::new(), writes: BTreeMap::from([(key.clone(), value)]) }
}

fn run<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

#[test]
fn a_store_on_a_full_disk_loses_nothing_that_was_acknowledged() {
    on_small_disk("full_disk::a_store_on_a_full_disk_loses_nothing_that_was_acknowledged", 1024, |disk| {
        run(async {
            let store = store_at(disk.path());
            let mut acknowledged = BTreeMap::new();
            // Values that grow until the disk ends in the midst of one.
            let refused = loop {
                let key = Key::member(&MemberId::new(format!("m{}", acknowledged.len())).unwrap());
                let value = vec![b'a'; 20_000];
                match store.commit(&write(&key, value.clone()), TIME).await {
                    Ok(_) => acknowledged.insert(key, value),
                    Err(error) => break error,
                };
            };
            println!("after {} commits: {}", acknowledged.len(), refused.chain());
            assert!(!acknowledged.is_empty());
            assert!(
                refused.kind().certainly_did_not_happen() || refused.kind() == ErrorKind::Unknown,
                "{}",
                refused.chain()
            );
            assert!(refused.chain().contains("room"), "{}", refused.chain());
            disk.fill();
            for store in [store, store_at(disk.path())] {
                let shown = store.read(TIME).await.unwrap();
                let shown: BTreeMap<_, _> = shown.entries.into_iter().map(|(key, entry)| (key, entry.value)).collect();
                for (key, value) in &acknowledged {
                    assert_eq!(shown.get(key), Some(value), "{key}");
                }
                store.commit(&write(&Key::leader(), vec![b'b'; 20_000]), TIME).await.unwrap_err();
            }
            disk.make_room();
            disk.resize(8);
            let store = store_at(disk.path());
            store.commit(&write(&Key::leader(), b"c".to_vec()), TIME).await.unwrap();
            let shown = store.read(TIME).await.unwrap();
            assert_eq!(shown.entries[&Key::leader()].value, b"c");
            assert!(acknowledged.iter().all(|(key, value)| shown.entries[key].value == *value));
        });
    });
}

#[test]
fn a_store_that_has_no_room_to_begin_says_so() {
    on_small_disk("full_disk::a_store_that_has_no_room_to_begin_says_so", 1024, |disk| {
        disk.fill();
        let member = Member::new("a", &Store::new());
        let store = store_at(disk.path());
        let refused = run(store.read(TIME)).unwrap_err();
        println!("{}", refused.chain());
        assert!(refused.kind().certainly_did_not_happen(), "{}", refused.chain());
        assert!(refused.chain().contains("full") && refused.chain().contains("make room"), "{}", refused.chain());
        let handle = member.builder().dcs(Arc::new(store)).build().unwrap().spawn().unwrap();
        disk.make_room();
        until(&handle, "it begins", |status| status.state == StateName::Leading);
        block_on(handle.shutdown(true)).unwrap();
    });
}

#[test]
fn a_memo_that_has_no_room_is_reported_and_written_when_there_is() {
    on_small_disk("full_disk::a_memo_that_has_no_room_is_reported_and_written_when_there_is", 1024, |disk| {
        let store = Store::new();
        let member = Member::new("a", &store);
        let memo = disk.path().join("state/memo.json");
        let handle = member.spawn_leader(member.builder().state_dir(disk.path().join("state")));
        until(&handle, "the memo is there", |_| memo.exists());
        let mut events = handle.events();
        disk.fill();
        let before = std::fs::read(&memo).unwrap();
        loop {
            let Some(Streamed::Event(event)) = block_on(events.next()) else { continue };
            if let EventKind::Trouble { .. } = &event.kind
                && event.sentence.contains("cannot be written beside the data")
            {
                println!("{}", event.sentence);
                assert!(
                    event.sentence.contains("memo.json") && event.sentence.contains("free space"),
                    "{}",
                    event.sentence
                );
                break;
            }
        }
        // The old memo is whole, and a full disk is no reason to stop serving.
        assert_eq!(std::fs::read(&memo).unwrap(), before);
        renewals_go_on(&handle, &store, 20);
        disk.make_room();
        until(&handle, "it is written again", |_| std::fs::read(&memo).unwrap() != before);
        block_on(handle.shutdown(true)).unwrap();
    });
}

#[test]
fn a_state_directory_that_has_no_room_is_reported() {
    on_small_disk("full_disk::a_state_directory_that_has_no_room_is_reported", 64, |disk| {
        disk.fill();
        let member = Member::new("a", &Store::new());
        let node = member.builder().state_dir(disk.path().join("state")).build().unwrap();
        match node.spawn() {
            // Names alone take no room here; what is to be remembered does.
            Ok(handle) => {
                let mut events = handle.events();
                let reported = |event: &odoo_ha_core::event::Event| event.sentence.contains("cannot be written beside");
                while !matches!(block_on(events.next()), Some(Streamed::Event(event)) if reported(&event)) {}
                disk.make_room();
                until(&handle, "it leads", |status| status.state == StateName::Leading);
                handle.kill();
            }
            Err(error) => assert_eq!(error.kind(), ErrorKind::Disk, "{}", error.chain()),
        }
    });
}
