//! One world, from its plan to its end.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use odoo_ha_core::machine::{AddressFacts, Bootstrap, Config, StateName};
use odoo_ha_core::member::MemberId;
use odoo_ha_core::policy::Timing;

use super::invariants::holds_without_clocks;
use super::tally::Counter;
use super::{Deed, Dice, Fault, FaultKind, Judged, Oddity, Plan, Step, Tally, Wish, World};

/// A new cluster is whole within this.
const BEGINS_WITHIN: Duration = Duration::from_secs(30);

/// Once nothing is broken any more, the cluster is whole within this, and so many ttls.
const HEALS_WITHIN: Duration = Duration::from_secs(60);
const HEALS_WITHIN_TTLS: u32 = 6;

/// How long an operator looks on before resuming what is paused.
const OPERATOR_WAITS: Duration = Duration::from_secs(10);

/// What must never be, and was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// The step of the plan in which it was seen; 0: before the first.
    pub step: usize,
    /// When, since the world began.
    pub at: Duration,
    /// What must hold.
    pub invariant: String,
    /// What was seen.
    pub what: String,
    /// What happened before, for a person; empty unless asked for.
    pub timeline: String,
}

/// What became of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Of which seed.
    pub seed: u64,
    /// What is counted.
    pub tally: Tally,
    /// A number that follows from everything that happened.
    pub digest: u64,
    /// What must never be, and was.
    pub broken: Option<Broken>,
}

/// Lets a world live by its plan. `told`: what happens is written down for a person.
pub fn run(plan: &Plan, told: bool) -> Outcome {
    let mut life = Life::new(plan, told);
    let ended = catch_unwind(AssertUnwindSafe(|| life.live()));
    let broken = match ended {
        Ok(result) => result.err(),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
            Some(life.broken("no panic", text.unwrap_or_default()))
        }
    };
    life.outcome(broken)
}

struct Life<'a> {
    plan: &'a Plan,
    told: bool,
    world: Option<World>,
    step: usize,
    /// So many events were counted.
    seen: usize,
    counter: Counter,
    tally: Tally,
    digest: Digest,
}

impl<'a> Life<'a> {
    fn new(plan: &'a Plan, told: bool) -> Self {
        let (counter, tally) = (Counter::default(), Tally::default());
        Self { plan, told, world: None, step: 0, seen: 0, counter, tally, digest: Digest::new(plan.seed) }
    }

    fn live(&mut self) -> Result<(), Broken> {
        let plan = self.plan;
        self.world = Some(begin(plan, self.told));
        self.find_former_data()?;
        let mut dice = Dice::new(plan.oddities.rotate_left(32));
        if plan.profile.oddities.contains(&Oddity::NastyBeginning) && dice.one_in(2) {
            self.begin_badly(&mut dice)?;
        }
        let Some(world) = &mut self.world else { return Ok(()) };
        if !world.reach(BEGINS_WITHIN, World::whole) {
            return Err(self.broken("heals", format!("a new cluster is not whole within {BEGINS_WITHIN:?}")));
        }
        self.look()?;
        for step in &plan.steps {
            self.step = step.number;
            self.take(step)?;
            self.pass(step.wait)?;
        }
        Ok(())
    }

    /// Who has data of before and was not told to begin with them is told so after a while. Until then nobody begins.
    fn find_former_data(&mut self) -> Result<(), Broken> {
        let Some(world) = &mut self.world else { return Ok(()) };
        if !self.plan.profile.oddities.contains(&Oddity::FormerData) {
            return Ok(());
        }
        let names = world.present();
        let silent = names.into_iter().find(|name| world.node(name).config.bootstrap == Bootstrap::Never);
        let Some(owner) = silent else { return Ok(()) };
        world.run(Duration::from_secs(3));
        world.node_mut(&owner).config.bootstrap = Bootstrap::Adopt;
        world.note(|| format!("{owner} is told to begin the cluster with its data"));
        world.start_agent(&owner);
        self.look()
    }

