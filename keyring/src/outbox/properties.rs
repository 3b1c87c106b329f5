//! Random interleavings of blocks, readings, hints, broadcasts that are late or lost, crashes at every write, and endpoints
//! that lag or lie: what must never happen does not, and what is open ends.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use chain_client::{Height, SignedTx};
use proptest::prelude::*;

use super::model::{CHAIN, ME, ModelChain, ModelPen, Says, decree, keyring, publication};
use super::{Leave, Moves, Outbox, Outcome, Want};
use crate::decree::DecreeId;
use crate::store::{MemoryStore, Store as _};

/// What happens next. Numbers choose among what there is.
#[derive(Clone, Debug)]
enum Op {
    Ask,
    Block,
    /// A question is answered: by which endpoint, how far behind, whether the liar lies.
    Answer {
        which: usize,
        endpoint: u16,
        behind: u64,
    },
    /// An endpoint is not reached when all are asked next.
    Silence(u16),
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
    Floor(u128),
    Funds(bool),
    Keyring(bool),
    Close(usize),
    Fail(u32),
    Lie {
        ahead: bool,
        by: u64,
        hides: bool,
    },
    Honest,
    Leave(Leave),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        3 => Just(Op::Ask),
        12 => Just(Op::Block),
        24 => (any::<usize>(), 0..3u16, 0..4u64).prop_map(|(which, endpoint, behind)| Op::Answer { which, endpoint, behind }),
        1 => (0..3u16).prop_map(Op::Silence),
        16 => (any::<usize>(), any::<bool>()).prop_map(|(which, heard)| Op::Deliver { which, heard }),
        3 => any::<usize>().prop_map(Op::LoseBroadcast),
        3 => any::<bool>().prop_map(|before| Op::Crash { before }),
        1 => Just(Op::ForgetMempool),
        1 => (1..40u128).prop_map(Op::Floor),
        1 => any::<bool>().prop_map(Op::Funds),
        1 => any::<bool>().prop_map(Op::Keyring),
        1 => any::<usize>().prop_map(Op::Close),
        2 => (0..3u32).prop_map(Op::Fail),
        2 => (any::<bool>(), 1..4u64, any::<bool>()).prop_map(|(ahead, by, hides)| Op::Lie { ahead, by, hides }),
        1 => Just(Op::Honest),
        1 => prop_oneof![Just(Leave::Nothing), Just(Leave::Stored), Just(Leave::All)].prop_map(Op::Leave),
    ]
}

#[derive(Clone, Debug)]
enum Question {
    One(u64),
    All(u64),
}

struct World {
    chain: ModelChain,
    store: MemoryStore,
    outbox: Outbox,
    pen: ModelPen,
    endpoints: usize,
    questions: VecDeque<(DecreeId, Question)>,
    /// On their way, or held up somewhere for ever.
    flying: Vec<SignedTx>,
    /// Sequences ever used for each request.
    used: BTreeMap<u64, BTreeSet<u64>>,
    dies: Option<bool>,
    lie: Option<(bool, u64, bool)>,
    silent: Option<u16>,
    over: BTreeSet<u64>,
    exhausted: BTreeSet<u64>,
    wrong: Vec<String>,
}

impl World {
    fn new(endpoints: usize) -> Self {
        let store = MemoryStore::new(1);
        let outbox = Outbox::recover(CHAIN, endpoints, &store).unwrap();
        let mut world = Self {
            chain: ModelChain::new(5),
            store,
            outbox,
            pen: ModelPen::new(),
            endpoints,
            questions: VecDeque::new(),
            flying: Vec::new(),
            used: BTreeMap::new(),
            dies: None,
            lie: None,
            silent: None,
            over: BTreeSet::new(),
            exhausted: BTreeSet::new(),
            wrong: Vec::new(),
        };
        world.outbox.keyring(Height(0), &keyring(true), ME);
        world
    }

    fn restart(&mut self) {
        self.questions.clear();
        self.outbox = Outbox::recover(CHAIN, self.endpoints, &self.store).unwrap();
        self.outbox.keyring(Height(0), &keyring(self.chain.keyring_on), ME);
        let open: Vec<u64> = self.chain.requests().map(|(number, _)| number).collect();
        for number in open.into_iter().filter(|number| !self.over.contains(number)) {
            self.outbox.publish(decree(number), publication(number));
        }
        self.see();
    }

