//! Members that cascade, that replay late, or that must not lead.

use std::time::{Duration, Instant};

use odoo_ha_tests::lab::{Lab, Plan, Whole, situation};
use odoo_ha_tests::stores::eventually;

/// `node1` begins; `node3` streams from `node2`.
fn cascade() -> Plan {
    let cascading = "bootstrap = \"never\"\nreplicate_from = \"node2\"";
    Plan::nodes(3).node(2, "bootstrap = \"never\"", "").node(3, cascading, "").uncounted(3)
}

const A: usize = 0;
const B: usize = 1;
const C: usize = 2;

async fn names(lab: &Lab) -> Vec<String> {
    lab.sync_record().await.unwrap().names.keys().map(ToString::to_string).collect()
}

#[test]
fn a_cascading_standby_falls_back_on_the_leader_and_returns() {
    situation("tagged::a_cascading_standby_falls_back_on_the_leader_and_returns", cascade(), async |lab| {
        assert_eq!(lab.whole().await.leader, A);
        lab.streams_from(C, B).await;
        lab.shows(C, "replicate_from: node2").await;
        let slots = "select count(*) from pg_replication_slots where slot_name = 'odoo_ha_node3'";
        eventually("the leader keeps no log for it", Duration::from_secs(60), async || {
            (lab.nodes[A].ask(slots).await? == [["0"]]).then_some(())
        })
        .await;
        lab.nodes[B].kill_everything();
        lab.streams_from(C, A).await;
        lab.writes_more(20).await;
        assert!(names(lab).await.is_empty(), "who is tagged is counted while it streams from the leader");
        lab.nodes[B].agent().restart();
        lab.streams_from(C, B).await;
        assert_eq!(names(lab).await, ["node2"]);
    });
}

#[test]
fn a_cascading_standby_follows_its_upstream_when_that_leads() {
    situation("tagged::a_cascading_standby_follows_its_upstream_when_that_leads", cascade(), async |lab| {
        let before = lab.whole().await;
        lab.streams_from(C, B).await;
        lab.nodes[A].kill_everything();
        let after = lab.led_anew(before).await;
        assert_eq!(after.leader, B);
        lab.streams_from(C, B).await;
        lab.writes_more(20).await;
        assert!(names(lab).await.is_empty(), "who is tagged is counted");
        lab.nodes[A].agent().restart();
        assert_eq!(lab.whole().await, after);
        assert_eq!(names(lab).await, ["node1"]);
    });
}

/// Who is alone left says why it does not lead, and does not.
async fn does_not_lead(lab: &Lab, number: usize, before: Whole) {
    lab.shows(number, "this member must not: it is tagged nofailover").await;
    lab.stays(before, Duration::from_secs(6)).await;
    let recovers = lab.nodes[number].ask("select pg_is_in_recovery()").await;
    assert_eq!(recovers, Some(vec![vec!["t".to_owned()]]));
    assert!(!lab.nodes[number].said("voted with"), "it has voted");
}

#[test]
fn a_delayed_standby_is_neither_waited_for_nor_elected() {
    let never = "bootstrap = \"never\"";
    let plan = Plan::nodes(3).node(2, never, "").node(3, never, "recovery_min_apply_delay = \"20s\"").uncounted(3);
    situation("tagged::a_delayed_standby_is_neither_waited_for_nor_elected", plan, async |lab| {
        let before = lab.whole().await;
        assert_eq!(names(lab).await, ["node2"]);
        lab.writes_more(20).await;
        let begun = Instant::now();
        lab.nodes[before.leader].kill_everything();
        let after = lab.led_anew(before).await;
        let took = begun.elapsed();
        println!("led anew after {took:.1?}, with a delay of 20 s");
        assert_eq!(after.leader, B);
        assert!(took < Duration::from_secs(20), "the delayed one was waited for: {took:?}");
        lab.writes_more(20).await;
        // When it has replayed what it had from the old leader, as late as ever.
        lab.streams_from(C, B).await;
        lab.nodes[A].agent().restart();
        assert_eq!(lab.whole().await, after);
        assert_eq!(lab.nodes[C].log().matches("by: Clone").count(), 1, "it was cloned again");
        for alone in [A, B] {
            lab.nodes[alone].kill_everything();
        }
        does_not_lead(lab, C, after).await;
        for alone in [A, B] {
            lab.nodes[alone].agent().restart();
        }
    });
}

#[test]
fn a_nofailover_standby_that_is_alone_left_does_not_lead() {
    let plan = Plan::nodes(2).node(2, "bootstrap = \"never\"\nnofailover = true", "").uncounted(2);
    situation("tagged::a_nofailover_standby_that_is_alone_left_does_not_lead", plan, async |lab| {
        let before = lab.whole().await;
        lab.nodes[A].kill_everything();
        does_not_lead(lab, B, before).await;
        lab.nodes[A].agent().restart();
    });
}

/// Asynchronous: the standby's link is cut a second before the leader's host goes.
async fn cut_off_and_alone(lab: &Lab) -> (Whole, Instant) {
    let before = lab.whole().await;
    let (leader, other) = (&lab.nodes[before.leader], &lab.nodes[lab.other(&[before.leader])]);
    // What was acknowledged right before may still have been on its way.
    let from = Instant::now();
    leader.host().reaches(other.host(), false);
    let had = lab.acknowledged();
    lab.stays(before, Duration::from_secs(1)).await;
    assert!(lab.acknowledged() > had, "an asynchronous leader waits for nobody");
    leader.kill_everything();
    (before, from)
}

#[test]
fn an_asynchronous_standby_within_the_lag_takes_over() {
    let plan = Plan::nodes(2).asynchronous();
    situation("tagged::an_asynchronous_standby_within_the_lag_takes_over", plan, async |lab| {
        let (before, from) = cut_off_and_alone(lab).await;
        lab.expect_losses(from.checked_sub(Duration::from_millis(100)).unwrap(), Instant::now());
        let after = lab.led_anew(before).await;
        assert_ne!(after.leader, before.leader);
        lab.writes().await;
        let (old, new) = (&lab.nodes[before.leader], &lab.nodes[after.leader]);
        old.host().reaches(new.host(), true);
        old.agent().restart();
    });
}

#[test]
fn an_asynchronous_standby_beyond_the_lag_waits_for_the_old_leader() {
    let plan = Plan::nodes(2).asynchronous();
    let plan = plan.policy("sync_mode = \"asynchronous\"\nmaximum_lag_on_failover = 1");
    situation("tagged::an_asynchronous_standby_beyond_the_lag_waits_for_the_old_leader", plan, async |lab| {
        let (before, _) = cut_off_and_alone(lab).await;
        let other = lab.other(&[before.leader]);
        lab.shows(other, "no candidate is within maximum_lag_on_failover (1 bytes)").await;
        lab.stays(before, Duration::from_secs(4)).await;
        lab.nodes[before.leader].host().reaches(lab.nodes[other].host(), true);
        lab.nodes[before.leader].agent().restart();
        let after = lab.whole().await;
        assert_eq!(after.leader, before.leader);
    });
}