    /// Whoever begins the cluster dies, before or after there is a database. Before, another begins it, unless it was to begin with data that
    /// were there: then it is waited for.
    fn begin_badly(&mut self, dice: &mut Dice) -> Result<(), Broken> {
        let Some(world) = &mut self.world else { return Ok(()) };
        world.run(Duration::from_millis(dice.below(1500)));
        let Some(beginner) = world.store.leader_record().and_then(|record| record.holder) else { return Ok(()) };
        let adopts = world.node(&beginner).config.bootstrap == Bootstrap::Adopt;
        world.note(|| format!("the host of {beginner} crashes while it begins the cluster"));
        world.apply(&Fault::HostCrashed(beginner.clone()));
        // What it had sent arrives.
        world.run(Duration::from_secs(1));
        let limit = BEGINS_WITHIN + world.longest_ttl() * HEALS_WITHIN_TTLS;
        let unfinished = world.records.system_id.is_none();
        if unfinished && adopts {
            world.run(world.longest_ttl() * 3);
        } else if unfinished && !world.reach(limit, |world| world.leader().is_some()) {
            return Err(
                self.broken("heals", format!("nobody begins the cluster within {limit:?} after {beginner} died"))
            );
        }
        if let Some(world) = &mut self.world {
            world.heal();
        }
        self.look()
    }

    fn take(&mut self, step: &Step) -> Result<(), Broken> {
        let Some(world) = &mut self.world else { return Ok(()) };
        let mut dice = Dice::new(step.dice);
        world.finish_removals();
        let number = step.number;
        match step.deed {
            Deed::Fault(kind) => {
                let Some(fault) = Fault::draw(kind, world, &mut dice) else { return Ok(()) };
                world.note(|| format!("step {number}: {fault}"));
                world.apply(&fault);
                self.tally.faults += 1;
            }
            Deed::Wish(kind) => {
                let Some(wish) = Wish::draw(kind, world, &mut dice) else { return Ok(()) };
                world.note(|| format!("step {number}: {wish}"));
                world.wish(&wish);
                self.tally.wishes += 1;
            }
            Deed::Mend => {
                let Some(whom) = world.somebody(&mut dice) else { return Ok(()) };
                world.note(|| format!("step {number}: {whom} is mended"));
                world.mend(&whom);
            }
            Deed::Heal => {
                world.note(|| format!("step {number}: everything is mended"));
                world.heal();
                world.set_the_store_right(&mut dice);
            }
            Deed::Peace => {
                world.note(|| format!("step {number}: everything is mended, and the cluster is left in peace"));
                world.set_the_store_right(&mut dice);
                self.peace(&mut dice)?;
            }
        }
        Ok(())
    }

    /// Lets time pass, until something is seen that must never be.
    fn pass(&mut self, wait: Duration) -> Result<(), Broken> {
        let judged = self.plan.profile.judged;
        if let Some(world) = &mut self.world {
            world.reach(wait, |world| judged == Judged::All && !world.violations.is_empty());
        }
        self.look()
    }

    /// Everything is mended; the cluster has to become whole. A paused one does so only with an operator's help.
    fn peace(&mut self, dice: &mut Dice) -> Result<(), Broken> {
        let Some(world) = &mut self.world else { return Ok(()) };
        let limit = HEALS_WITHIN + world.longest_ttl() * HEALS_WITHIN_TTLS;
        let began = world.now;
        for round in 0_u32.. {
            let Some(world) = &mut self.world else { return Ok(()) };
            // Whom the operator has just switched off stays off for a round.
            if round == 0 || !round.is_multiple_of(2) {
                world.heal();
            }
            let judged = self.plan.profile.judged;
            world.reach(OPERATOR_WAITS, |world| {
                world.removals.is_empty() && world.whole() && world.faces_follow()
                    || judged == Judged::All && !world.violations.is_empty()
            });
            let (whole, took) = (world.removals.is_empty() && world.whole() && world.faces_follow(), world.now - began);
            self.look()?;
            if whole {
                if let Some(world) = &mut self.world {
                    world.read_at_last();
                }
                self.look()?;
                self.tally.peaces += 1;
                self.tally.longest_heal = self.tally.longest_heal.max(took);
                return Ok(());
            }
            if took > limit {
                if judged == Judged::Durability {
                    return Ok(());
                }
                return Err(self.broken("heals", format!("the cluster is not whole {took:?} after the last fault")));
            }
            self.help(round, dice);
        }
        Ok(())
    }