    /// One write, then the rest; or death in between.
    fn carry_out(&mut self, moves: Moves) {
        if !moves.entries.is_empty() {
            match self.dies.take() {
                Some(true) => return self.restart(),
                Some(false) => {
                    self.store.append(&moves.entries).unwrap();
                    self.outcomes(&moves);
                    return self.restart();
                }
                None => self.store.append(&moves.entries).map(|_| ()).unwrap(),
            }
        }
        self.outcomes(&moves);
        for want in moves.wants {
            match want {
                Want::Read(decree, request) => self.questions.push_back((decree, Question::One(request.number))),
                Want::Confirm(decree, request) => self.questions.push_back((decree, Question::All(request.number))),
                Want::Broadcast(tx) => self.sends(tx),
                Want::Explain(..) => {}
            }
        }
        while self.questions.len() > 64 {
            self.questions.pop_front();
        }
    }

    fn outcomes(&mut self, moves: &Moves) {
        for outcome in &moves.outcomes {
            match outcome {
                Outcome::Landed(decree, _) | Outcome::Closed(decree, ..) => {
                    self.over.insert(decree.request);
                }
                Outcome::Exhausted(decree, _) => {
                    self.exhausted.insert(decree.request);
                }
                Outcome::Halted(halt) => self.wrong.push(format!("halts: {halt}")),
                Outcome::Impostor(decree, sequence) => {
                    self.wrong.push(format!("sees an impostor of {decree} under {sequence}"));
                }
                Outcome::Foreign(decree) => self.wrong.push(format!("sees foreign bytes on {decree}")),
                Outcome::Dead(decree, sequence, _) if self.chain.sequence() <= *sequence => {
                    self.wrong.push(format!("{decree} declared dead under {sequence}, which is unspent"));
                }
                Outcome::Contradiction(_) if self.lie.is_none() => {
                    // An endpoint that lied a moment ago may still be heard.
                }
                Outcome::Dead(..) | Outcome::Submitting(..) | Outcome::Contradiction(_) => {}
            }
        }
    }

    fn sends(&mut self, tx: SignedTx) {
        let remembered = Outbox::recover(CHAIN, self.endpoints, &self.store).unwrap();
        if !remembered.slots().any(|slot| slot.signed.contains(&tx)) {
            self.wrong.push(format!("sends {} before it is stored", tx.sequence));
        }
        if let Some(request) = Says::of(&tx).request {
            let used = self.used.entry(request).or_default();
            used.insert(tx.sequence);
            let alive: Vec<u64> = used.iter().copied().filter(|at| *at >= self.chain.sequence()).collect();
            if alive.len() > 1 {
                self.wrong.push(format!("request {request} has sequences {alive:?} alive"));
            }
            if used.len() > 3 {
                self.wrong.push(format!("request {request} used up {used:?}"));
            }
        }
        self.flying.push(tx);
    }

    fn see(&mut self) {
        let moves = self.outbox.block(self.chain.height());
        self.carry_out(moves);
    }

    fn reading(&self, endpoint: u16, request: u64, behind: u64) -> Option<chain_client::Reading> {
        let at = Height(self.chain.height().0.saturating_sub(behind));
        match self.lie.filter(|_| endpoint == 1 && self.endpoints > 1) {
            Some((true, by, hides)) => self.chain.told(1, request, at, |sequence| sequence + by, hides),
            Some((false, by, _)) => self.chain.told(1, request, at, |sequence| sequence.saturating_sub(by), false),
            None => self.chain.reading(endpoint, request, at),
        }
    }

