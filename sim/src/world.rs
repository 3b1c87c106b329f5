//! The world: real nodes on a seeded network, a virtual clock, one queue of things to come.
//!
//! | Room | Does |
//! | --- | --- |
//! | `world/shell.rs` | each node's shell, synchronously and in the daemon's order: write, then carry out |
//! | `world/chain.rs` | blocks, what endpoints show, reads, broadcasts, users |
//! | `world/user.rs` | the hand of a test: what users and the chain itself ask, and what became of it |
//! | `world/faults.rs` | crashes, restarts, links, everything from the plan |
//! | `world/health.rs` | what a node says of itself, by the daemon's own judgement |
//!
//! Everything follows from the plan. The laws are judged after every event.

mod chain;
mod faults;
mod health;
mod shell;
mod user;

pub use user::Who;

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;

use chain_client::{RequestId, SignedTx};
use devnet::chain::Chain;
use keyring::message::Packet;
use keyring::node::{ChainNews, Level, RunNews};
use keyring::store::{MemoryStore, Store as _};
use mpc_core::{KeyId, PartyIndex, Possession, SessionId};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;

use crate::laws::Laws;
use crate::ledger::Ledger;
use crate::liar::Liar;
use crate::network::{Lane, Network};
use crate::outcome::{Outcome, Totals};
use crate::plan::{Endpoints, Fault, Plan, Wish};
use crate::process::{Process, disk_seed, open};
use crate::stocked;
use crate::town::Town;

/// Something that will happen.
enum Happening {
    Frame { from: PartyIndex, to: PartyIndex, lane: Lane, body: Rc<[u8]>, epoch: u64 },
    Told { party: PartyIndex, incarnation: u32, event: Box<keyring::node::Event> },
    Own { party: PartyIndex, incarnation: u32, packet: Box<Packet> },
    LinkDown { party: PartyIndex, incarnation: u32, peer: PartyIndex },
    LinkUp { party: PartyIndex, incarnation: u32, peer: PartyIndex, epoch: u64 },
    Tick { party: PartyIndex, incarnation: u32 },
    Computed { party: PartyIndex, incarnation: u32, session: SessionId },
    Run { party: PartyIndex, incarnation: u32, session: SessionId, news: RunNews },
    Proved { party: PartyIndex, incarnation: u32, key: KeyId, possession: Possession },
    Sees { party: PartyIndex, height: u64 },
    Reply { party: PartyIndex, incarnation: u32, news: ChainNews },
    Arrives { party: PartyIndex, incarnation: u32, tx: SignedTx, answered: bool },
    Block,
    Restart(PartyIndex),
    Fault(Fault),
    Wish(Wish),
    Heal,
}

/// How a request fared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Asked {
    /// Last height at which an answer counts.
    pub(crate) deadline: u64,
    /// Whether it can be answered at all.
    pub(crate) answerable: bool,
}

/// A world in motion.
pub struct World {
    plan: Plan,
    now: u64,
    sequence: u64,
    queue: BTreeMap<(u64, u64), Happening>,
    rng: ChaCha20Rng,
    town: Arc<Town>,
    network: Network,
    ledger: Ledger,
    processes: Vec<Process>,
    liars: BTreeMap<PartyIndex, Liar>,
    laws: Laws,
    endpoints: Endpoints,
    halted: bool,
    healed: bool,
    /// A disk was set back, or a party is shown another chain: whoever sees it must say so.
    alarms_expected: bool,
    /// Next sequence of users' accounts, as far as sent.
    sent: BTreeMap<String, u64>,
    /// Requests that users made, as the chain shows them.
    asked: BTreeMap<RequestId, Asked>,
    wishes_open: usize,
    restarts_due: BTreeSet<PartyIndex>,
    totals: Totals,
    log: Option<Vec<String>>,
    held_back: Option<user::HeldBack>,
}

/// Events after which a run is given up: something spins.
const EVENTS_MAX: u64 = 100_000;
/// Within so long after the last request was closed every node has forgotten it and its sequences are spent.
const FORGETTING_MS: u64 = 60_000;

impl World {
    /// The world that a seed draws.
    #[must_use]
    pub fn seeded(seed: u64) -> Self {
        Self::planned(Plan::drawn(seed, None))
    }

    /// The world of a plan.
    #[must_use]
    pub fn planned(plan: Plan) -> Self {
        if plan.from_scratch {
            return Self::from_scratch(plan);
        }
        let stocked = stocked::of(plan.need, plan.of, plan.keys_per_lane);
        let stores = (0..plan.of)
            .zip(&stocked.disks)
            .map(|(party, image)| open(image.clone(), PartyIndex::new(party)))
            .collect();
        Self::new(plan, stocked.chain.clone(), stores)
    }

