//! Somebody hears nothing of somebody else.

use std::time::{Duration, Instant};

use odoo_ha_tests::lab::{Lab, Plan, situation};

/// Twice the `ttl` of the lab: what has not happened by then does not happen.
const TWO_TTL: Duration = Duration::from_secs(6);

/// The leader's host is cut off from all others and comes back.
async fn host_cut(lab: &Lab, cut: impl Fn(&odoo_ha_tests::lab::Host, bool)) {
    let before = lab.whole().await;
    let host = lab.nodes[before.leader].host();
    cut(host, false);
    let after = lab.led_anew(before).await;
    assert_ne!(after.leader, before.leader);
    lab.writes().await;
    // Nobody told it.
    lab.drops_the_address(before.leader).await;
    cut(host, true);
}

#[test]
fn host_cut_off_with_its_carrier_kept() {
    situation("cuts::host_cut_off_with_its_carrier_kept", Plan::nodes(2), async |lab| {
        host_cut(lab, |host, yes| host.plugged(yes)).await;
    });
}

#[test]
fn host_cut_off_without_a_carrier() {
    situation("cuts::host_cut_off_without_a_carrier", Plan::nodes(2), async |lab| {
        host_cut(lab, |host, yes| host.carrier(yes)).await;
    });
}

#[test]
fn leader_cut_off_from_the_store_alone() {
    situation("cuts::leader_cut_off_from_the_store_alone", Plan::nodes(3), async |lab| {
        let before = lab.whole().await;
        let host = lab.nodes[before.leader].host();
        let since = Instant::now();
        lab.store.hosts().for_each(|store| store.reaches(host, false));
        lab.stays(before, TWO_TTL).await;
        let gap = lab.longest_gap_since(since);
        assert!(gap < Duration::from_secs(3), "the client waited {gap:?}");
        lab.store.hosts().for_each(|store| store.reaches(host, true));
        assert_eq!(lab.whole().await, before);
    });
}

#[test]
fn all_cut_off_from_the_store() {
    situation("cuts::all_cut_off_from_the_store", Plan::nodes(3), async |lab| {
        let before = lab.whole().await;
        let since = Instant::now();
        lab.store.hosts().for_each(|store| store.plugged(false));
        lab.stays(before, TWO_TTL).await;
        let gap = lab.longest_gap_since(since);
        assert!(gap < Duration::from_secs(3), "the client waited {gap:?}");
        lab.store.hosts().for_each(|store| store.plugged(true));
        assert_eq!(lab.whole().await, before);
    });
}

#[test]
fn leader_cut_off_from_store_and_standby() {
    situation("cuts::leader_cut_off_from_store_and_standby", Plan::nodes(2), async |lab| {
        let before = lab.whole().await;
        let host = lab.nodes[before.leader].host();
        let others: Vec<_> = lab.hosts_but(before.leader).filter(|host| host.name() != "client").collect();
        others.iter().for_each(|other| other.reaches(host, false));
        // The client reaches it still, and gets nothing acknowledged that would be lost.
        let after = lab.led_anew(before).await;
        assert_ne!(after.leader, before.leader);
        lab.writes().await;
        others.iter().for_each(|other| other.reaches(host, true));
    });
}

#[test]
fn leader_cut_off_from_the_standby_alone() {
    situation("cuts::leader_cut_off_from_the_standby_alone", Plan::nodes(2), async |lab| {
        let before = lab.whole().await;
        let standby = lab.nodes[lab.other(&[before.leader])].host();
        let leader = lab.nodes[before.leader].host();
        leader.reaches(standby, false);
        // It is no longer waited for.
        lab.writes_more(50).await;
        lab.stays(before, TWO_TTL).await;
        leader.reaches(standby, true);
        assert_eq!(lab.whole().await, before);
    });
}

#[test]
fn leader_that_nobody_hears() {
    situation("cuts::leader_that_nobody_hears", Plan::nodes(2), async |lab| {
        let before = lab.whole().await;
        let leader = lab.nodes[before.leader].host();
        lab.hosts_but(before.leader).for_each(|other| other.hears(leader, false));
        let after = lab.led_anew(before).await;
        assert_ne!(after.leader, before.leader);
        lab.writes().await;
        lab.hosts_but(before.leader).for_each(|other| other.hears(leader, true));
    });
}

#[test]
fn leader_that_hears_nobody() {
    situation("cuts::leader_that_hears_nobody", Plan::nodes(2), async |lab| {
        let before = lab.whole().await;
        let leader = lab.nodes[before.leader].host();
        lab.hosts_but(before.leader).for_each(|other| leader.hears(other, false));
        let after = lab.led_anew(before).await;
        assert_ne!(after.leader, before.leader);
        lab.writes().await;
        lab.hosts_but(before.leader).for_each(|other| leader.hears(other, true));
    });
}
