//! What a person writes wrongly is refused where the node is built or started, before anything is touched, with what to do.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use odoo_ha_backends::linux_address::LinuxAddressConfig;
use odoo_ha_core::error::{Error, ErrorKind};
use odoo_ha_core::member::{ClusterId, MemberId};
use odoo_ha_core::policy::{ProbeSettings, Timing};

use super::node::{Member, eventually};
use super::world::Store;

#[track_caller]
fn refused<T>(result: Result<T, Error>, kind: ErrorKind, words: &[&str]) {
    let Err(error) = result else { panic!("it was accepted; expected {words:?}") };
    let text = error.to_string();
    assert_eq!(error.kind(), kind, "{text}");
    for word in words {
        assert!(text.contains(word), "{text:?} does not say {word:?}");
    }
    assert!(text.contains('(') && text.ends_with(')'), "{text:?} does not say what to do");
}

#[test]
fn times_that_break_a_rule_are_refused_by_the_name_of_the_inequality() {
    type Change = fn(&mut Timing);
    let second = Duration::from_secs(1);
    let rule_2 = "2 x renew_interval + clock_margin + stop_budget <= ttl does not hold";
    let broken: &[(Change, &str)] = &[
        // Rule 2, broken by each of its members.
        (|timing| timing.renew_interval = timing.ttl / 2, rule_2),
        (|timing| timing.clock_margin = timing.ttl / 2, rule_2),
        (
            |timing| {
                timing.stop_budget = timing.ttl / 2;
                timing.renew_interval = timing.ttl / 4;
            },
            rule_2,
        ),
        (
            |timing| {
                timing.ttl = Duration::from_millis(3500);
                timing.suspicion = timing.ttl;
            },
            rule_2,
        ),
        (|timing| timing.ttl = Duration::from_millis(999), "ttl is 999ms, not between 1s and 300s"),
        (|timing| timing.ttl = Duration::from_secs(301), "ttl is 301s, not between 1s and 300s"),
        (|timing| timing.renew_interval = Duration::from_millis(49), "renew_interval is 49ms, below 50ms"),
        (|timing| timing.stop_budget = Duration::from_millis(199), "200ms <= stop_budget <= ttl / 2 does not hold"),
        (
            |timing| timing.stop_budget = timing.ttl / 2 + Duration::from_millis(1),
            "stop_budget <= ttl / 2 does not hold",
        ),
        (|timing| timing.clock_margin = Duration::ZERO, "clock_margin >= ttl / 1000 does not hold"),
        (|timing| timing.suspicion = Duration::from_millis(299), "300ms <= suspicion <= ttl does not hold"),
        (|timing| timing.suspicion = timing.ttl * 2, "300ms <= suspicion <= ttl does not hold"),
        (|timing| timing.suspicion = timing.renew_interval, "suspicion >= 2 x renew_interval does not hold"),
        (|timing| timing.standby_timeout = Duration::from_millis(299), "standby_timeout is 299ms, below 300ms"),
        (|timing| timing.observe_interval = Duration::ZERO, "0 < observe_interval <= ttl does not hold"),
        (|timing| timing.observe_interval = timing.ttl * 2, "0 < observe_interval <= ttl does not hold"),
        (|timing| timing.promote_timeout = Duration::ZERO, "promote_timeout is 0ns, below 1s"),
        (|timing| timing.switchover_timeout = Duration::ZERO, "switchover_timeout is 0ns, below 1s"),
        (|timing| timing.clone_timeout = Duration::ZERO, "clone_timeout is 0ns, below 1s"),
    ];
    let member = Member::new("a", &Store::new());
    for (change, says) in broken {
        let mut timing = Timing::with_ttl(5 * second);
        assert!(member.builder().timing(timing).build().is_ok());
        change(&mut timing);
        refused(member.builder().timing(timing).build(), ErrorKind::Misconfigured, &[says]);
    }
    // The longest times that hold: exactly the ttl.
    let mut timing = Timing::with_ttl(5 * second);
    timing.renew_interval = (timing.ttl - timing.clock_margin - timing.stop_budget) / 2;
    assert!(member.builder().timing(timing).build().is_ok());
}

#[test]
fn names_that_postgresql_could_not_keep_are_refused() {
    let too_long = "a".repeat(49);
    for name in ["", "A", "1a", "_a", "a-b", "a.b", "a b", "ä", "a\n", "a'; drop table t; --", "../a", &too_long] {
        refused(MemberId::new(name), ErrorKind::Misconfigured, &["member", "is not a valid name", "lower-case letter"]);
        refused(ClusterId::new(name), ErrorKind::Misconfigured, &["cluster", "is not a valid name"]);
    }
    for name in ["a", "node_1", &too_long[1..]] {
        assert_eq!(MemberId::new(name).unwrap().as_str(), name);
    }
}