    /// A world whose disks are empty and whose chain begins.
    #[must_use]
    pub(crate) fn from_scratch(plan: Plan) -> Self {
        let town = Town::new(plan.need, plan.of);
        let chain = match Chain::from_genesis(&town.genesis()) {
            Ok(chain) => chain,
            Err(error) => unreachable!("{error}"),
        };
        let stores = (0..plan.of).map(|party| MemoryStore::new(disk_seed(PartyIndex::new(party)))).collect();
        Self::new(plan, chain, stores)
    }

    fn new(plan: Plan, chain: Chain, stores: Vec<MemoryStore>) -> Self {
        let town = Arc::new(Town::new(plan.need, plan.of));
        let parties = (0..plan.of).map(PartyIndex::new);
        let processes = parties.zip(stores).map(|(party, store)| Process::new(party, town.threshold, store)).collect();
        let liars: BTreeMap<_, _> =
            plan.liars.iter().map(|(party, lie)| (*party, Liar::new(*lie, town.threshold))).collect();
        let mut world = Self {
            now: 0,
            sequence: 0,
            queue: BTreeMap::new(),
            rng: ChaCha20Rng::seed_from_u64(plan.seed ^ 0x51AE_D0D0),
            network: Network::new(plan.weather),
            ledger: Ledger::new(chain, town.keyring.clone()),
            processes,
            laws: Laws::new(town.clone(), liars.keys().copied().collect()),
            liars,
            endpoints: Endpoints::default(),
            halted: false,
            healed: false,
            alarms_expected: false,
            sent: BTreeMap::new(),
            asked: BTreeMap::new(),
            wishes_open: plan.wishes.len(),
            restarts_due: BTreeSet::new(),
            totals: Totals::default(),
            log: None,
            held_back: None,
            town,
            plan,
        };
        world.begin();
        world
    }

    /// Keeps a log of every event from now on.
    #[must_use]
    pub fn logged(mut self) -> Self {
        self.log = Some(Vec::new());
        self
    }

    fn begin(&mut self) {
        #[cfg(feature = "planted")]
        keyring::planted::set(self.plan.plant);
        self.after(self.plan.block_ms, Happening::Block);
        for (at, fault) in self.plan.faults.clone() {
            self.after(at, Happening::Fault(fault));
        }
        for (at, wish) in self.plan.wishes.clone() {
            self.after(at, Happening::Wish(wish));
        }
        self.after(self.plan.heals_at, Happening::Heal);
        for party in self.town.threshold.parties().collect::<Vec<_>>() {
            if !self.plan.absent.contains(&party) {
                self.start(party);
            }
        }
    }

    fn after(&mut self, wait: u64, happening: Happening) {
        self.sequence += 1;
        self.queue.insert((self.now + wait, self.sequence), happening);
    }

    /// Milliseconds since the world began.
    #[must_use]
    pub const fn now(&self) -> u64 {
        self.now
    }

    /// Lets the next thing happen. `false` when the world has stopped: a law is broken, or too much happened.
    pub fn step(&mut self) -> bool {
        let Some(((at, _), happening)) = self.queue.pop_first() else { return false };
        self.now = at;
        self.laws.at(at);
        self.totals.events += 1;
        if self.totals.events > EVENTS_MAX {
            self.laws.broken("it_ends", format!("{EVENTS_MAX} events and no end"));
            return false;
        }
        self.happen(happening);
        self.laws.violations.is_empty()
    }

    /// Runs until `done` says so, a law is broken, or this time is reached. `true` if `done`.
    pub fn run_until(&mut self, until_ms: u64, done: impl Fn(&Self) -> bool) -> bool {
        while !done(self) {
            let next = self.queue.first_key_value().map(|((at, _), _)| *at);
            if next.is_none_or(|at| at > until_ms) || !self.step() {
                return done(self);
            }
        }
        true
    }

    /// Runs to the end and judges it.
    #[must_use]
    pub fn finish(mut self) -> Outcome {
        let cap = self.plan.heals_at + (crate::town::LIFE_BLOCKS + 20) * self.plan.block_ms;
        if self.run_until(cap, Self::is_settled) {
            // Sequences in flight are spent one by one, and nodes forget what is closed.
            let _ = self.run_until(self.now + FORGETTING_MS, Self::is_idle);
        }
        if self.laws.violations.is_empty() {
            self.judge_the_end();
        }
        self.outcome()
    }

