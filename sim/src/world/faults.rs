//! What goes wrong: crashes and restarts, links, and the healing of everything.

use chain_client::KeyType;
use keyring::lease::{LEASE_MS, Life, Process};
use keyring::node::{ChainSetup, Event, Node, Setup, Word};
use keyring::store::{CrashPoint, Store};
use mpc_core::{PartyIndex, Suite};
use rand::Rng;

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Happening, World};
use crate::plan::{Endpoints, Fault};
use crate::town::{CHAIN, RESERVED};

/// How long a process that nobody restarts in the plan stays down.
const DOWN_MS: u64 = 2_000;

impl World {
    /// A process begins with what its disk remembers.
    pub(super) fn start(&mut self, party: PartyIndex) {
        self.laws.disturbed();
        let boot = match self.process(party).store.raise_boot() {
            Ok(boot) => boot,
            Err(error) => return self.laws.broken("it_remembers", format!("{party}: {error}")),
        };
        let incarnation = match keyring::node::incarnation(self.process(party).store.as_ref()) {
            Ok(incarnation) => incarnation.number,
            Err(error) => return self.laws.broken("it_remembers", format!("{party}: {error}")),
        };
        let process = Process { life: Life { incarnation, boot }, instance: self.rng.r#gen() };
        self.process_mut(party).instance = process.instance;
        let setup = Setup {
            me: party,
            process,
            committee: self.town.committee.clone(),
            keys_per_lane: [Suite::Secp256k1, Suite::Ed25519].map(|suite| (suite, self.plan.keys_per_lane)).into(),
            live_max: self.plan.live_max,
            slots: self.plan.slots,
            contracts: Vec::new(),
            destinations: BTreeMap::new(),
            chains: vec![ChainSetup {
                chain: CHAIN.to_owned(),
                keyring: self.town.keyring.clone(),
                reserved: RESERVED.to_vec(),
                endpoints: super::chain::ENDPOINTS,
                pen: self.town.pen(party),
            }],
        };
        let store = self.process(party).store.clone();
        match Node::recover(setup, store, self.now) {
            Ok(node) => self.process_mut(party).node = Some(node),
            Err(error) => return self.laws.broken("it_remembers", format!("{party}: {error}")),
        }
        self.note(|| format!("{party} starts"));
        for peer in self.network.set_alive(party, true) {
            self.link_rises(party, peer);
        }
        self.settle(party);
        self.deliver(party, Event::Primes(true));
        // Whoever never starts is known to be dead: its peers' operators say so, as soon as they may.
        for absent in self.plan.absent.clone() {
            let (incarnation, event) = (self.process(party).incarnation, Event::Operator(absent, Word::Vouch));
            self.after(LEASE_MS, Happening::Told { party, incarnation, event: Box::new(event) });
        }
        let height = self.ledger.height();
        let wait = self.rng.gen_range(10..200);
        self.after(wait, Happening::Sees { party, height });
    }

    /// A process dies and is started again later.
    pub(super) fn crashed(&mut self, party: PartyIndex, how: &str) {
        if self.process(party).node.is_none() {
            return;
        }
        self.totals.crashes += 1;
        self.laws.disturbed();
        self.laws.ended(party);
        self.note(|| format!("{party} dies {how}"));
        let down = self.process(party).down_ms.unwrap_or(DOWN_MS);
        self.process_mut(party).die();
        for peer in self.network.set_alive(party, false) {
            self.link_falls(party, peer);
        }
        if self.restarts_due.insert(party) {
            let wait = if self.healed { down.min(1_000) } else { down };
            self.after(wait, Happening::Restart(party));
        }
    }

    pub(super) fn restart(&mut self, party: PartyIndex) {
        let is_due = self.restarts_due.remove(&party);
        if is_due && self.process(party).node.is_none() {
            let threshold = self.town.threshold;
            self.process_mut(party).reopen(threshold);
            self.start(party);
        }
    }

    fn link_falls(&mut self, one: PartyIndex, other: PartyIndex) {
        for (party, peer) in [(one, other), (other, one)] {
            let wait = self.rng.gen_range(1..400);
            let incarnation = self.process(party).incarnation;
            self.after(wait, Happening::LinkDown { party, incarnation, peer });
        }
    }

    fn link_rises(&mut self, one: PartyIndex, other: PartyIndex) {
        let epoch = self.network.epoch(one, other);
        for (party, peer) in [(one, other), (other, one)] {
            // Behind the word that it fell, which is never later than this.
            let wait = self.rng.gen_range(400..900);
            let incarnation = self.process(party).incarnation;
            self.after(wait, Happening::LinkUp { party, incarnation, peer, epoch });
        }
    }

    pub(super) fn fault(&mut self, fault: Fault) {
        self.note(|| format!("fault: {fault:?}"));
        self.laws.disturbed();
        match fault {
            Fault::Crash(party, down_ms) => {
                self.process_mut(party).down_ms = Some(down_ms);
                self.crashed(party, "by accident");
            }
            Fault::CopyDisk(party) => {
                let process = self.process_mut(party);
                process.copy = Some(process.store.snapshot());
            }
            Fault::SetBack(party, down_ms) => {
                self.alarms_expected = true;
                self.process_mut(party).down_ms = Some(down_ms);
                self.crashed(party, "to be set back");
                let process = self.process_mut(party);
                if let Some(copy) = process.copy.clone() {
                    process.store = Arc::new(process.opened(copy));
                    self.laws.forgets(party);
                }
            }
            Fault::BackUp(party) => self.process_mut(party).back_up(),
            Fault::Restore(party, down_ms) => {
                self.alarms_expected = true;
                self.process_mut(party).down_ms = Some(down_ms);
                self.crashed(party, "and its disk is lost");
                let restore = self.rng.r#gen::<u64>() | 1 << 63;
                self.process_mut(party).restore(restore);
                self.laws.forgets(party);
            }
            Fault::Consent(by, of) => {
                let asks = |node: &Node| node.asking().find(|(party, _)| *party == of).map(|(_, (_, restore))| restore);
                if let Some(restore) = self.process(by).node.as_ref().and_then(asks) {
                    self.deliver(by, Event::Operator(of, Word::Consent(restore)));
                }
            }
            Fault::CrashAtWrite { party, ahead, before, down_ms } => {
                let process = self.process_mut(party);
                process.down_ms = Some(down_ms);
                let position = process.store.head().position + ahead;
                let point = if before { CrashPoint::Before(position) } else { CrashPoint::After(position) };
                process.store.crash_at(point);
            }
            Fault::CrashAfterFrames { party, frames, down_ms } => {
                let process = self.process_mut(party);
                process.down_ms = Some(down_ms);
                process.frames_left = Some(frames);
            }
            Fault::Partition(side) => self.set_links(|one, other| side.contains(&one) != side.contains(&other)),
            Fault::Mend => self.set_links(|_, _| false),
            Fault::Sever(one, other) => {
                if one != other && self.network.set_cut(one, other, true) {
                    self.link_falls(one, other);
                }
            }
            Fault::Flap(one, other) => {
                if one != other && self.network.set_cut(one, other, true) {
                    self.link_falls(one, other);
                    if self.network.set_cut(one, other, false) {
                        self.link_rises(one, other);
                    }
                }
            }
            Fault::Halt => self.halted = true,
            Fault::Resume => self.halted = false,
            Fault::ForgetMempool => self.ledger.chain.forget_mempool(),
            Fault::Slow(party, factor) => self.process_mut(party).slowness = factor.max(1),
            Fault::Lag(party, blocks) => self.process_mut(party).lag = blocks,
            Fault::Lie(party, lie) => self.process_mut(party).lie = lie,
            Fault::Fork(party, forked) => {
                self.alarms_expected = true;
                self.process_mut(party).forked = forked;
            }
            Fault::Weather(weather) => self.network.weather = weather,
            Fault::Endpoints(endpoints) => self.endpoints = endpoints,
        }
    }

    /// Sets every link by who stands at its ends.
    fn set_links(&mut self, is_cut: impl Fn(PartyIndex, PartyIndex) -> bool) {
        let parties: Vec<PartyIndex> = self.town.threshold.parties().collect();
        for (place, one) in parties.iter().enumerate() {
            for other in &parties[place + 1..] {
                let cut = is_cut(*one, *other);
                if self.network.set_cut(*one, *other, cut) {
                    if cut { self.link_falls(*one, *other) } else { self.link_rises(*one, *other) }
                }
            }
        }
    }

    /// From now on nothing goes wrong: everybody lives, all links stand, endpoints answer.
    pub(super) fn heal(&mut self) {
        self.note(|| "the world heals".to_owned());
        self.laws.disturbed();
        self.healed = true;
        self.halted = false;
        self.endpoints = Endpoints::default();
        self.network.weather = self.plan.weather;
        self.set_links(|_, _| false);
        for party in self.town.threshold.parties().collect::<Vec<_>>() {
            let process = self.process_mut(party);
            (process.slowness, process.lag, process.lie, process.frames_left) = (1, 0, None, None);
            process.forked = false;
            process.store.crash_at(CrashPoint::Before(u64::MAX));
            if process.node.is_none() && !self.plan.absent.contains(&party) && self.restarts_due.insert(party) {
                self.after(1, Happening::Restart(party));
            }
        }
    }
}

/// The chain's word for a key type in a user's message.
pub(super) const fn type_word(key_type: KeyType) -> &'static str {
    match key_type {
        KeyType::EcdsaSecp256k1 => "ecdsa",
        KeyType::EddsaEd25519 => "ed25519",
        KeyType::BitcoinSecp256k1 => "bitcoin",
    }
}
