//! One step: what it does to the state, until everything that is no step of its own has come to rest.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use odoo_ha_core::database::{DatabaseOrder, DatabaseState};
use odoo_ha_core::error::{ErrorKind, Failure};
use odoo_ha_core::event::EventKind;
use odoo_ha_core::machine::{Action, Answer, CallId, Command, Config, Input, Machine, Order, StateName};
use odoo_ha_core::records::RequestKind;
use odoo_ha_core::store::Commit;
use odoo_ha_core::time::Moment;

use super::bounds::{Bounds, Clocks, Mistake};
use super::state::{Call, Node, State, Wrong};
use super::step::{Fate, Step, is_step};
use super::store::is_small_talk;

/// More inputs than this in one step are a circle.
const MAX_INPUTS: usize = 2000;

/// No leap is longer. All timers of a machine that wait for silence are shorter, but for those that only bound what hangs.
const HORIZON: Duration = Duration::from_millis(6500);

/// A timer may fire this much late. Waiting states wake every 50 ms; with clocks of their own a longer delay shows nothing that another
/// order of leaps does not, and with the common time it stays below the clock margin (100 ms).
const LATE_INDEPENDENT: Duration = Duration::from_millis(250);
const LATE_COMMON: Duration = Duration::from_millis(50);

/// A state in motion.
pub(super) struct Motion<'a> {
    pub(super) bounds: &'a Bounds,
    pub(super) configs: &'a [Config],
    pub(super) state: State,
    /// What machines are to be told before the step ends.
    told: VecDeque<(usize, Input)>,
    /// Something happened that others can notice.
    noticed: bool,
}

pub(super) type Outcome = Result<Answer, Failure>;

impl<'a> Motion<'a> {
    pub(super) fn of(bounds: &'a Bounds, configs: &'a [Config], state: &State) -> Self {
        Self { bounds, configs, state: state.clone(), told: VecDeque::new(), noticed: false }
    }

    /// Takes a step. `None`: nothing comes of it.
    pub(super) fn step(mut self, step: Step) -> Option<State> {
        self.take(step)?;
        self.settle();
        self.acknowledge();
        self.look();
        for node in &mut self.state.nodes {
            node.seal();
        }
        self.state.store.seal();
        self.state.depth += 1;
        Some(self.state)
    }

    fn take(&mut self, step: Step) -> Option<()> {
        match step {
            Step::Leap(i) => return self.leap(i),
            Step::Time => return self.time(),
            Step::Do(i, id) => {
                let call = self.node(i).calls.remove(&id)?;
                let result = self.perform(i, &call.action);
                self.tell(i, Input::Finished { id: CallId(id), result });
            }
            Step::Lose(i, id, fate) => self.lose(i, id, fate)?,
            Step::News(i) => self.show_news(i),
            Step::Land(k) => {
                let commit = self.state.late.remove(k);
                // Refused or not, nobody hears of it.
                let _ = self.write(&commit);
            }
            Step::Receive(i) => self.receive(i)?,
            Step::Write(i) => {
                self.state.left.writes -= 1;
                let id = self.bounds.budget.writes - self.state.left.writes;
                let database = &mut self.node(i).database;
                database.append(id);
                let index = database.log.len() - 1;
                self.state.waiting.push((i, index, id));
            }
            Step::KillAgent(i) => {
                self.state.left.crashes -= 1;
                self.kill_agent(i);
            }
            Step::KillDatabase(i) => {
                self.state.left.crashes -= 1;
                self.kill_database(i);
                self.tell(i, Input::DatabaseExited);
            }
            Step::KillHost(i) => {
                self.state.left.crashes -= 1;
                self.kill_agent(i);
                self.kill_database(i);
            }
            Step::Start(i) => self.start(i),
            Step::Freeze(i) => {
                self.state.left.freezes -= 1;
                self.node(i).frozen = true;
            }
            Step::GoOn(i) => {
                self.node(i).frozen = false;
                self.tell(i, Input::Time);
            }
            Step::SwitchOver(i) => {
                self.state.left.switchovers -= 1;
                let kind = RequestKind::Switchover { target: None };
                self.tell(i, Input::Command(Command::Request { id: "wish".into(), kind }));
            }
        }
        Some(())
    }

    pub(super) fn node(&mut self, i: usize) -> &mut Node {
        self.state.nodes[i].open()
    }

    /// Something was seen that must never be.
    pub(super) fn found(&mut self, wrong: Wrong) {
        if self.bounds.only.is_none_or(|only| only == wrong) {
            self.state.wrong.get_or_insert(wrong);
        }
    }

