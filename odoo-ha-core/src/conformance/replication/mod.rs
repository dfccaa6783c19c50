//! The suite for databases and their replication.

mod alone;
mod following;
mod taking_over;

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::bench::{Checked, ShouldWork, Suite, ensure};
use super::report::{Finding, Report};
use super::timer::{Timer, within};
use crate::database::{
    BootstrapOrder, Bootstrapped, DatabaseState, DatabaseStatus, FollowOrder, PromoteOrder, StartPrimaryOrder,
    StopMode, SynchronousStandbys, Upstream,
};
use crate::error::Error;
use crate::lsn::{Lsn, Timeline};
use crate::member::SystemId;
use crate::roles::{ReplicationCapabilities, ReplicationManager};
use crate::term::Term;

/// The deadline for orders to a database: starts, clones, promotions.
const ORDER: Duration = Duration::from_secs(60);

/// The deadline for looking at a database.
const LOOK: Duration = Duration::from_secs(10);

/// One of the two nodes of a world.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Node {
    /// The first.
    A,
    /// The second.
    B,
}

/// Makes worlds in which two databases replicate.
#[async_trait]
pub trait ReplicationBench: Send + Sync {
    /// What the tested backend can do.
    fn capabilities(&self) -> ReplicationCapabilities;

    /// Two nodes without data that reach each other. What earlier worlds started may be ended.
    ///
    /// # Errors
    ///
    /// Whatever stands in the way; the check that asked fails then.
    async fn world(&self) -> Result<Arc<dyn ReplicationWorld>, Error>;
}

/// Two nodes, and what the suite must do behind the implementation's back.
#[async_trait]
pub trait ReplicationWorld: Send + Sync + Debug {
    /// The member on this node and where its database listens.
    fn upstream(&self, node: Node) -> Upstream;

    /// A new instance of the implementation over this node's data directory; the one before is dropped by then.
    ///
    /// # Errors
    ///
    /// Whatever stands in the way.
    async fn open(&self, node: Node) -> Result<Arc<dyn ReplicationManager>, Error>;

    /// Commits something to this node's database as a client does, waiting for its acknowledgement.
    ///
    /// # Errors
    ///
    /// Any, when it was not acknowledged in time.
    async fn write(&self, node: Node, timeout: Duration) -> Result<(), Error>;

    /// Kills the database's main process on this node (SIGKILL) and returns when no process of it is left.
    ///
    /// # Errors
    ///
    /// Whatever stands in the way.
    async fn kill(&self, node: Node) -> Result<(), Error>;
}

/// Holds a replication backend against the contract of [`ReplicationManager`].
///
/// With a real database it takes some minutes. Cancelling leaves databases running.
pub async fn replication(bench: &dyn ReplicationBench, timer: &dyn Timer) -> Report {
    let mut suite = Suite::new("ReplicationManager", timer);
    let lab = Lab { bench, timer };
    if !bench.capabilities().bootstrap {
        suite.skip("all_checks", "bootstrap is false: every check begins with a database that the implementation made");
        return suite.finish();
    }
    alone::run(&mut suite, &lab).await;
    following::run(&mut suite, &lab).await;
    taking_over::run(&mut suite, &lab).await;
    suite.finish()
}

struct Lab<'a> {
    bench: &'a dyn ReplicationBench,
    timer: &'a dyn Timer,
}

/// A world with an instance for each of its nodes.
struct Pair<'a> {
    lab: &'a Lab<'a>,
    world: Arc<dyn ReplicationWorld>,
    a: Arc<dyn ReplicationManager>,
    b: Arc<dyn ReplicationManager>,
}

