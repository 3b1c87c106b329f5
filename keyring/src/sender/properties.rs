//! Random interleavings of blocks, looks, simulations, broadcasts that are late or lost, base fees that move,
//! reorganisations above the final block, others that answer first, owners that burn gas after a passed simulation, and
//! crashes at every write: what must never happen does not, and what is open ends.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use chain_client::Height;
use proptest::prelude::*;
use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};

use super::model::{FINAL_DEPTH, Flying, GWEI, ModelChain, ModelPen, Rival, decree, delivery, settings};
use super::{Leave, Moves, Outcome, PublishError, SIGNED_PER_NONCE_MAX, Sender, Settings, Signed, Want};
use crate::store::{Entry, MemoryStore, Store as _, Table};

/// What happens next. Numbers choose among what there is.
#[derive(Clone, Debug)]
enum Op {
    Ask {
        turn: u32,
        is_hostile: bool,
    },
    Block,
    /// A question is answered, by an endpoint that is behind or not.
    Answer {
        which: usize,
        behind: u64,
    },
    /// A transaction reaches the chain; whether its sender hears of it.
    Deliver {
        which: usize,
        heard: bool,
    },
    LoseBroadcast(usize),
    /// The process dies: before its next write reaches the disk, or right after it.
    Crash {
        before: bool,
    },
    ForgetMempool,
    /// Tenths of a gwei, from the next block on.
    BaseFee(u128),
    Reorganise(u64),
    Rival {
        which: usize,
        is_hidden: bool,
    },
    Balance(u128),
    Pause(bool),
    Unlist(bool),
    Night,
    Leave(Leave),
    Fork(bool),
    /// The account's key gives no signature for a while.
    PenIsDry(bool),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => (0..3u32, prop::bool::weighted(0.2)).prop_map(|(turn, is_hostile)| Op::Ask { turn, is_hostile }),
        14 => Just(Op::Block),
        30 => (any::<usize>(), 0..5u64).prop_map(|(which, behind)| Op::Answer { which, behind: behind.saturating_sub(2) }),
        16 => (any::<usize>(), any::<bool>()).prop_map(|(which, heard)| Op::Deliver { which, heard }),
        3 => any::<usize>().prop_map(Op::LoseBroadcast),
        3 => any::<bool>().prop_map(|before| Op::Crash { before }),
        1 => Just(Op::ForgetMempool),
        7 => (2..50u128).prop_map(Op::BaseFee),
        2 => (1..FINAL_DEPTH).prop_map(Op::Reorganise),
        3 => (any::<usize>(), any::<bool>()).prop_map(|(which, is_hidden)| Op::Rival { which, is_hidden }),
        1 => (0..3_000_000u128).prop_map(Op::Balance),
        1 => any::<bool>().prop_map(Op::Pause),
        1 => any::<bool>().prop_map(Op::Unlist),
        1 => Just(Op::Night),
        1 => prop_oneof![Just(Leave::Nothing), Just(Leave::Stored), Just(Leave::All)].prop_map(Op::Leave),
        1 => any::<bool>().prop_map(Op::Fork),
        1 => any::<bool>().prop_map(Op::PenIsDry),
    ]
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    prop::collection::vec(op(), 50..400)
}

/// A break of the rules that the properties must find.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Planted {
    None,
    /// What the head shows counts as final: a nonce is let go before it is spent for good.
    HeadIsFinal,
    /// That an answer had its revert is not kept over a restart.
    ForgetsReverts,
    /// What is in flight is not kept over a restart: signed bytes are sent that the disk does not have.
    SendsBeforeItStores,
    /// No day's budget.
    NoBudget,
}

/// Bounds that are met: an answer at the highest base fee is beyond the one, a few that revert are beyond the other.
fn tight() -> Settings {
    Settings { max_loss_per_answer: 1_200_000 * GWEI, max_loss_per_day: 1_500_000 * GWEI, ..settings() }
}

#[derive(Clone, Debug)]
enum Question {
    Look(u64, Vec<alloy_primitives::B256>),
    Simulate(u64, super::Call, super::State),
}

struct World {
    chain: ModelChain,
    store: MemoryStore,
    sender: Sender,
    pen: ModelPen,
    planted: Planted,
    settings: Settings,
    questions: VecDeque<Question>,
    /// On their way, or held up somewhere for ever.
    flying: Vec<Flying>,
    turns: BTreeMap<u64, (u32, Height)>,
    /// Nonces ever used for each answer.
    used: BTreeMap<u64, BTreeSet<u64>>,
    dies: Option<bool>,
    over: BTreeSet<u64>,
    lost: BTreeSet<u64>,
    wrong: Vec<String>,
}