    /// What an operator does about a cluster that does not become whole: nothing, unless it is paused. With the leader gone, only a forced failover leads out of a pause,
    /// and nobody need accept a loss for it.
    fn help(&mut self, round: u32, dice: &mut Dice) {
        let Some(world) = &mut self.world else { return };
        world.confirm_the_store();
        let Some(record) = world.store.leader_record().filter(|record| record.paused) else { return };
        let mut others: Vec<MemberId> =
            world.present().into_iter().filter(|name| record.holder.as_ref() != Some(name)).collect();
        // Who is only just starting hears of no wish, and who has no data leads nothing: an operator sees both.
        let fit = |name: &MemberId| {
            let node = world.node(name);
            node.database.state.has_data() && world.state(name).is_some_and(|state| state != StateName::Joining)
        };
        if others.iter().any(fit) {
            others.retain(fit);
        }
        // A refusal says who is needed: one of those is asked for.
        let counted = |name: &MemberId| {
            world.store.sync_record().is_some_and(|sync| sync.leader == *name || sync.names.contains_key(name))
        };
        if others.iter().any(counted) {
            others.retain(counted);
        }
        let Some(whom) = dice.pick(&others).cloned() else { return };
        let wish = if round.is_multiple_of(2) { Wish::Resume(whom) } else { Wish::Failover(whom.clone(), whom, false) };
        world.note(|| wish.to_string());
        world.wish(&wish);
    }

    /// Counts what happened, and looks for what must never be.
    fn look(&mut self) -> Result<(), Broken> {
        let Some(world) = &mut self.world else { return Ok(()) };
        for (at, event) in &world.events[self.seen..] {
            self.counter.take(event, &mut self.tally);
            self.digest.number(u64::try_from(at.as_micros()).unwrap_or_default());
            self.digest.number(event.term.0);
            self.digest.text(event.member.as_str());
            self.digest.text(&event.sentence);
        }
        self.seen = world.events.len();
        let judged = self.plan.profile.judged;
        let found =
            world.violations.iter().find(|found| judged == Judged::All || holds_without_clocks(found.invariant));
        if let Some(found) = found.cloned() {
            return Err(self.broken(found.invariant, found.to_string()));
        }
        world.violations.clear();
        Ok(())
    }

    fn broken(&self, invariant: &str, what: String) -> Broken {
        let world = self.world.as_ref();
        Broken {
            step: self.step,
            at: world.map_or(Duration::ZERO, World::age),
            invariant: invariant.to_owned(),
            what,
            timeline: world.filter(|_| self.told).map(World::timeline).unwrap_or_default(),
        }
    }

    fn outcome(mut self, broken: Option<Broken>) -> Outcome {
        if let Some(world) = &self.world {
            self.tally.lived = world.age();
            self.tally.saved = world.acknowledged.len() as u64;
            self.digest.number(u64::try_from(world.now.as_micros()).unwrap_or_default());
            self.digest.number(world.acknowledged.len() as u64);
            self.digest.number(world.store.snapshot().revision.0);
        }
        if let Some(broken) = &broken {
            self.digest.text(&broken.what);
        }
        Outcome { seed: self.plan.seed, tally: self.tally, digest: self.digest.0, broken }
    }
}

/// The longest that a watchdog acts before its deadline, whatever the ttl is set to.
const WATCHDOG_ACTS_BEFORE: Duration = Duration::from_millis(400);

fn begin(plan: &Plan, told: bool) -> World {
    let mut world = World::with(plan.nodes, plan.world, |config| {
        config.policy.sync_mode = plan.mode;
        config.timing = plan.timing;
        config.watchdog = Some(WATCHDOG_ACTS_BEFORE);
        (config.services, config.filestore) = (true, true);
        make_odd(config, plan);
    });
    if plan.profile.oddities.contains(&Oddity::FormerData) {
        begin_with_former_data(&mut world, plan);
    }
    world.tale = told.then(Vec::new);
    world.supervised = Some(Duration::from_secs(1));
    world.direct_writers = plan.direct_writers;
    if plan.profile.faults.iter().any(|(weight, kind)| *weight > 0 && *kind == FaultKind::StoreRestored) {
        world.back_up_the_store();
    }
    world.network.notice = Duration::from_millis(plan.profile.notice_ms);
    let names: Vec<MemberId> = world.present();
    for (name, ppm) in names.iter().zip(&plan.clocks) {
        world.node_mut(name).database.hasty = plan.profile.hasty;
        if *ppm != 0 {
            world.set_clock(name, *ppm);
            world.start_agent(name);
        }
    }
    world
}

