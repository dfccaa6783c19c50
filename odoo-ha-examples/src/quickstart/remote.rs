//! Looks at and moves a cluster that a demo left running.

use std::path::Path;
use std::time::Duration;

use super::control::{self, Answer, NodeStatus, Question};
use super::demo::Ending;
use super::node::Node;
use super::node_config::control_socket;
use super::trouble::Trouble;

const STATUS_DEADLINE: Duration = Duration::from_secs(1);

const SWITCHOVER_DEADLINE: Duration = Duration::from_secs(60);

/// Says what both nodes do.
pub(crate) async fn status(work_dir: &Path) -> Result<Ending, Trouble> {
    check(work_dir)?;
    println!("{:<8} {:<14} {:>5}  {:<20} {:<8} commits wait for", "node", "state", "term", "database", "address");
    for node in Node::BOTH {
        match ask_status(work_dir, node).await {
            Ok(status) => println!("{}", row(node, &status)),
            Err(trouble) => println!("{:<8} {trouble}", node.name()),
        }
    }
    Ok(Ending::Held)
}

/// Moves the leadership to the other node.
pub(crate) async fn switchover(work_dir: &Path) -> Result<Ending, Trouble> {
    check(work_dir)?;
    for node in Node::BOTH {
        let Ok(status) = ask_status(work_dir, node).await else { continue };
        if status.state != "leading" {
            continue;
        }
        let to = node.other().name();
        let question = Question::Switchover { to: to.to_owned() };
        return match control::ask(&control_socket(&work_dir.join(node.name())), &question, SWITCHOVER_DEADLINE).await? {
            Answer::Refused(why) => Err(Trouble::new(format!("{} refused: {why}", node.name()))),
            Answer::Done | Answer::Status(_) => wait_until_it_leads(work_dir, node.other()).await,
        };
    }
    Err(Trouble::new("Nobody leads at this moment.").advice("Look again in a few seconds: quickstart status"))
}

/// The old leader's part is done when it has handed over; users wait until the new one serves.
async fn wait_until_it_leads(work_dir: &Path, node: Node) -> Result<Ending, Trouble> {
    let led = async {
        while ask_status(work_dir, node).await.is_ok_and(|status| status.state != "leading" || !status.address_here) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        ask_status(work_dir, node).await
    };
    match tokio::time::timeout(SWITCHOVER_DEADLINE, led).await {
        Ok(Ok(_)) => {
            println!("{} leads", node.name());
            Ok(Ending::Held)
        }
        Ok(Err(trouble)) => Err(trouble),
        Err(_) => {
            Err(Trouble::new(format!("{} does not lead yet.", node.name())).advice("Look at agent.log of both nodes."))
        }
    }
}

fn check(work_dir: &Path) -> Result<(), Trouble> {
    if Node::BOTH.iter().any(|node| control_socket(&work_dir.join(node.name())).exists()) {
        return Ok(());
    }
    Err(Trouble::new(format!("No demo runs in {}.", work_dir.display()))
        .advice("Start one that stays: quickstart --keep. It says its work directory in its first lines."))
}

async fn ask_status(work_dir: &Path, node: Node) -> Result<NodeStatus, Trouble> {
    match control::ask(&control_socket(&work_dir.join(node.name())), &Question::Status, STATUS_DEADLINE).await? {
        Answer::Status(status) => Ok(status),
        Answer::Done | Answer::Refused(_) => Err(Trouble::new("it does not say what it does")),
    }
}

fn row(node: Node, status: &NodeStatus) -> String {
    let address = if status.address_here { "here" } else { "-" };
    let waits = if status.synchronous.is_empty() { "nobody".to_owned() } else { status.synchronous.join(", ") };
    let state = status.state.replace('_', " ");
    let mut row =
        format!("{:<8} {state:<14} {:>5}  {:<20} {address:<8} {waits}", node.name(), status.term, status.database);
    if status.paused {
        row.push_str("  (automatic failover is paused)");
    }
    if let Some(refusal) = &status.refusal {
        row.push_str(&format!("\n         {refusal}"));
    }
    row
}