impl World {
    fn new(planted: Planted) -> Self {
        let store = MemoryStore::new(1);
        let settings = match planted {
            Planted::NoBudget => Settings { max_loss_per_day: u128::MAX, ..tight() },
            // Money would hold it back.
            Planted::ForgetsReverts => settings(),
            _ => tight(),
        };
        let sender = Sender::recover(settings, &store).unwrap();
        let mut chain = ModelChain::new(5);
        if planted == Planted::HeadIsFinal {
            chain.final_depth = 0;
        }
        Self {
            chain,
            store,
            sender,
            pen: ModelPen::new(),
            planted,
            settings,
            questions: VecDeque::new(),
            flying: Vec::new(),
            turns: BTreeMap::new(),
            used: BTreeMap::new(),
            dies: None,
            over: BTreeSet::new(),
            lost: BTreeSet::new(),
            wrong: Vec::new(),
        }
    }

    fn restart(&mut self) {
        self.questions.clear();
        if self.planted == Planted::ForgetsReverts {
            let records = self.store.scan(Table::Outbox, b"sender/cost", None, 999).unwrap();
            let erased: Vec<Entry> = records.into_iter().map(|(key, _)| Entry::delete(Table::Outbox, key)).collect();
            self.store.append(&erased).unwrap();
        }
        self.sender = Sender::recover(self.settings, &self.store).unwrap();
        let asked: Vec<u64> = self.turns.keys().copied().filter(|request| !self.over.contains(request)).collect();
        asked.into_iter().for_each(|request| self.publish(request));
        self.see();
    }

    fn publish(&mut self, request: u64) {
        let (turn, at) = self.turns[&request];
        match self.sender.publish(decree(request), delivery(request, turn, at)) {
            Ok(moves) => self.carry_out(moves),
            Err(PublishError::Reverted) => drop(self.lost.insert(request)),
            Err(error) => self.wrong.push(error.to_string()),
        }
    }

    /// One write, then the rest; or death in between.
    fn carry_out(&mut self, moves: Moves) {
        if self.planted == Planted::SendsBeforeItStores {
            self.wants(moves.wants);
            self.store.append(&moves.entries).map(|_| ()).unwrap();
            return self.outcomes(&moves.outcomes);
        }
        if !moves.entries.is_empty() {
            match self.dies.take() {
                Some(true) => return self.restart(),
                Some(false) => {
                    self.store.append(&moves.entries).unwrap();
                    self.outcomes(&moves.outcomes);
                    return self.restart();
                }
                None => self.store.append(&moves.entries).map(|_| ()).unwrap(),
            }
        }
        self.outcomes(&moves.outcomes);
        self.wants(moves.wants);
    }

    fn wants(&mut self, wants: Vec<Want>) {
        for want in wants {
            match want {
                Want::Look(decree, hashes) => self.questions.push_back(Question::Look(decree.request, hashes)),
                Want::Simulate(decree, call, state) => {
                    self.questions.push_back(Question::Simulate(decree.request, call, state));
                }
                Want::Broadcast(signed) => self.sends(signed),
            }
        }
        while self.questions.len() > 64 {
            self.questions.pop_front();
        }
    }

    fn outcomes(&mut self, outcomes: &[Outcome]) {
        for outcome in outcomes {
            match outcome {
                Outcome::Landed { decree, .. } | Outcome::Settled(decree) => {
                    self.over.insert(decree.request);
                }
                Outcome::Lost { decree, .. } => {
                    if self.planted != Planted::ForgetsReverts {
                        self.over.insert(decree.request);
                    }
                    self.lost.insert(decree.request);
                }
                Outcome::Halted(halt) => self.wrong.push(format!("halts: {halt}")),
                Outcome::Foreign(decree) => self.wrong.push(format!("sees foreign bytes on {decree}")),
                Outcome::Submitting(..) | Outcome::Waiting(..) => {}
            }
        }
        let today = self.sender.facts().lost_today;
        if today > tight().max_loss_per_day {
            self.wrong.push(format!("{today} wei are lost in a day"));
        }
    }

