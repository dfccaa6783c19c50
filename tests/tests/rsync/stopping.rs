//! A pull that ends, and a leader that changes.

use std::net::IpAddr;
use std::time::Duration;

use odoo_ha_backends::rsync::{INCOMING, RsyncFilestore};
use odoo_ha_core::error::ErrorKind;
use odoo_ha_core::roles::FilestoreSync;
use odoo_ha_core::term::Term;
use odoo_ha_tests::stores::{eventually, free_port};

use super::support::{ABC, ABD, Host, PATIENCE, complete, follow, pair};

/// So slow that a file of some megabytes is still coming when the test has ended.
const SLOW: &[&str] = &["--bwlimit=200"];

fn big(leader: &Host) {
    leader.write("filestore/shop/big", &"x".repeat(20_000_000));
}

/// Waits until a part of the big file is here, under its temporary name.
async fn is_coming(copy: &Host) {
    let arriving = async || {
        let mut entries = std::fs::read_dir(copy.data().join(INCOMING)).ok()?.flatten();
        entries.find(|entry| entry.metadata().is_ok_and(|found| found.len() > 0))
    };
    eventually("the file arrives", PATIENCE, arriving).await;
    assert_eq!(copy.read("filestore/shop/big"), None, "half a file looks like one");
    assert!(copy.pulls().len() >= 2, "{:?}", copy.pulls());
}

async fn ends_by(copy: &Host, files: &RsyncFilestore, lead: bool) {
    if lead {
        files.lead(Term(2), PATIENCE).await.unwrap();
    } else {
        files.rest(PATIENCE).await.unwrap();
    }
    // Not eventually: when it has returned.
    assert_eq!(copy.pulls(), Vec::<u32>::new());
    assert_eq!(copy.read("filestore/shop/big"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_leads_or_rests_has_no_pull_left() {
    for lead in [true, false] {
        let (leader, copy) = pair("", SLOW).await;
        big(&leader);
        let files = copy.filestore();
        follow(&files, 1, &leader).await;
        is_coming(&copy).await;
        ends_by(&copy, &files, lead).await;
        let status = files.status(PATIENCE).await.unwrap();
        assert_eq!(status.complete_ms_ago, lead.then_some(0), "a pass that was cut off completes nothing");
    }
}

/// What an agent that was killed leaves behind: its pull goes on, and nobody has it for a child.
#[tokio::test(flavor = "multi_thread")]
async fn the_pull_of_an_agent_that_was_killed_ends_before_the_next_one_leads() {
    let (leader, copy) = pair("", SLOW).await;
    big(&leader);
    // It begins no other pass during the test.
    let killed = copy.config().interval(Duration::from_secs(3600)).build().unwrap();
    follow(&killed, 1, &leader).await;
    is_coming(&copy).await;
    let next = copy.filestore();
    ends_by(&copy, &next, true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_filestore_leaves_no_process() {
    let (leader, copy) = pair("", SLOW).await;
    big(&leader);
    let files = copy.filestore();
    follow(&files, 1, &leader).await;
    is_coming(&copy).await;
    drop(files);
    eventually("no process is left", PATIENCE, async || copy.pulls().is_empty().then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_pass_clears_away_what_was_arriving() {
    let (leader, copy) = pair("", SLOW).await;
    big(&leader);
    let files = copy.filestore();
    follow(&files, 1, &leader).await;
    is_coming(&copy).await;
    files.rest(PATIENCE).await.unwrap();
    assert!(std::fs::read_dir(copy.data().join(INCOMING)).unwrap().count() > 0, "nothing was arriving");
    leader.remove("filestore/shop/big");
    leader.write(ABC, "abc");
    follow(&files, 1, &leader).await;
    copy.has(ABC, "abc").await;
    complete(&files).await;
    let left = async || (std::fs::read_dir(copy.data().join(INCOMING)).unwrap().count() == 0).then_some(());
    eventually("nothing is left", PATIENCE, left).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_change_of_leader_the_new_one_s_files_come() {
    let port = free_port(IpAddr::from([127, 0, 0, 2]));
    let first = Host::new("a", [127, 0, 0, 2], port).serving("", SLOW).await;
    let second = Host::new("b", [127, 0, 0, 3], port).serving("", &[]).await;
    let copy = Host::new("c", [127, 0, 0, 4], port);
    big(&first);
    second.write(ABD, "abd");
    let files = copy.filestore();
    follow(&files, 1, &first).await;
    is_coming(&copy).await;
    follow(&files, 2, &second).await;
    copy.has(ABD, "abd").await;
    complete(&files).await;
    assert_eq!(copy.read("filestore/shop/big"), None);
    // The old one asks in vain, also of an agent that was started anew.
    drop(files);
    let anew = copy.filestore();
    let (member, endpoint) = first.member();
    for older in [anew.follow(Term(1), &member, Some(&endpoint), PATIENCE).await, anew.lead(Term(1), PATIENCE).await] {
        assert_eq!(older.unwrap_err().kind(), ErrorKind::Fenced);
    }
    follow(&anew, 2, &second).await;
}
