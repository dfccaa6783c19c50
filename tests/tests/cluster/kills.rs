//! Something dies.

use std::time::{Duration, Instant};

use odoo_ha_tests::lab::{Node, Plan, situation};
use odoo_ha_tests::stores::eventually;

/// Several times what anything takes on a busy machine.
const LONG: Duration = Duration::from_secs(60);

/// Twice the `ttl` of the lab: what has not happened by then does not happen.
const TWO_TTL: Duration = Duration::from_secs(6);

#[test]
fn database_killed() {
    situation("kills::database_killed", Plan::nodes(2), async |lab| {
        let before = lab.whole().await;
        lab.nodes[before.leader].kill_database();
        lab.led_anew(before).await;
    });
}

#[test]
fn agent_killed() {
    situation("kills::agent_killed", Plan::nodes(2), async |lab| {
        let before = lab.whole().await;
        lab.nodes[before.leader].agent().kill();
        // The guard stops the database and drops the address; the other takes over.
        let after = lab.led_anew(before).await;
        assert_ne!(after.leader, before.leader);
        lab.writes().await;
        lab.nodes[before.leader].agent().restart();
    });
}

#[test]
fn agent_and_database_killed() {
    situation("kills::agent_and_database_killed", Plan::nodes(2), async |lab| {
        let before = lab.whole().await;
        lab.nodes[before.leader].agent().kill();
        lab.nodes[before.leader].kill_database();
        let after = lab.led_anew(before).await;
        assert_ne!(after.leader, before.leader);
        lab.writes().await;
        lab.nodes[before.leader].agent().restart();
    });
}

/// How many of the client's sessions a database has, and how many of them wait for a standby.
async fn sessions(node: &Node) -> Option<Vec<String>> {
    let sql = "select count(*), count(*) filter (where wait_event = 'SyncRep') \
               from pg_stat_activity where application_name = 'lab_client'";
    node.ask(sql).await?.pop()
}

/// The limit that `docs/safety.md` states: nothing is left that would stop the database and drop the address. The winner leads its database and leaves
/// the address where it answers; no commit is acknowledged there that the winner has not.
#[test]
fn agent_and_guard_killed_at_once() {
    situation("kills::agent_and_guard_killed_at_once", Plan::nodes(2), async |lab| {
        let before = lab.whole().await;
        let old = &lab.nodes[before.leader];
        let database = old.database_processes().first().copied();
        old.kill_agent_and_guard();
        let after = lab.led_anew(before).await;
        assert_ne!(after.leader, before.leader);
        let winner = &lab.nodes[after.leader];
        lab.soon("the winner says why it has no address", || winner.said("another host has 10.77.0.100")).await;
        let acknowledged = lab.acknowledged();
        let waits = async || sessions(old).await.filter(|counts| counts[1] != "0").map(|_| ());
        eventually("the client waits for its commit at the old leader", LONG, waits).await;
        tokio::join!(lab.keeps_the_address(before.leader, TWO_TTL), lab.stays(after, TWO_TTL));
        assert_eq!(old.database_processes().first().copied(), database, "nothing has stopped it");
        assert_eq!(lab.acknowledged(), acknowledged, "acknowledged by a leader that was");
        assert_eq!(sessions(winner).await.unwrap()[0], "0", "the client sees one database");
        // Back, the agent finds that somebody else leads.
        old.agent().restart();
        lab.drops_the_address(before.leader).await;
        lab.writes().await;
    });
}

/// The same in asynchronous mode, in which nothing but its agent's return ends what the old leader acknowledges: that is lost. Whoever cannot accept that
/// needs a kernel watchdog.
#[test]
fn agent_and_guard_killed_at_once_in_asynchronous_mode() {
    let test = "kills::agent_and_guard_killed_at_once_in_asynchronous_mode";
    situation(test, Plan::nodes(2).asynchronous(), async |lab| {
        let before = lab.whole().await;
        let (old, since) = (&lab.nodes[before.leader], Instant::now());
        old.kill_agent_and_guard();
        let after = lab.led_anew(before).await;
        assert_ne!(after.leader, before.leader);
        let winner = &lab.nodes[after.leader];
        lab.soon("the winner says why it has no address", || winner.said("another host has 10.77.0.100")).await;
        tokio::join!(lab.keeps_the_address(before.leader, TWO_TTL), lab.stays(after, TWO_TTL));
        assert_eq!(sessions(winner).await.unwrap()[0], "0", "the client sees one database");
        old.agent().restart();
        lab.drops_the_address(before.leader).await;
        lab.expect_losses(since, Instant::now());
        // The database goes after the address, and takes commits over its own socket until then.
        lab.streams_from(before.leader, after.leader).await;
        lab.expect_unfenced(before.leader, since, Instant::now());
        lab.writes().await;
    });
}

#[test]
fn everything_killed_at_once_and_started_again() {
    situation("kills::everything_killed_at_once_and_started_again", Plan::nodes(2), async |lab| {
        lab.writes_more(50).await;
        for node in &lab.nodes {
            node.kill_everything();
        }
        lab.store.processes().for_each(|member| member.kill());
        lab.store.processes().for_each(|member| member.restart());
        for node in &lab.nodes {
            node.agent().restart();
        }
    });
}

#[test]
fn the_store_s_leader_killed_during_a_failover() {
    let test = "kills::the_store_s_leader_killed_during_a_failover";
    situation(test, Plan::nodes(2).stores(3), async |lab| {
        let before = lab.whole().await;
        let member = lab.store.leader().await;
        lab.nodes[before.leader].kill_everything();
        let other = &lab.nodes[lab.other(&[before.leader])];
        lab.soon("the other one suspects", || other.said("kind=LeaderSuspected")).await;
        lab.store.member(member).kill();
        lab.led_anew(before).await;
        lab.writes().await;
        lab.store.member(member).restart();
        lab.nodes[before.leader].agent().restart();
    });
}

#[test]
fn killed_again_while_the_first_still_rejoins() {
    let test = "kills::killed_again_while_the_first_still_rejoins";
    situation(test, Plan::nodes(3), async |lab| {
        let first = lab.whole().await;
        lab.nodes[first.leader].kill_everything();
        let second = lab.led_anew(first).await;
        lab.writes().await;
        let old = &lab.nodes[first.leader];
        old.agent().restart();
        lab.soon("the old leader's agent is back", || old.log().matches("to: \"following\"").count() > 1).await;
        lab.nodes[second.leader].kill_everything();
        lab.led_anew(second).await;
        lab.writes().await;
        lab.nodes[second.leader].agent().restart();
    });
}