    pub(super) fn tell(&mut self, i: usize, input: Input) {
        self.told.push_back((i, input));
    }

    /// Until nobody is to be told anything.
    fn settle(&mut self) {
        for round in 0.. {
            if let Some((i, input)) = self.told.pop_front() {
                self.hand(i, input);
            } else if !self.small_talk() {
                return;
            }
            if round == MAX_INPUTS {
                self.found(Wrong::InvariantBroken);
                return;
            }
        }
    }

    /// What is only about members themselves is shown at once where nothing else waits to be shown.
    fn small_talk(&mut self) -> bool {
        let idle = |node: &Node| {
            node.machine.is_some() && !node.frozen && !node.news.is_empty() && node.news.iter().all(is_small_talk)
        };
        let Some(i) = self.state.all().position(idle) else { return false };
        self.show_news(i);
        true
    }

    fn show_news(&mut self, i: usize) {
        let keys = std::mem::take(&mut self.node(i).news);
        let (revision, changes) = self.state.store.get().changes(&keys);
        self.tell(i, Input::Changed { revision, changes });
    }

    fn hand(&mut self, i: usize, input: Input) {
        let node = self.node(i);
        if node.frozen {
            return;
        }
        let now = Moment::from_origin(node.clock);
        if let Some(machine) = &mut node.machine {
            machine.handle(now, input);
            self.drain(i);
        }
    }

    fn drain(&mut self, i: usize) {
        let node = self.node(i);
        let mut actions = Vec::new();
        let mut broken = false;
        let mut doing = node.doing;
        if let Some(machine) = &mut node.machine {
            while let Some(action) = machine.poll_action() {
                actions.push(action);
            }
            while let Some(event) = machine.poll_event() {
                match event.kind {
                    EventKind::InvariantBroken { .. } => broken = true,
                    EventKind::StateChanged { to, .. } => {
                        doing = StateName::ALL.into_iter().find(|name| name.as_str() == to).unwrap_or(doing);
                    }
                    _ => {}
                }
            }
        }
        let changed = std::mem::replace(&mut node.doing, doing) != doing;
        self.noticed |= changed;
        if broken {
            self.found(Wrong::InvariantBroken);
        }
        for action in actions {
            self.begin(i, action);
        }
    }

    /// A machine asks for something.
    fn begin(&mut self, i: usize, action: Action) {
        let action = self.mistaken(i, action);
        if !is_step(&action.order, self.bounds.fine) {
            let result = self.perform(i, &action);
            self.tell(i, Input::Finished { id: action.id, result });
            return;
        }
        self.noticed = true;
        let node = self.node(i);
        if let Order::Database(DatabaseOrder::Stop(_) | DatabaseOrder::Freeze | DatabaseOrder::Follow(_)) = action.order
        {
            // It takes the place of what runs; nobody waits for that answer.
            node.calls.retain(|_, call| !matches!(call.action.order, Order::Database(_)));
        }
        let by = node.clock + action.timeout;
        node.calls.insert(action.id.0, Call { action, by });
    }

    fn lose(&mut self, i: usize, id: u64, fate: Fate) -> Option<()> {
        let call = self.node(i).calls.remove(&id)?;
        if self.state.node(i).clock <= call.by {
            self.state.left.lost = self.state.left.lost.checked_sub(1)?;
        }
        let kind = if call.commit().is_some() { ErrorKind::Unknown } else { ErrorKind::Unavailable };
        if let Some(commit) = call.commit() {
            let seen = &mut self.state.unanswered;
            match fate {
                Fate::NotDone => seen.not_done = true,
                Fate::Done => {
                    seen.done = true;
                    // Conflicts are answers that are lost, too.
                    let _ = self.write(commit);
                }
                Fate::Later => {
                    seen.done_later = true;
                    self.state.late.push(commit.clone());
                }
            }
        }
        let result = Err(Failure::new(kind, "no answer"));
        self.tell(i, Input::Finished { id: CallId(id), result });
        Some(())
    }

    /// A commit arrives at the store, and everybody who watches will hear of it.
    pub(super) fn write(&mut self, commit: &Commit) -> Outcome {
        let committed = self.state.store.open().commit(commit)?;
        if self.state.store.get().went_back {
            self.found(Wrong::TermWentBack);
        }
        for i in 0..self.state.nodes.len() {
            if self.state.node(i).watching {
                self.node(i).news.extend(commit.writes.keys().cloned());
            }
        }
        Ok(Answer::Committed(committed))
    }

