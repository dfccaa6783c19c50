//! Does the faults to the cluster and waits until it is whole again.

use std::time::Duration;

use odoo_ha_core::policy::SyncMode;
use tokio::time::sleep;

use super::clock;
use super::cluster::Cluster;
use super::console::{Console, Tone, Who};
use super::control::Question;
use super::fault::Fault;
use super::measure::Span;
use super::node::Node;
use super::outcome::Course;
use super::record::{AgentFace, Recorder};
use super::trouble::Trouble;

/// How long the cluster may take to begin.
const BEGIN_LIMIT: Duration = Duration::from_secs(90);

/// How long it may take to be whole again. Far above every limit: what is missed is still measured.
const WHOLE_LIMIT: Duration = Duration::from_secs(60);

/// How often is looked.
const LOOK: Duration = Duration::from_millis(40);

/// For how long it must stay whole.
const STEADY: Duration = Duration::from_millis(300);

/// For how long the client writes undisturbed before each fault, so that the picture shows what is normal.
const CALM: Duration = Duration::from_millis(1200);

/// The cluster, what is seen of it, and where it is told.
pub(crate) struct Scenario<'a> {
    pub(crate) cluster: &'a mut Cluster,
    pub(crate) recorder: Recorder,
    pub(crate) console: Console,
}

