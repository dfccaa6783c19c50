//! What the kernel's watchdog is fed with, seen from a file that behaves like it. No test here has a device: there is none on the machines that
//! run them.
#![expect(clippy::unwrap_used, reason = "helpers of tests: a broken set-up is a failed test")]

use std::time::Duration;

use odoo_ha_backends::linux_watchdog::{LinuxWatchdog, LinuxWatchdogConfig, now};
use odoo_ha_core::error::ErrorKind;
use odoo_ha_core::roles::{Feed, Watchdog};
use odoo_ha_core::term::Term;
use odoo_ha_core::time::Moment;
use odoo_ha_tests::fake_watchdog::FakeWatchdog;

const TIME: Duration = Duration::from_secs(10);

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn dog(device: &FakeWatchdog) -> LinuxWatchdog {
    config(device).build().unwrap()
}

fn config(device: &FakeWatchdog) -> LinuxWatchdogConfig {
    LinuxWatchdogConfig::new()
        .device(device.device())
        .sysfs_dir(device.sysfs_dir())
        .wdctl(Some(device.wdctl()))
        .timeout(Duration::from_secs(1))
}

fn feed(term: u64, deadline: Option<Moment>) -> Feed {
    Feed { incarnation: 1, term: Term(term), deadline }
}

async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let began = std::time::Instant::now();
    while !is_so() {
        assert!(began.elapsed() < TIME, "not within {TIME:?}: {what}");
        tokio::time::sleep(ms(1)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn while_belief_lasts_it_is_fed_and_never_so_that_it_outlasts_it() {
    let device = FakeWatchdog::new(1, now);
    let dog = dog(&device);
    let deadline = now() + ms(3_000);
    dog.arm(feed(1, Some(deadline)), TIME).await.unwrap();
    until("the device resets", || device.seen().reset.is_some()).await;
    let seen = device.seen();
    let (fed, reset) = (seen.fed.unwrap(), seen.reset.unwrap());
    println!(
        "{} feeds, the last {:?} before the deadline, reset {:?} before it",
        seen.feeds,
        deadline.since(fed),
        deadline.since(reset)
    );
    assert!(fed + ms(1_000) <= deadline && reset <= deadline, "{seen:?}, deadline {deadline}");
    // Every third of a timeout, and once more when the last feed fits: belief is used to its end.
    assert!(seen.feeds >= 5 && deadline.since(fed) < ms(1_500), "{seen:?}, deadline {deadline}");
    let late = dog.feed(feed(1, Some(now() + TIME)), TIME).await.unwrap_err();
    assert_eq!(late.kind(), ErrorKind::Fenced, "{late}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leave_that_is_shorter_than_a_feed_starts_no_device() {
    let device = FakeWatchdog::new(1, now);
    let dog = dog(&device);
    let refused = dog.arm(feed(1, Some(now() + ms(1_000))), TIME).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::NotReady);
    assert!(refused.to_string().contains("raise ttl"), "{refused}");
    assert_eq!((device.seen().feeds, device.seen().runs), (0, false));
    // What is told a nearer deadline than its last feed allows says so, and keeps the earlier one.
    dog.arm(feed(1, Some(now() + TIME)), TIME).await.unwrap();
    let near = dog.feed(feed(1, Some(now() + ms(200))), TIME).await.unwrap_err();
    assert_eq!(near.kind(), ErrorKind::NotReady);
    dog.disarm(TIME).await.unwrap();
    until("it stops", || !device.seen().runs).await;
}

/// An embedder may shorten `ttl`. What was fed cannot be taken back, but nothing is added to it.
#[tokio::test(flavor = "multi_thread")]
async fn a_nearer_deadline_that_comes_too_late_ends_the_feeding() {
    let device = FakeWatchdog::new(1, now);
    let dog = dog(&device);
    dog.arm(feed(1, Some(now() + TIME)), TIME).await.unwrap();
    until("it runs", || device.seen().runs).await;
    let near = dog.feed(feed(1, Some(now() + ms(200))), TIME).await.unwrap_err();
    assert_eq!(near.kind(), ErrorKind::NotReady);
    let feeds = device.seen().feeds;
    until("it resets", || device.seen().reset.is_some()).await;
    assert!(device.seen().feeds <= feeds + 1, "{:?}, {feeds} before", device.seen());
    dog.disarm(TIME).await.unwrap();
}

/// With nowayout, to open it is to be reset by it.
#[tokio::test(flavor = "multi_thread")]
async fn a_device_of_which_the_kernel_says_nothing_is_not_touched() {
    let device = FakeWatchdog::new(1, now);
    std::fs::remove_dir_all(device.sysfs_dir()).unwrap();
    let dog = dog(&device);
    dog.disarm(TIME).await.unwrap();
    assert!(dog.arm(feed(1, Some(now() + TIME)), TIME).await.is_err());
    assert_eq!((device.seen().feeds, device.seen().stops, device.seen().runs), (0, 0, false));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_stops_the_device_and_its_end_starts_it() {
    let device = FakeWatchdog::new(1, now);
    let dog = dog(&device);
    dog.arm(feed(1, Some(now() + TIME)), TIME).await.unwrap();
    until("it runs", || device.seen().runs).await;
    dog.feed(feed(1, None), TIME).await.unwrap();
    until("it is stopped", || !device.seen().runs).await;
    let feeds = device.seen().feeds;
    tokio::time::sleep(ms(1_200)).await;
    assert_eq!((device.seen().feeds, device.seen().reset), (feeds, None));
    dog.feed(feed(1, Some(now() + TIME)), TIME).await.unwrap();
    until("it runs again", || device.seen().runs && device.seen().feeds > feeds).await;
    dog.disarm(TIME).await.unwrap();
    until("it is stopped", || !device.seen().runs).await;
    assert_eq!(device.seen().reset, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_agent_s_device_counts_on_and_its_next_start_lets_it_go() {
    let device = FakeWatchdog::new(1, now);
    let first = dog(&device);
    first.arm(feed(1, Some(now() + TIME)), TIME).await.unwrap();
    until("it runs", || device.seen().runs).await;
    drop(first);
    // Closed without its magic.
    until("it resets", || device.seen().reset.is_some()).await;
    let next = dog(&device);
    next.disarm(TIME).await.unwrap();
    until("it is stopped", || !device.seen().runs).await;
    // And a device that does not run is not even opened, since that would start it.
    let stops = device.seen().stops;
    next.disarm(TIME).await.unwrap();
    dog(&device).disarm(TIME).await.unwrap();
    assert_eq!(device.seen().stops, stops);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_stopped_or_set_is_not_started() {
    let cases = [
        ("nowayout", "1", "load its driver with nowayout=0"),
        ("options", "0x8080", "stops whenever it is closed"),
        ("timeout", "nonsense", "timeout cannot be read"),
    ];
    for (name, text, says) in cases {
        let device = FakeWatchdog::new(1, now);
        device.says(name, text);
        let refused = dog(&device).arm(feed(1, Some(now() + TIME)), TIME).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Misconfigured, "{refused}");
        assert!(refused.to_string().contains(says), "{refused}");
        assert_eq!(device.seen().feeds, 0);
        dog(&device).disarm(TIME).await.unwrap();
    }
    // Another timeout: set by the program, refused without one, and when the program does not do it.
    let device = FakeWatchdog::new(30, now);
    for wdctl in [None, Some("/bin/false".into()), Some("/nowhere/wdctl".into())] {
        let refused = config(&device).wdctl(wdctl).build().unwrap().arm(feed(1, Some(now() + TIME)), TIME).await;
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::Misconfigured);
    }
    let dog = dog(&device);
    dog.arm(feed(1, Some(now() + TIME)), TIME).await.unwrap();
    assert_eq!(std::fs::read_to_string(device.sysfs_dir().join("timeout")).unwrap(), "1\n");
    dog.disarm(TIME).await.unwrap();
}