#[test]
fn probe_settings_that_cannot_work_are_refused() {
    type Change = fn(&mut ProbeSettings);
    let broken: [(Change, &str); 4] = [
        (|settings| settings.interval = Duration::from_millis(49), "interval"),
        (|settings| settings.timeout = Duration::ZERO, "timeout"),
        (|settings| settings.rise = 0, "rise"),
        (|settings| settings.fall = 0, "fall"),
    ];
    let member = Member::new("a", &Store::new());
    for (change, says) in broken {
        let builder = member.builder().probe(Arc::<super::world::Helper>::default(), ProbeSettings::with(change));
        refused(builder.build(), ErrorKind::Misconfigured, &[says]);
    }
}

#[test]
fn an_address_that_takes_longer_than_it_may_is_refused() {
    let member = Member::new("a", &Store::new());
    let waits = |millis| {
        let config = LinuxAddressConfig::new("10.0.0.9/24", "no-such-link").unwrap();
        let address = config.probe_wait(Duration::from_millis(millis)).build().unwrap();
        member.builder().timing(Timing::with_ttl(Duration::from_secs(5))).address(Arc::new(address)).build()
    };
    refused(
        waits(1500),
        ErrorKind::Misconfigured,
        &["attach_takes <= ttl / 4 does not hold: 1.59s > 1.25s", "raise ttl"],
    );
    // The longest that fits, exactly: with two announcements more, and what else an attach takes.
    let longest = waits(1250 - 2 * 20 - 50).unwrap();
    refused(waits(1250 - 2 * 20 - 50 + 1), ErrorKind::Misconfigured, &["attach_takes"]);
    // Nor does a node that runs take times into which it does not fit.
    let node = longest.spawn().unwrap();
    assert!(node.check_timing(Timing::with_ttl(Duration::from_secs(5))).is_ok());
    refused(
        node.check_timing(Timing::with_ttl(Duration::from_secs(4))),
        ErrorKind::Misconfigured,
        &["attach_takes <= ttl / 4 does not hold: 1.25s > 1s"],
    );
    node.kill();
}

#[test]
fn a_memo_that_is_broken_newer_or_another_members_keeps_the_node_from_starting() {
    let store = Store::new();
    let member = Member::new("a", &store);
    let state = member.disk.path().join("state");
    std::fs::create_dir(&state).unwrap();
    let of = |cluster: &str, member: &str| {
        format!(
            r#"{{"format":1,"cluster":"{cluster}","member":"{member}","memo":{{"cluster":null,"mark":{{"term":1,"sequence":1}},"led":0,"intent":null}}}}"#
        )
    };
    for (text, kind, words) in [
        ("{".to_owned(), ErrorKind::Malformed, ["cannot be understood", "restore it"]),
        ("\0".repeat(100), ErrorKind::Malformed, ["cannot be understood", "restore it"]),
        (" ".repeat(65 * 1024), ErrorKind::Malformed, ["too large", "restore it"]),
        (r#"{"format":2}"#.to_owned(), ErrorKind::Malformed, ["format 2", "newer version"]),
        (of("other", "a"), ErrorKind::Misconfigured, ["cluster other", "directory of its own"]),
        (of("shop", "b"), ErrorKind::Misconfigured, ["member b", "directory of its own"]),
    ] {
        std::fs::write(state.join("memo.json"), &text).unwrap();
        refused(member.builder().build().unwrap().spawn(), kind, &words);
        assert_eq!(std::fs::read_to_string(state.join("memo.json")).unwrap(), text, "it is left as it was");
    }
    assert!(!member.database.state().has_data());
    assert_eq!(store.renewals(), 0);
    // The lock is free again: the next start, with the memo repaired, is not refused.
    std::fs::write(state.join("memo.json"), of("shop", "a")).unwrap();
    member.builder().build().unwrap().spawn().unwrap().kill();
}

#[test]
fn a_state_directory_that_cannot_be_is_refused() {
    let member = Member::new("a", &Store::new());
    std::fs::write(member.disk.path().join("file"), "").unwrap();
    for path in [member.disk.path().join("file"), member.disk.path().join("file/state"), Path::new("/proc/none").into()]
    {
        let node = member.builder().state_dir(&path).build().unwrap();
        refused(node.spawn(), ErrorKind::Disk, &[path.to_str().unwrap(), "check the path"]);
    }
    // None of them left a thread that holds on to what it was given.
    eventually("all is let go", || Arc::strong_count(&member.client) == 1);
}