/// What is out of the ordinary in this member's configuration. The same is drawn for the whole cluster, except its tags.
fn make_odd(config: &mut Config, plan: &Plan) {
    let has = |oddity: Oddity| plan.profile.oddities.contains(&oddity);
    let mut dice = Dice::new(plan.oddities);
    let place = config.me.as_str().bytes().next().map_or(0, |letter| u64::from(letter - b'a'));
    let kind = AddressFacts {
        fences_by_term: dice.one_in(2),
        moves_authoritatively: dice.one_in(2),
        longest_in_flight: plan.timing.ttl * u32::try_from(dice.below(3)).unwrap_or_default() / 8,
        ..AddressFacts::default()
    };
    if has(Oddity::AddressKinds) {
        config.address = Some(kind);
    }
    let lag = dice.below(40);
    if has(Oddity::LagLimit) {
        config.policy.maximum_lag_on_failover = lag;
    }
    let (hasty, plain) = (dice.between(300, 600), dice.roll());
    if has(Oddity::HastySuspicion) {
        config.timing.renew_interval = Duration::from_millis(hasty / 4).max(Duration::from_millis(50));
        config.timing.suspicion = Duration::from_millis(hasty).max(Timing::MIN_SUSPICION).min(config.timing.ttl);
    }
    if has(Oddity::Peers) {
        config.peer = Some(config.me.to_string());
    }
    if has(Oddity::NoWatchdogs) {
        config.watchdog = None;
    }
    let quorum = super::operator::draw_quorum(&mut Dice::new(plan.oddities.rotate_left(8)));
    if has(Oddity::Quorum) {
        config.policy.quorum = quorum;
    }
    // Two can lead and be counted, whoever they are.
    let nodes = plan.nodes as u64;
    let taggable = (place + plain) % nodes >= 2;
    let mut own = Dice::new(plan.oddities.wrapping_add(place + 1));
    if has(Oddity::Tags) {
        config.tags.failover_priority = i32::try_from(own.below(3)).unwrap_or_default();
        (config.tags.nofailover, config.tags.nosync) = (taggable && own.one_in(3), taggable && own.one_in(3));
        // Any other member, one that may lead as well as one that cascades itself: also in a circle.
        let named = (place + 1 + own.below(nodes - 1)) % nodes;
        if taggable && own.one_in(3) {
            config.tags.replicate_from =
                char::from_u32(u32::from(b'a') + named as u32).and_then(|name| MemberId::new(name).ok());
        }
        if config.tags.nofailover {
            config.bootstrap = Bootstrap::Never;
        }
    }
}

/// In half of the worlds one member has data of before and is to begin with them; all others wait for its word.
fn begin_with_former_data(world: &mut World, plan: &Plan) {
    let mut dice = Dice::new(plan.oddities.rotate_left(16));
    let names: Vec<MemberId> = world.present();
    let Some(owner) = dice.pick(&names).cloned().filter(|_| dice.one_in(2)) else { return };
    let told = if dice.one_in(2) { Bootstrap::Adopt } else { Bootstrap::Never };
    for name in &names {
        let node = world.node_mut(name);
        node.config.founders = names.iter().cloned().collect();
        if *name == owner {
            node.config.bootstrap = told;
        }
    }
    world.former_data(&owner);
    for name in &names {
        world.start_agent(name);
    }
}

/// A number that follows from all that was put in, and from its order.
struct Digest(u64);

impl Digest {
    const fn new(seed: u64) -> Self {
        Self(seed ^ 0xCBF2_9CE4_8422_2325)
    }

    fn number(&mut self, number: u64) {
        self.0 = (self.0 ^ number).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(29);
    }

    fn text(&mut self, text: &str) {
        for chunk in text.as_bytes().chunks(8) {
            let mut bytes = [0; 8];
            bytes[..chunk.len()].copy_from_slice(chunk);
            self.number(u64::from_le_bytes(bytes));
        }
        self.number(text.len() as u64);
    }
}