    /// What has been seen so far.
    #[must_use]
    pub fn outcome(mut self) -> Outcome {
        self.count();
        Outcome {
            seed: self.plan.seed,
            plan: self.plan,
            violations: self.laws.violations,
            totals: self.totals,
            log: self.log.unwrap_or_default(),
        }
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Frame { from, to, lane, body, epoch } => self.frame(from, to, lane, &body, epoch),
            Happening::Told { party, incarnation, event } => self.deliver_to(party, incarnation, *event),
            Happening::Own { party, incarnation, packet } => {
                self.deliver_to(party, incarnation, keyring::node::Event::Packet(packet));
            }
            Happening::LinkDown { party, incarnation, peer } => {
                self.deliver_to(party, incarnation, keyring::node::Event::LinkDown(peer));
            }
            Happening::LinkUp { party, incarnation, peer, epoch } => {
                if self.network.is_up(party, peer) && self.network.epoch(party, peer) == epoch {
                    // As the handshake measured it, before the weather turned.
                    let round_trip = 2 * self.plan.weather.latency_ms_max;
                    self.deliver_to(party, incarnation, keyring::node::Event::LinkUp(peer, round_trip));
                }
            }
            Happening::Tick { party, incarnation } => self.tick(party, incarnation),
            Happening::Computed { party, incarnation, session } => self.computed(party, incarnation, session),
            Happening::Run { party, incarnation, session, news } => {
                self.deliver_to(party, incarnation, keyring::node::Event::Run(session, news));
            }
            Happening::Proved { party, incarnation, key, possession } => {
                self.deliver_to(party, incarnation, keyring::node::Event::Proved(key, possession));
            }
            Happening::Sees { party, height } => self.sees(party, height),
            Happening::Reply { party, incarnation, news } => {
                let chain = crate::town::CHAIN.to_owned();
                self.deliver_to(party, incarnation, keyring::node::Event::Chain(chain, news));
            }
            Happening::Arrives { party, incarnation, tx, answered } => {
                self.arrives(party, incarnation, &tx, answered);
            }
            Happening::Block => self.block(),
            Happening::Restart(party) => self.restart(party),
            Happening::Fault(fault) => self.fault(fault),
            Happening::Wish(wish) => self.wish(wish),
            Happening::Heal => self.heal(),
        }
    }

    fn process(&self, party: PartyIndex) -> &Process {
        &self.processes[usize::from(party.get())]
    }

    fn process_mut(&mut self, party: PartyIndex) -> &mut Process {
        &mut self.processes[usize::from(party.get())]
    }

    fn note(&mut self, text: impl FnOnce() -> String) {
        let now = self.now;
        if let Some(log) = self.log.as_mut() {
            log.push(format!("{:>3}.{:03} {}", now / 1_000, now % 1_000, text()));
        }
    }

    fn heard_note(&mut self, party: PartyIndex, note: &keyring::node::Note) {
        if note.level == Level::Alarm {
            self.totals.alarms += 1;
            let endpoint_lies = self.plan.faults.iter().any(|(_, fault)| matches!(fault, Fault::Lie(..)));
            let is_told_of_it = endpoint_lies && note.text.starts_with("endpoints contradict");
            if self.liars.is_empty() && !self.alarms_expected && !is_told_of_it {
                self.laws.broken("no_false_alarm", format!("{party}: {}", note.text));
            }
        }
        let decree = note.decree.as_ref().map(ToString::to_string).unwrap_or_default();
        self.note(|| format!("{party} notes {:?} {decree} {}", note.level, note.text));
    }
}

impl World {
    /// Whether no node has anything left to do.
    fn is_idle(&self) -> bool {
        let nodes = self.processes.iter().filter_map(|process| process.node.as_ref());
        self.restarts_due.is_empty()
            && nodes.into_iter().all(|node| {
                let outbox = node.outbox(crate::town::CHAIN);
                node.live().count() == 0 && outbox.is_none_or(keyring::outbox::Outbox::is_at_rest)
            })
    }

    /// Whether nothing that users asked for is open, nothing waits, and no node has anything left to do.
    pub(crate) fn is_quiet(&self) -> bool {
        let tip = self.ledger.height();
        let is_open = |id: &RequestId| self.ledger.request(*id, tip).is_some_and(|request| request.status.is_open());
        let waits = self.wishes_open > 0 || self.asked.is_empty() || self.ledger.chain.waiting() > 0;
        !waits && !self.asked.keys().any(is_open) && self.is_idle()
    }

    /// Where each party's journal stands, by place.
    pub(crate) fn journals(&self) -> Vec<u64> {
        self.processes.iter().map(|process| process.store.head().position).collect()
    }

    /// Whether every lane is full and auxiliary data is in force, at every node.
    pub(crate) fn is_stocked(&self) -> bool {
        let lanes = 2 * self.plan.keys_per_lane * usize::from(self.plan.of);
        self.processes.iter().all(|process| {
            process.node.as_ref().is_some_and(|node| {
                node.has_auxiliary() && node.free_keys().count() >= lanes && node.live().count() == 0
            })
        })
    }

    /// Ends the world in order, every process with a goodbye, and keeps its disks and its chain.
    pub(crate) fn stop(mut self) -> stocked::Stocked {
        const GOODBYES_MS: u64 = 2_000;
        for party in self.town.threshold.parties().collect::<Vec<_>>() {
            self.deliver(party, keyring::node::Event::Leave);
        }
        let _ = self.run_until(self.now + GOODBYES_MS, |_| false);
        let disks = self.processes.iter().map(|process| process.store.snapshot()).collect();
        stocked::Stocked { disks, chain: self.ledger.chain }
    }
}
