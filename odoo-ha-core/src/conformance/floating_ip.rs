//! The suite for floating addresses.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::bench::{Checked, PATIENCE, ShouldWork, Suite, describe, ends, ensure, ensure_error};
use super::report::{Finding, Report};
use super::timer::{Timer, dropped_after};
use crate::error::{Error, ErrorKind};
use crate::roles::{AddressState, FloatingIp};
use crate::term::Term;

const ATTACH: &str = "Makes the address reach this node. Attaching what is attached re-asserts it.";
const DETACH: &str = "Detaching what is not attached is `Ok`.";
const OTHER: &str = "`detach` never touches the address on another node.";
const HELD: &str = "`NotReady` while another node holds it and it cannot be taken.";
const MOVES: &str = "Attaching takes the address away from whoever has it.";
const FENCED: &str =
    "It remembers the highest term that attached the address and refuses an older one, whichever node asks.";
const DROPPED: &str = "After an error or a dropped call the address may be here: `detach` undoes it.";

/// The address as two nodes see it.
pub type Pair = (Arc<dyn FloatingIp>, Arc<dyn FloatingIp>);

/// Makes two nodes that share one address.
///
/// A closure will do: `|| Ok((Arc::new(…) as Arc<dyn FloatingIp>, Arc::new(…) as Arc<dyn FloatingIp>))`.
#[async_trait]
pub trait FloatingIpBench: Send + Sync {
    /// Two nodes and an address that neither has and that no term was ever used for. What earlier pairs held is free.
    ///
    /// # Errors
    ///
    /// Whatever stands in the way; the check that asked fails then.
    async fn pair(&self) -> Result<Pair, Error>;
}

#[async_trait]
impl<F: Fn() -> Result<Pair, Error> + Send + Sync> FloatingIpBench for F {
    async fn pair(&self) -> Result<Pair, Error> {
        self()
    }
}

/// Holds an address backend against the contract of [`FloatingIp`].
///
/// Every check detaches what it attached when it passes; cancelling does not.
pub async fn floating_ip(bench: &dyn FloatingIpBench, timer: &dyn Timer) -> Report {
    let mut suite = Suite::new("FloatingIp", timer);
    let capabilities = match bench.pair().await {
        Ok((a, b)) => {
            let agree = ensure(
                a.capabilities() == b.capabilities(),
                "What this backend can promise.",
                "equal promises of both nodes",
                (a.capabilities(), b.capabilities()),
            );
            suite.check("both_nodes_promise_the_same", Box::pin(async { agree })).await;
            a.capabilities()
        }
        Err(error) => {
            let failed = Err(error).should_work("making two nodes");
            suite.check("both_nodes_promise_the_same", Box::pin(async { failed })).await;
            return suite.finish();
        }
    };
    let lab = Lab { bench, timer };
    suite.check("a_new_address_is_nowhere", Box::pin(lab.a_new_address_is_nowhere())).await;
    suite.check("attach_look_detach", Box::pin(lab.attach_look_detach())).await;
    suite.check("attaching_and_detaching_are_idempotent", Box::pin(lab.idempotent())).await;
    suite.check("at_most_one_node_holds_it", Box::pin(lab.at_most_one_holds())).await;
    suite.check("detaching_leaves_the_other_node_alone", Box::pin(lab.detach_leaves_the_other())).await;
    suite.check("it_moves_back_and_forth", Box::pin(lab.moves_back_and_forth())).await;
    if capabilities.moves_authoritatively {
        suite.check("attaching_takes_it_from_the_other", Box::pin(lab.attach_takes_it())).await;
    } else {
        suite.skip("attaching_takes_it_from_the_other", "moves_authoritatively is false");
    }
    if capabilities.fences_by_term {
        suite.check("an_older_term_is_fenced", Box::pin(lab.fenced())).await;
    } else {
        suite.skip("an_older_term_is_fenced", "fences_by_term is false");
    }
    suite.check("a_dropped_attach_is_undone_by_detach", Box::pin(lab.dropped_attach())).await;
    suite.check("a_timeout_of_zero_ends_the_call", Box::pin(lab.no_time_at_all())).await;
    suite.finish()
}

struct Lab<'a> {
    bench: &'a dyn FloatingIpBench,
    timer: &'a dyn Timer,
}