impl<'a> Lab<'a> {
    /// Two nodes without data.
    async fn empty(&'a self) -> Result<Pair<'a>, Finding> {
        let world = self.bench.world().await.should_work("making a world")?;
        let a = world.open(Node::A).await.should_work("opening node A")?;
        let b = world.open(Node::B).await.should_work("opening node B")?;
        Ok(Pair { lab: self, world, a, b })
    }

    /// A leads in term 1, B has nothing.
    async fn one(&'a self) -> Result<(Pair<'a>, Bootstrapped), Finding> {
        let pair = self.empty().await?;
        let begun = pair.a.bootstrap(&bootstrap_order(false), ORDER).await.should_work("a bootstrap")?;
        Ok((pair, begun))
    }

    /// A leads in term 1 and B streams from it.
    async fn two(&'a self) -> Result<(Pair<'a>, Bootstrapped), Finding> {
        let (pair, begun) = self.one().await?;
        let members = BTreeSet::from([pair.world.upstream(Node::B).member]);
        pair.a.keep_slots(&members, ORDER).await.should_work("keeping a slot")?;
        let order = pair.follow_a(begun.system_id);
        pair.b.follow(&order, ORDER).await.should_work("following from nothing")?;
        pair.until(Node::B, "B streams", |status| status.streaming).await?;
        Ok((pair, begun))
    }
}

impl Pair<'_> {
    /// The same nodes, one of them with a new instance, as after a restart of its agent.
    async fn reopened(self, node: Node) -> Result<Self, Finding> {
        let Pair { lab, world, a, b } = self;
        match node {
            Node::A => {
                drop(a);
                let a = world.open(node).await.should_work("opening node A anew")?;
                Ok(Pair { lab, world, a, b })
            }
            Node::B => {
                drop(b);
                let b = world.open(node).await.should_work("opening node B anew")?;
                Ok(Pair { lab, world, a, b })
            }
        }
    }

    fn manager(&self, node: Node) -> &Arc<dyn ReplicationManager> {
        match node {
            Node::A => &self.a,
            Node::B => &self.b,
        }
    }

    async fn status(&self, node: Node) -> Result<DatabaseStatus, Finding> {
        self.manager(node).status(LOOK).await.should_work("a status")
    }

    async fn is(&self, node: Node, state: DatabaseState, contract: &'static str) -> Checked {
        let seen = self.status(node).await?;
        ensure(seen.state == state, contract, &format!("{node:?} is {state:?}"), seen)
    }

    /// Waits until the status is as wanted.
    async fn until(
        &self,
        node: Node,
        what: &str,
        wanted: impl Fn(&DatabaseStatus) -> bool,
    ) -> Result<DatabaseStatus, Finding> {
        let waiting = async {
            loop {
                let status = self.status(node).await?;
                if wanted(&status) {
                    return Ok(status);
                }
                self.lab.timer.sleep(Duration::from_millis(20)).await;
            }
        };
        match within(self.lab.timer, ORDER, waiting).await {
            Some(result) => result,
            None => {
                let seen = format!("{:?}", self.status(node).await?);
                Err(Finding::new(
                    "Reads the state of the local data and processes.",
                    format!("{what} within {ORDER:?}"),
                    seen,
                ))
            }
        }
    }

    async fn write(&self, node: Node) -> Checked {
        self.world.write(node, ORDER).await.should_work("a client's commit")
    }

    async fn kill(&self, node: Node) -> Checked {
        self.world.kill(node).await.should_work("killing a database")
    }

    /// A writes, and B has it.
    async fn write_and_catch_up(&self) -> Result<Lsn, Finding> {
        self.write(Node::A).await?;
        let lsn = self.status(Node::A).await?.lsn;
        self.until(Node::B, "B has replayed what A wrote", |status| status.replayed >= lsn).await?;
        Ok(lsn)
    }

    fn follow_a(&self, system_id: SystemId) -> FollowOrder {
        self.follow(Node::A, 1, 1, system_id)
    }

    fn follow(&self, upstream: Node, term: u64, timeline: u32, system_id: SystemId) -> FollowOrder {
        FollowOrder {
            term: Term(term),
            upstream: self.world.upstream(upstream),
            timeline: Timeline(timeline),
            system_id,
            may_discard: false,
            reclone: false,
            members: BTreeSet::new(),
        }
    }

    fn promote(&self, other: Node, term: u64, timeline: u32, system_id: SystemId, at_least: Lsn) -> PromoteOrder {
        PromoteOrder {
            term: Term(term),
            timeline: Timeline(timeline),
            system_id,
            at_least,
            synchronous: SynchronousStandbys::Nobody,
            members: BTreeSet::from([self.world.upstream(other).member]),
        }
    }
}

fn bootstrap_order(adopt: bool) -> BootstrapOrder {
    BootstrapOrder { term: Term(1), adopt }
}

fn start_order(term: u64) -> StartPrimaryOrder {
    StartPrimaryOrder { term: Term(term), synchronous: SynchronousStandbys::Nobody, members: BTreeSet::new() }
}

const AT_ONCE: StopMode = StopMode::AtOnce { fast_for_ms: 0 };