impl Scenario<'_> {
    /// Starts both nodes and waits until one leads and the other follows.
    pub(crate) async fn begin(&mut self, failed: impl Fn() -> Option<Trouble>) -> Result<Node, Trouble> {
        for node in Node::BOTH {
            self.cluster.start(node)?;
        }
        let since = clock::now();
        loop {
            if let Some(trouble) = failed() {
                return Err(trouble);
            }
            let missing = match self.cluster.is_whole(false).await {
                Ok(leader) => {
                    self.console.waited();
                    return Ok(leader);
                }
                Err(missing) => missing,
            };
            self.console.wait(since, "waiting for the cluster", &missing);
            let ended = self.cluster.nodes.iter().find_map(|node| Some((node, node.how_ended()?)));
            if let Some((node, how)) = ended {
                // What it said last may still be on its way.
                sleep(Duration::from_millis(100)).await;
                return Err(failed().unwrap_or_else(|| {
                    Trouble::new(format!("The agent of {} ended ({how}).", node.node.name()))
                        .advice(format!("Its log: {}", node.config.log().display()))
                }));
            }
            if clock::now().saturating_sub(since) > BEGIN_LIMIT {
                return Err(Trouble::new(format!("The cluster did not begin within 90 s: {missing}."))
                    .advice("Run it again with --keep-files and look at agent.log of both nodes."));
            }
            sleep(LOOK).await;
        }
    }

    /// Does one fault to the leader and waits until the cluster is whole again. `from` is where the one before ended.
    pub(crate) async fn inflict(&mut self, fault: Fault, round: u32, from: Duration) -> Result<Course, Trouble> {
        sleep(CALM).await;
        let leader = self
            .cluster
            .leader()
            .await
            .ok_or_else(|| Trouble::new("Nobody leads, so there is nobody to do anything to."))?;
        self.console.line("");
        let sentence = fault.sentence(leader.name(), leader.other().name());
        self.console.say(Who::Fault, Tone::Bad, &sentence);
        let injected = clock::now();
        let refused = self.inject(fault, leader).await;
        let mut course = Course {
            fault,
            round,
            node: leader,
            span: Span::new(from, injected),
            injected,
            healed: None,
            rejoined: None,
            missing: refused.err().map(|trouble| trouble.to_string()),
        };
        if course.missing.is_none() {
            self.follow(&mut course).await?;
        }
        course.span.to = clock::now();
        let text = match &course.missing {
            None => format!("whole again after {}", clock::seconds(course.span.to.saturating_sub(injected))),
            Some(missing) => format!("not whole again: {missing}"),
        };
        self.console.say(Who::Demo, if course.missing.is_none() { Tone::Good } else { Tone::Bad }, &text);
        Ok(course)
    }

    async fn inject(&mut self, fault: Fault, leader: Node) -> Result<(), Trouble> {
        let victim = self.cluster.node(leader);
        match fault {
            Fault::KillDatabase => {
                victim.kill_database();
            }
            Fault::KillNode => {
                victim.kill_node();
                self.cluster.note_agent(leader, AgentFace::Gone);
            }
            Fault::FreezeAgent => {
                victim.freeze();
                self.cluster.note_agent(leader, AgentFace::Frozen);
            }
            Fault::Switchover | Fault::SwitchBack => {
                victim.order(&Question::Switchover { to: leader.other().name().to_owned() }).await?;
            }
        }
        Ok(())
    }

    /// Waits for the client to be served, heals what was done, and waits for the rest.
    async fn follow(&mut self, course: &mut Course) -> Result<(), Trouble> {
        let by = course.fault.moves_leadership(self.cluster.mode).then_some(course.node.other());
        let since = clock::now();
        // By the other node it counts from the beginning; by the same one only what was sent when the fault was done.
        let sent_after = if by.is_some() { course.injected } else { since };
        let mut healed = false;
        let served = loop {
            self.cluster.note_ended();
            if let Some(served) = self.recorder.first_ack_sent_after(sent_after, by) {
                break served;
            }
            // A strict leader acknowledges nothing by itself: the client is served once the other node is back.
            let strict = self.cluster.mode == SyncMode::Strict;
            if !healed && strict && by.is_some() && self.cluster.leader().await == by {
                self.heal(course)?;
                healed = true;
            }
            if clock::now().saturating_sub(since) > WHOLE_LIMIT {
                let whom = by.map_or("anybody", Node::name);
                course.missing = Some(format!("the client was not served by {whom} within 60 s"));
                return if healed { Ok(()) } else { self.heal(course) };
            }
            let detail = self.cluster.is_whole(true).await.err().unwrap_or_default();
            self.console.wait(since, "waiting for the client to be served", &detail);
            sleep(LOOK).await;
        };
        self.console.waited();
        let at = served.acked.unwrap_or(served.sent);
        let text = match served.by {
            Some(node) => format!("the client's writes are acknowledged again, by {}", node.name()),
            None => "the client's writes are acknowledged again".to_owned(),
        };
        self.console.say_at(at, Who::Demo, Tone::Good, &text);
        if !healed {
            course.healed = Some(at);
            self.heal(course)?;
        }
        self.wait_until_whole(course).await
    }

    /// Undoes the fault, as an administrator or systemd would.
    fn heal(&mut self, course: &mut Course) -> Result<(), Trouble> {
        let node = course.node;
        let text = match course.fault {
            Fault::KillDatabase | Fault::Switchover | Fault::SwitchBack => {
                course.healed.get_or_insert_with(clock::now);
                return Ok(());
            }
            Fault::KillNode => format!("the agent of {} is started again", node.name()),
            Fault::FreezeAgent => match self.cluster.node(node).how_ended() {
                Some(how) => {
                    format!("the guard had ended the frozen agent of {} ({how}); it is started again", node.name())
                }
                None => format!("the agent of {} is thawed", node.name()),
            },
        };
        self.cluster.node(node).thaw();
        self.cluster.start(node)?;
        course.healed = Some(clock::now());
        self.console.say(Who::Demo, Tone::Plain, &text);
        Ok(())
    }

    async fn wait_until_whole(&mut self, course: &mut Course) -> Result<(), Trouble> {
        let since = clock::now();
        let mut whole_since = None;
        loop {
            // An agent that ends from here on is started again, as systemd does.
            for node in Node::BOTH {
                if let Some(how) = self.cluster.node(node).how_ended() {
                    self.cluster.note_agent(node, AgentFace::Gone);
                    let text = format!("the agent of {} ended ({how}); it is started again", node.name());
                    self.console.say(Who::Demo, Tone::Warning, &text);
                    self.cluster.start(node)?;
                }
            }
            if course.rejoined.is_none()
                && let Some(serving) = self.recorder.last_ack().and_then(|ack| ack.by)
                && self.cluster.feeds_the_other(serving, false).await
            {
                course.rejoined = Some(clock::now());
            }
            let now = clock::now();
            match self.cluster.is_whole(true).await {
                Ok(_) if now.saturating_sub(*whole_since.get_or_insert(now)) >= STEADY => {
                    self.console.waited();
                    return Ok(());
                }
                Ok(_) => {}
                Err(missing) => {
                    whole_since = None;
                    self.console.wait(since, "waiting for the cluster to be whole", &missing);
                    if now.saturating_sub(since) > WHOLE_LIMIT {
                        self.console.waited();
                        course.missing = Some(missing);
                        return Ok(());
                    }
                }
            }
            sleep(LOOK).await;
        }
    }
}