    pub(super) fn start(&mut self, i: usize) {
        let node = self.state.nodes[i].open();
        node.lives += 1;
        let incarnation = (i as u64 + 1) << 32 | node.lives;
        let now = Moment::from_origin(node.clock);
        node.machine = Some(Machine::new(self.configs[i].clone(), node.memo.clone(), incarnation, now));
        node.doing = StateName::Joining;
        node.frozen = false;
        self.drain(i);
    }

    fn kill_agent(&mut self, i: usize) {
        let node = self.node(i);
        node.machine = None;
        node.watching = false;
        node.frozen = false;
        node.news.clear();
        // What it had sent to the store may arrive; what it had ordered on its own node is not done any more.
        let sent: Vec<Commit> =
            std::mem::take(&mut node.calls).into_values().filter_map(|call| call.commit().cloned()).collect();
        self.state.late.extend(sent);
    }

    fn kill_database(&mut self, i: usize) {
        let database = &mut self.node(i).database;
        if database.state.runs() {
            database.state = DatabaseState::Crashed;
            database.streaming = false;
        }
        self.cut_standbys_of(i);
    }

    /// A node's clock goes on to where its machine does something that can be noticed.
    fn leap(&mut self, i: usize) -> Option<()> {
        let until = self.state.node(i).clock + HORIZON;
        loop {
            let node = self.state.node(i);
            let wake = node.machine.as_ref()?.poll_timeout()?.since_origin();
            let at = wake.max(node.clock + LATE_INDEPENDENT);
            if at > until || node.calls.values().any(|call| call.by < at) {
                return None;
            }
            self.node(i).clock = at;
            self.tell(i, Input::Time);
            self.settle();
            if self.noticed || self.state.wrong.is_some() {
                return Some(());
            }
        }
    }

    /// The time of all goes on to where some machine does something that can be noticed, or to the last moment of a call.
    fn time(&mut self) -> Option<()> {
        let now = self.state.all().map(|node| node.clock).max()?;
        let until = now + HORIZON;
        let mut last = now;
        loop {
            let awake = || self.state.all().enumerate().filter(|(_, node)| node.machine.is_some() && !node.frozen);
            let limit = awake().flat_map(|(_, node)| node.calls.values().map(|call| call.by)).min();
            let wakes =
                awake().filter_map(|(i, node)| Some((node.machine.as_ref()?.poll_timeout()?.since_origin(), i)));
            let (wake, i) = wakes.min()?;
            let at = wake.max(last + LATE_COMMON);
            if limit.is_some_and(|limit| at > limit) || at > until {
                let stop = limit.unwrap_or(until).min(until);
                for k in 0..self.state.nodes.len() {
                    self.node(k).clock = stop.max(last);
                }
                return (stop > now).then_some(());
            }
            for k in 0..self.state.nodes.len() {
                self.node(k).clock = at;
            }
            last = at;
            self.tell(i, Input::Time);
            self.settle();
            if self.noticed || self.state.wrong.is_some() {
                return Some(());
            }
        }
    }

    /// What is ordered, as a machine with a mistake would order it.
    fn mistaken(&mut self, i: usize, mut action: Action) -> Action {
        let mistake = self.bounds.mistake;
        if let Order::Commit(commit) = &mut action.order {
            let takes = commit.guards.iter().any(|guard| guard.key().as_str().starts_with("votes/"));
            let leads = commit.writes.contains_key(&odoo_ha_core::store::Key::leader());
            match mistake {
                Mistake::TakeoverUnguarded if leads && takes => commit.guards.clear(),
                Mistake::RenewalUnguarded if leads && !takes => commit.guards.clear(),
                Mistake::LoosenedFirst if leads && !takes => self.loosen_by(i, &commit.clone()),
                _ => {}
            }
        }
        if let (Order::Remember(memo), Mistake::IntentForgotten) = (&mut action.order, mistake) {
            memo.intent = None;
        }
        action
    }

    /// Whether the steps of clocks are those of one common time.
    pub(super) fn has_common_time(&self) -> bool {
        self.bounds.clocks == Clocks::Common
    }

    pub(super) fn fresh(name: odoo_ha_core::member::MemberId) -> Node {
        Node {
            name,
            machine: None,
            doing: StateName::Joining,
            lives: 0,
            memo: odoo_ha_core::machine::Memo::default(),
            database: super::database::Database::absent(),
            clock: Duration::from_secs(1000),
            calls: BTreeMap::new(),
            news: BTreeSet::new(),
            watching: false,
            frozen: false,
        }
    }
}