    fn answer(&mut self, which: usize, endpoint: u16, behind: u64) {
        if self.questions.is_empty() {
            return;
        }
        let Some((decree, question)) = self.questions.remove(which % self.questions.len()) else { return };
        let moves = match question {
            Question::One(request) => {
                let endpoint = endpoint % self.endpoints as u16;
                let Some(reading) = self.reading(endpoint, request, behind) else { return };
                self.outbox.reading(&decree, &reading, &self.pen)
            }
            Question::All(request) => {
                let reached = (0..self.endpoints as u16).filter(|id| Some(*id) != self.silent);
                let readings: Vec<_> = reached
                    .filter_map(|id| self.reading(id, request, if id == endpoint { behind } else { 0 }))
                    .collect();
                self.outbox.testimony(&decree, &readings, &self.pen)
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
            if matches!(&hint, chain_client::Hint::Refused { code: 13, .. }) {
                self.pen.price.set(self.chain.floor);
            }
            let moves = self.outbox.hinted(tx.sequence, &hint, &self.pen);
            self.carry_out(moves);
        }
    }

    fn does(&mut self, op: Op) {
        match op {
            Op::Ask => {
                if self.chain.requests().count() < 24 {
                    let number = self.chain.ask();
                    self.outbox.publish(decree(number), publication(number));
                }
            }
            Op::Block => {
                self.chain.block();
                self.see();
            }
            Op::Answer { which, endpoint, behind } => self.answer(which, endpoint, behind),
            Op::Silence(endpoint) => self.silent = Some(endpoint),
            Op::Deliver { which, heard } => self.deliver(which, heard),
            Op::LoseBroadcast(which) => {
                if !self.flying.is_empty() {
                    self.flying.swap_remove(which % self.flying.len());
                }
            }
            Op::Crash { before } => self.dies = Some(before),
            Op::ForgetMempool => self.chain.mempool.clear(),
            Op::Floor(floor) => self.chain.floor = floor,
            Op::Funds(funds) => self.chain.has_funds = funds,
            Op::Keyring(on) => {
                self.chain.keyring_on = on;
                self.outbox.keyring(self.chain.height(), &keyring(on), ME);
            }
            Op::Close(which) => {
                let count = self.chain.requests().count();
                if count > 0 {
                    self.chain.close((which % count) as u64 + 1);
                }
            }
            Op::Fail(answers) => self.chain.failing = answers,
            Op::Lie { ahead, by, hides } => self.lie = Some((ahead, by, hides)),
            Op::Honest => self.lie = None,
            Op::Leave(leave) => self.outbox.allow(leave),
        }
    }

    /// Everything is well from now on; after a while all that is still open is closed.
    fn heals(&mut self) {
        (self.lie, self.silent, self.dies) = (None, None, None);
        (self.chain.has_funds, self.chain.keyring_on, self.chain.failing) = (true, true, 0);
        self.chain.floor = 20;
        self.outbox.allow(Leave::All);
        for round in 0..120 {
            self.outbox.keyring(self.chain.height(), &keyring(true), ME);
            if round == 60 {
                let open: Vec<u64> = self.chain.requests().map(|(number, _)| number).collect();
                open.into_iter().for_each(|request| self.chain.close(request));
            }
            self.chain.block();
            self.see();
            while !self.questions.is_empty() {
                self.answer(0, 0, 0);
            }
            self.flying.sort_by_key(|tx| tx.sequence);
            while !self.flying.is_empty() {
                let tx = self.flying.remove(0);
                let hint = self.chain.broadcast(&tx);
                if matches!(&hint, chain_client::Hint::Refused { code: 13, .. }) {
                    self.pen.price.set(self.chain.floor);
                }
                let moves = self.outbox.hinted(tx.sequence, &hint, &self.pen);
                self.carry_out(moves);
            }
            if round == 59 {
                self.judge_before_closing();
            }
        }
    }

    /// What could be answered is answered.
    fn judge_before_closing(&mut self) {
        let late: Vec<u64> = self
            .chain
            .requests()
            .filter(|(number, asked)| !asked.ours && !asked.closed && !self.exhausted.contains(number))
            .map(|(number, _)| number)
            .collect();
        // A crash may have lost the word that a request is given up, never the fact.
        let late: Vec<u64> =
            late.into_iter().filter(|number| !self.outbox.given_up().any(|up| up.request == *number)).collect();
        if !late.is_empty() {
            self.wrong.push(format!("requests {late:?} are open without us after healing"));
        }
    }

    fn judge(&self) -> Vec<String> {
        let mut wrong = [self.wrong.clone(), self.chain.wrong.clone()].concat();
        let left: Vec<u64> = self.outbox.slots().map(|slot| slot.sequence).collect();
        if !left.is_empty() {
            wrong.push(format!("sequences {left:?} are held at the end"));
        }
        if self.outbox.waiting() > 0 {
            wrong.push(format!("{} answers wait at the end", self.outbox.waiting()));
        }
        if self.outbox.next_sequence().is_some_and(|next| next != self.chain.sequence()) {
            wrong.push(format!(
                "the journal is at {:?}, the chain at {}",
                self.outbox.next_sequence(),
                self.chain.sequence()
            ));
        }
        wrong
    }
}

fn run(endpoints: usize, ops: Vec<Op>) -> Vec<String> {
    let mut world = World::new(endpoints);
    for op in ops {
        world.does(op);
    }
    world.heals();
    world.judge()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn no_second_submission_no_false_death_no_gap_nothing_forgotten(
        endpoints in 1..4usize,
        ops in prop::collection::vec(op(), 50..400),
    ) {
        prop_assert_eq!(run(endpoints, ops), Vec::<String>::new());
    }
}

/// The same world with a controller that believes one endpoint where it should ask all: the lie is found out as harm.
#[test]
fn one_endpoint_that_lies_would_destroy_a_request_if_it_were_believed() {
    let mut world = World::new(2);
    world.outbox.endpoints = 1;
    world.does(Op::Ask);
    let lie = Op::Lie { ahead: true, by: 1, hides: true };
    for op in [Op::Block, Op::Answer { which: 0, endpoint: 0, behind: 0 }, lie, Op::Block] {
        world.does(op);
    }
    world.endpoints = 2;
    world.does(Op::Answer { which: 0, endpoint: 1, behind: 0 });
    assert!(!world.wrong.is_empty(), "the test sees a false death");
}