impl Lab<'_> {
    async fn pair(&self) -> Result<Pair, Finding> {
        self.bench.pair().await.should_work("making two nodes")
    }

    async fn a_new_address_is_nowhere(&self) -> Checked {
        let (a, b) = self.pair().await?;
        is(&a, AddressState::NotHere, "Where the address is").await?;
        is(&b, AddressState::NotHere, "Where the address is").await
    }

    async fn attach_look_detach(&self) -> Checked {
        let (a, b) = self.pair().await?;
        attach(&a, 1).await?;
        is(&a, AddressState::Here, ATTACH).await?;
        is(&b, AddressState::NotHere, ATTACH).await?;
        detach(&a).await?;
        is(&a, AddressState::NotHere, "Makes this node not answer at the address.").await
    }

    async fn idempotent(&self) -> Checked {
        let (a, _b) = self.pair().await?;
        detach(&a).await?;
        for _ in 0..3 {
            attach(&a, 1).await?;
            is(&a, AddressState::Here, ATTACH).await?;
        }
        attach(&a, 2).await?;
        is(&a, AddressState::Here, ATTACH).await?;
        for _ in 0..3 {
            detach(&a).await?;
            is(&a, AddressState::NotHere, DETACH).await?;
        }
        Ok(())
    }

    async fn at_most_one_holds(&self) -> Checked {
        let (a, b) = self.pair().await?;
        attach(&a, 1).await?;
        let second = b.attach(Term(2), PATIENCE).await;
        let (at_a, at_b) = (look(&a).await?, look(&b).await?);
        let both = at_a == AddressState::Here && at_b == AddressState::Here;
        ensure(!both, HELD, "the address at one node at most", (at_a, at_b, describe(&second)))?;
        match &second {
            Ok(()) => ensure(at_b == AddressState::Here, ATTACH, "the address here after `Ok`", at_b)?,
            Err(_) => {
                ensure_error(&second, &[ErrorKind::NotReady], HELD, "attaching what another node holds")?;
                ensure(at_a == AddressState::Here, HELD, "the address still at its holder", at_a)?;
            }
        }
        detach(&b).await?;
        detach(&a).await
    }

    async fn detach_leaves_the_other(&self) -> Checked {
        let (a, b) = self.pair().await?;
        attach(&a, 1).await?;
        detach(&b).await?;
        is(&a, AddressState::Here, OTHER).await?;
        detach(&a).await
    }

    async fn moves_back_and_forth(&self) -> Checked {
        let (a, b) = self.pair().await?;
        for round in 0..3 {
            for (number, (from, to)) in [(&a, &b), (&b, &a)].into_iter().enumerate() {
                attach(from, round * 4 + number as u64 * 2).await?;
                detach(from).await?;
                attach(to, round * 4 + number as u64 * 2 + 1).await?;
                is(to, AddressState::Here, ATTACH).await?;
                is(from, AddressState::NotHere, "Makes this node not answer at the address.").await?;
                detach(to).await?;
            }
        }
        Ok(())
    }

    async fn attach_takes_it(&self) -> Checked {
        let (a, b) = self.pair().await?;
        attach(&a, 1).await?;
        attach(&b, 2).await?;
        is(&b, AddressState::Here, MOVES).await?;
        is(&a, AddressState::NotHere, MOVES).await?;
        detach(&a).await?;
        is(&b, AddressState::Here, OTHER).await?;
        detach(&b).await
    }

    async fn fenced(&self) -> Checked {
        let (a, b) = self.pair().await?;
        attach(&a, 5).await?;
        for node in [&a, &b] {
            let old = node.attach(Term(4), PATIENCE).await;
            ensure_error(&old, &[ErrorKind::Fenced], FENCED, "attaching with term 4 after term 5")?;
        }
        is(&a, AddressState::Here, "`Fenced`: nothing happened.").await?;
        is(&b, AddressState::NotHere, "`Fenced`: nothing happened.").await?;
        detach(&a).await?;
        for node in [&a, &b] {
            let old = node.attach(Term(4), PATIENCE).await;
            ensure_error(&old, &[ErrorKind::Fenced], FENCED, "attaching with term 4 when term 5 has detached")?;
            is(node, AddressState::NotHere, "`Fenced`: nothing happened.").await?;
        }
        attach(&b, 6).await?;
        is(&b, AddressState::Here, ATTACH).await?;
        detach(&b).await
    }

    async fn dropped_attach(&self) -> Checked {
        for polls in 1..5 {
            let (a, b) = self.pair().await?;
            dropped_after(polls, a.attach(Term(1), PATIENCE)).await;
            self.timer.sleep(a.capabilities().longest_in_flight).await;
            detach(&a).await?;
            is(&a, AddressState::NotHere, DROPPED).await?;
            attach(&b, 2).await?;
            is(&b, AddressState::Here, ATTACH).await?;
            detach(&b).await?;
        }
        Ok(())
    }

    async fn no_time_at_all(&self) -> Checked {
        let (a, _b) = self.pair().await?;
        let none = Duration::ZERO;
        // Whether they succeed is theirs to say: only that they end is asked.
        let _ = ends(self.timer, "attaching", none, a.attach(Term(1), none)).await?;
        let _ = ends(self.timer, "looking", none, a.look(none)).await?;
        let _ = ends(self.timer, "detaching", none, a.detach(none)).await?;
        self.timer.sleep(a.capabilities().longest_in_flight).await;
        detach(&a).await?;
        is(&a, AddressState::NotHere, DROPPED).await
    }
}

async fn attach(node: &Arc<dyn FloatingIp>, term: u64) -> Checked {
    node.attach(Term(term), PATIENCE).await.should_work(&format!("attaching a free address with term {term}"))
}

async fn detach(node: &Arc<dyn FloatingIp>) -> Checked {
    node.detach(PATIENCE).await.should_work("detaching")
}

async fn look(node: &Arc<dyn FloatingIp>) -> Result<AddressState, Finding> {
    node.look(PATIENCE).await.should_work("looking")
}

async fn is(node: &Arc<dyn FloatingIp>, state: AddressState, contract: &'static str) -> Checked {
    let seen = look(node).await?;
    ensure(seen == state, contract, &format!("{state:?}"), seen)
}