    fn sends(&mut self, signed: Signed) {
        let remembered = Sender::recover(self.settings, &self.store).unwrap();
        let slot = remembered.slots().find(|slot| slot.signed.contains(&signed)).cloned();
        let Some(slot) = slot else {
            return self.wrong.push(format!("sends nonce {} before it is stored", signed.nonce));
        };
        if slot.signed.len() > SIGNED_PER_NONCE_MAX {
            self.wrong.push(format!("{} are signed under nonce {}", slot.signed.len(), slot.nonce));
        }
        let request = signed.answers.then_some(slot.decree.request);
        if let Some(request) = request {
            let used = self.used.entry(request).or_default();
            used.insert(signed.nonce);
            let spent = self.chain.final_block().nonce;
            let alive: Vec<u64> = used.iter().copied().filter(|nonce| *nonce >= spent).collect();
            if alive.len() > 1 {
                self.wrong.push(format!("answer {request} has nonces {alive:?} alive"));
            }
        }
        self.flying.push(Flying { signed, request });
    }

    fn see(&mut self) {
        let moves = self.sender.sighted(&self.chain.sight(0));
        self.carry_out(moves);
        let moves = self.sender.block(self.chain.height());
        self.carry_out(moves);
    }

    fn answer(&mut self, which: usize, behind: u64) {
        if self.questions.is_empty() {
            return;
        }
        let moves = match self.questions.remove(which % self.questions.len()) {
            None => return,
            Some(Question::Look(request, hashes)) => {
                let look = self.chain.look(request, &hashes, behind);
                self.sender.looked(&decree(request), &look, &self.pen)
            }
            Some(Question::Simulate(request, call, state)) => {
                let said = self.chain.simulate(&call, state);
                self.sender.simulated(&decree(request), &call, &said, &self.pen)
            }
        };
        self.carry_out(moves);
    }

    fn deliver(&mut self, which: usize, heard: bool) {
        if self.flying.is_empty() {
            return;
        }
        let tx = self.flying.swap_remove(which % self.flying.len());
        let hint = self.chain.broadcast(&tx);
        if heard {
            self.sender.hinted(tx.signed.nonce, tx.signed.hash, hint);
        }
    }

    fn does(&mut self, op: Op) {
        match op {
            Op::Ask { turn, is_hostile } => self.ask(turn, is_hostile),
            Op::Block => {
                self.chain.block();
                self.see();
            }
            Op::Answer { which, behind } => self.answer(which, behind),
            Op::Deliver { which, heard } => self.deliver(which, heard),
            Op::LoseBroadcast(which) => {
                if !self.flying.is_empty() {
                    self.flying.swap_remove(which % self.flying.len());
                }
            }
            Op::Crash { before } => self.dies = Some(before),
            Op::ForgetMempool => self.chain.mempool.clear(),
            Op::BaseFee(tenths) => self.chain.base_fee = tenths * GWEI / 10,
            Op::Reorganise(depth) => {
                self.chain.reorganise(depth);
                self.see();
            }
            Op::Rival { which, is_hidden } => self.rival(which, is_hidden),
            Op::Balance(gwei) => self.chain.balance = Some(gwei * GWEI),
            Op::Pause(on) => self.chain.paused = on,
            Op::Unlist(on) => self.chain.listed = !on,
            Op::Night => {
                self.chain.block_seconds = 86_400;
                self.does(Op::Block);
                self.chain.block_seconds = 12;
            }
            Op::Leave(leave) => self.sender.allow(leave),
            Op::Fork(on) => self.sender.fork(on.then(|| "two blocks at one height".to_owned())),
            Op::PenIsDry(on) => self.pen.is_dry = on,
        }
    }

    fn ask(&mut self, turn: u32, is_hostile: bool) {
        if self.turns.len() >= 24 {
            return;
        }
        let request = self.chain.ask();
        self.turns.insert(request, (turn, self.chain.height()));
        if is_hostile {
            self.chain.hostile.insert(request);
        }
        self.publish(request);
    }

    fn rival(&mut self, which: usize, is_hidden: bool) {
        let asked = self.turns.len() as u64;
        if asked > 0 {
            self.chain.rivals.push(Rival { request: which as u64 % asked, agrees: true, is_hidden });
        }
    }

