//! SIGHUP with what cannot be: nothing of it is in force.

use std::time::Duration;

use odoo_ha_backends::linux_watchdog::now;
use odoo_ha_tests::fake_watchdog::FakeWatchdog;
use odoo_ha_tests::stores::eventually;
use rustix::process::Signal;

use crate::life::{PATIENCE, Place};

/// A kernel watchdog is started with a timeout, by default two thirds of `ttl`, and gets no other while it runs: a shorter `ttl` that would fit a device
/// started today would have the running one reset a healthy leader's machine.
#[tokio::test]
async fn times_that_do_not_fit_a_running_kernel_watchdog_are_refused_and_nothing_of_the_file_is_in_force() {
    let device = FakeWatchdog::new(60, now);
    let place = Place::new();
    let path = |path: std::path::PathBuf| path.display().to_string();
    let mut agent = place.start_of(
        &["a"],
        "a",
        &format!(
            "[timing]\nttl = \"6s\"\n[watchdog.linux]\ndevice = \"{}\"\nsysfs_dir = \"{}\"\nwdctl = \"{}\"\n",
            path(device.device()),
            path(device.sysfs_dir()),
            path(device.wdctl()),
        ),
    );
    place.served_by_another_than(None).await;
    eventually("the device runs", PATIENCE, async || device.seen().runs.then_some(())).await;
    let ttl = async || place.leader().await.unwrap().ttl();
    let work_mem = agent.shows("work_mem").await;

    // Two thirds of it are 2 s, which would fit; the device has 4 s.
    let shorter = agent.text().replace("ttl = \"6s\"", "ttl = \"4s\"");
    let more = "[postgres.parameters]\nwork_mem = \"7MB\"\n";
    agent.reads(&format!("{shorter}{more}"));
    agent.says("the configuration stays as it was").await;
    assert!(agent.said().contains("renew_interval <= ttl does not hold: 4s"), "{}", agent.said());
    // Longer than the device would live without a feed.
    let feeds = device.seen().feeds;
    eventually("it is fed as before", PATIENCE, async || (device.seen().feeds >= feeds + 5).then_some(())).await;
    assert_eq!((ttl().await, agent.shows("work_mem").await), (Duration::from_secs(6), work_mem));

    // What fits is taken over, and the device keeps its timeout.
    agent.reads(&format!("{}{more}", agent.text().replace("ttl = \"6s\"", "ttl = \"9s\"")));
    agent.says("changes of watchdog wait for a restart").await;
    eventually("the record has the new ttl", PATIENCE, async || (ttl().await == Duration::from_secs(9)).then_some(()))
        .await;
    eventually("the parameter counts", PATIENCE, async || (agent.shows("work_mem").await == "7MB").then_some(())).await;
    agent.signal(Signal::TERM);
    assert_eq!(agent.ended().await, Some(0), "{}", agent.said());
    let seen = device.seen();
    assert_eq!((seen.reset, seen.runs), (None, false));
}