    /// Everything is well from now on. What this party may never send again, others answer.
    fn heals(&mut self) {
        (self.dies, self.pen.is_dry) = (None, false);
        (self.chain.paused, self.chain.listed) = (false, true);
        (self.chain.base_fee, self.chain.balance) = (GWEI, Some(100_000_000 * GWEI));
        self.sender.allow(Leave::All);
        self.sender.fork(None);
        self.does(Op::Night);
        for round in 0..160 {
            if round == 100 {
                self.judge_before_others_answer();
                (0..self.turns.len()).for_each(|which| self.rival(which, true));
            }
            if round % 25 == 0 {
                self.does(Op::Night);
            }
            self.does(Op::Block);
            while !self.questions.is_empty() {
                self.answer(0, 0);
            }
            while !self.flying.is_empty() {
                self.deliver(0, true);
            }
        }
    }

    /// What this party can answer is answered. One that has cost it too much without a revert is others' as well.
    fn judge_before_others_answer(&mut self) {
        let too_dear: BTreeSet<u64> = self
            .sender
            .why_waiting()
            .filter(|(_, why)| matches!(why, super::Why::AnswerLoss { .. }))
            .map(|(decree, _)| decree.request)
            .collect();
        let head = self.chain.head();
        let is_open = |request: &u64| head.requests[request].answered.is_none();
        let late: Vec<u64> = self
            .turns
            .keys()
            .copied()
            .filter(|request| is_open(request) && !self.lost.contains(request) && !too_dear.contains(request))
            .collect();
        if !late.is_empty() {
            let why: Vec<_> = self.sender.why_waiting().map(|(_, why)| why.to_string()).collect();
            self.wrong.push(format!("answers {late:?} are not given after healing: {why:?}"));
        }
    }

    fn judge(&self) -> Vec<String> {
        let mut wrong = self.wrong.clone();
        let (facts, chain) = (self.sender.facts(), self.chain.head().nonce);
        if facts.in_flight + facts.waiting > 0 || facts.nonce.is_some_and(|nonce| nonce != chain) {
            let why: Vec<_> = self.sender.why_waiting().map(|(_, why)| why.to_string()).collect();
            wrong.push(format!("{facts:?} at the end, the chain is at {chain}: {why:?}"));
        }
        let mut reverts: BTreeMap<u64, u32> = BTreeMap::new();
        let mut cost: BTreeMap<u64, u128> = BTreeMap::new();
        for mined in self.chain.mined() {
            if let Some(request) = mined.request {
                *reverts.entry(request).or_default() += u32::from(!mined.receipt.succeeded);
                *cost.entry(request).or_default() += mined.cost;
            }
        }
        if reverts.values().any(|reverts| *reverts > 1) {
            wrong.push(format!("an answer reverted more than once: {reverts:?}"));
        }
        if cost.values().any(|cost| *cost > self.settings.max_loss_per_answer) {
            wrong.push(format!("an answer cost more than its bound: {cost:?}"));
        }
        let total: u128 = self.chain.mined().map(|mined| mined.cost).sum();
        if facts.lost_total != total {
            wrong.push(format!("{} wei are booked, {total} were lost", facts.lost_total));
        }
        wrong
    }
}

fn run(planted: Planted, ops: Vec<Op>) -> Vec<String> {
    let mut world = World::new(planted);
    for op in ops {
        world.does(op);
    }
    world.heals();
    world.judge()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn no_second_nonce_no_second_revert_no_loss_beyond_its_bounds_nothing_forgotten(ops in ops()) {
        prop_assert_eq!(run(Planted::None, ops), Vec::<String>::new());
    }
}

/// The same worlds with a broken sender, drawn alike each time: the break is found, and by a law that it breaks.
fn finds(planted: Planted, laws: &[&str]) {
    let config = ProptestConfig { cases: 256, max_shrink_iters: 0, failure_persistence: None, ..Default::default() };
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let found = TestRunner::new_with_rng(config, rng).run(&ops(), |ops| {
        let wrong = run(planted, ops);
        prop_assert!(!wrong.iter().any(|wrong| laws.iter().any(|law| wrong.contains(law))));
        Ok(())
    });
    assert!(found.is_err(), "{planted:?} is not found");
}

#[test]
fn a_sender_that_lets_a_nonce_go_at_the_head_is_found() {
    finds(Planted::HeadIsFinal, &["alive", "the account is back at nonce"]);
}

#[test]
fn a_sender_that_forgets_its_reverts_is_found() {
    finds(Planted::ForgetsReverts, &["reverted more than once"]);
}

#[test]
fn a_sender_that_sends_before_it_stores_is_found() {
    finds(Planted::SendsBeforeItStores, &["before it is stored"]);
}

#[test]
fn a_sender_without_a_budget_is_found() {
    finds(Planted::NoBudget, &["lost in a day"]);
}
