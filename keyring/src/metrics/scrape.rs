//! What stands somewhere when somebody asks: set from a snapshot, and forgotten where nothing is known any more.

use std::collections::BTreeMap;

use chain_client::EndpointHealth;
use transport::{GateFacts, LinkFacts};

use super::{Contracts, Gauges, Metrics, ProcessFacts};
use crate::agreement::clock::Millis;
use crate::app::look::{ContractLook, NodeLook};
use crate::readiness::{Class, Name, Readiness};
use crate::store::StoreMemory;

/// Everything of one moment.
pub struct Snapshot {
    /// Whether the node contributes.
    pub readiness: Readiness,
    /// The node, if it answered.
    pub node: Option<NodeLook>,
    /// Names in the roster, by place.
    pub parties: Vec<String>,
    /// News that wait for the node's thread.
    pub inbox_waiting: usize,
    /// All links.
    pub links: Vec<LinkFacts>,
    /// What never became a link.
    pub gate: GateFacts,
    /// By chain id.
    pub chains: BTreeMap<String, ChainSnapshot>,
    /// Messages of runs that found no room.
    pub rounds_dropped: u64,
    /// The process.
    pub process: ProcessFacts,
}

/// What a chain's shell knows.
pub struct ChainSnapshot {
    /// Since the head was last read.
    pub read_age_ms: Option<Millis>,
    /// Its endpoints.
    pub endpoints: Vec<EndpointHealth>,
}

impl Metrics {
    pub(super) fn take(&self, snapshot: &Snapshot) {
        self.take_readiness(&snapshot.readiness);
        self.take_node(snapshot);
        self.take_links(&snapshot.links, snapshot.gate);
        self.take_chains(&snapshot.chains);
        self.node.inbox.set([], number(snapshot.inbox_waiting as u64));
        self.agreement.dropped.stands_at(["round"], snapshot.rounds_dropped);
        self.take_process(snapshot.process);
    }

    fn take_readiness(&self, readiness: &Readiness) {
        self.readiness.ready.set([], flag(readiness.is_ready()));
        for name in Name::ALL {
            let gauge = match name.class() {
                Class::NotReady => &self.readiness.not_ready,
                Class::Degraded => &self.readiness.degraded,
            };
            gauge.set([name.word()], flag(readiness.has(*name)));
        }
    }

    /// A node that does not answer says nothing: its old numbers would look like health.
    fn take_node(&self, snapshot: &Snapshot) {
        self.requests.open.forget();
        self.node.shelf.forget();
        self.store.memory.forget();
        for gauge in [&self.runs.live, &self.node.auxiliary, &self.store.position] {
            gauge.forget();
        }
        let by_chain = [&self.chains.height, &self.chains.block_age];
        let controllers = &self.controllers;
        let controllers = [&controllers.in_flight, &controllers.waiting, &controllers.halted, &controllers.balance];
        by_chain.into_iter().chain(controllers).for_each(Gauges::forget);
        self.contracts.forget();
        let Some(node) = &snapshot.node else { return };

        for ((chain, kind, state), open) in &node.open {
            self.requests.open.set([chain, kind, state], number(*open));
        }
        for ((place, suite), free) in &node.lanes {
            let party = snapshot.parties.get(usize::from(place.get())).map_or("", String::as_str);
            self.node.shelf.set([party, &suite.to_string()], number((*free).into()));
        }
        self.runs.live.set([], number(node.runs as u64));
        self.node.auxiliary.set([], flag(node.has_auxiliary));
        self.store.position.set([], number(node.head.position));
        let StoreMemory { buffers, cache, readers } = node.store_memory;
        for (part, bytes) in [("buffers", buffers), ("cache", cache), ("readers", readers)] {
            self.store.memory.set([part], number(bytes));
        }
        for (reason, total) in &node.dropped {
            self.agreement.dropped.stands_at([reason], *total);
        }
        self.take_contracts(&node.contracts);
        for (id, chain) in &node.chains {
            self.chains.height.set([id], number(chain.height.0));
            if let Some(age_ms) = chain.block_age_ms {
                self.chains.block_age.set([id], seconds(age_ms));
            }
            self.controllers.in_flight.set([id], number(chain.in_flight as u64));
            self.controllers.waiting.set([id], number(chain.waiting as u64));
            self.controllers.halted.set([id], flag(chain.halted.is_some()));
            if let Some(balance) = chain.balance_urock {
                self.controllers.balance.set([id], balance as f64);
            }
        }
    }

    #[allow(clippy::cast_precision_loss, reason = "wei beyond 2^53 are told to sixteen digits")]
    fn take_contracts(&self, contracts: &BTreeMap<String, ContractLook>) {
        let gauges = &self.contracts;
        for (id, contract) in contracts {
            let sender = &contract.sender;
            gauges.height.set([id], number(contract.height.0));
            gauges.read.set([id], number(contract.read));
            gauges.closed.set([id], flag(contract.closed.is_some()));
            gauges.lost_today.set([id], sender.lost_today as f64);
            gauges.lost_total.set([id], sender.lost_total as f64);
            gauges.in_flight.set([id], number(sender.in_flight as u64));
            gauges.waiting.set([id], number(sender.waiting as u64));
            gauges.transactions.set([id], number(contract.flying as u64));
            gauges.unread.set([id], number(contract.unread.len() as u64));
            if let Some(nonce) = sender.nonce {
                gauges.nonce.set([id], number(nonce));
            }
            for (gauge, wei) in [(&gauges.balance, sender.balance), (&gauges.price, sender.price)] {
                if let Some(wei) = wei {
                    gauge.set([id], wei as f64);
                }
            }
        }
    }

    fn take_links(&self, links: &[LinkFacts], gate: GateFacts) {
        let peers = &self.peers;
        peers.round_trip.forget();
        peers.clock_offset.forget();
        for link in links {
            let peer = link.name.as_str();
            peers.up.set([peer], flag(link.up));
            if let Some(trip) = link.round_trip {
                peers.round_trip.set([peer], trip.as_secs_f64());
            }
            if let Some(offset) = link.clock_offset {
                peers.clock_offset.set([peer], ahead_seconds(offset.ahead_ms));
            }
            peers.queued.set([peer], number(link.queued_frames as u64));
            let counters = &link.counters;
            peers.frames.stands_at([peer, "in"], counters.frames_in);
            peers.frames.stands_at([peer, "out"], counters.frames_out);
            peers.bytes.stands_at([peer, "in"], counters.bytes_in);
            peers.bytes.stands_at([peer, "out"], counters.bytes_out);
            peers.ups.stands_at([peer], counters.ups);
            let drops = counters.drops;
            let reasons = [
                ("stale_roster", drops.stale_roster),
                ("oversized", drops.oversized),
                ("malformed", drops.malformed),
                ("full", drops.full),
                ("unsent", drops.unsent),
            ];
            for (reason, total) in reasons {
                peers.dropped.stands_at([peer, reason], total);
            }
        }
        peers.refused.stands_at(["stranger"], gate.strangers);
        peers.refused.stands_at(["over_limit"], gate.over_limit);
        peers.refused.stands_at(["failed_handshake"], gate.failed_handshakes);
    }

    fn take_chains(&self, chains: &BTreeMap<String, ChainSnapshot>) {
        self.chains.read_age.forget();
        for (id, chain) in chains {
            if let Some(age_ms) = chain.read_age_ms {
                self.chains.read_age.set([id], seconds(age_ms));
            }
            for endpoint in &chain.endpoints {
                self.chains.endpoint_height.set([id, &endpoint.name], number(endpoint.height.0));
                self.chains.endpoint_failures.set([id, &endpoint.name], f64::from(endpoint.failures));
            }
        }
    }

    fn take_process(&self, facts: ProcessFacts) {
        if let Some(bytes) = facts.resident_bytes {
            self.process.resident.set([], number(bytes));
        }
        if let Some(count) = facts.descriptors {
            self.process.descriptors.set([], number(count));
        }
        self.process.started.set([], seconds(facts.started_ms));
        let arithmetic = if cfg!(feature = "backend-gmp") { "gmp" } else { "num-bigint" };
        let development = if cfg!(feature = "devnet") { "true" } else { "false" };
        self.process.build.set([env!("CARGO_PKG_VERSION"), arithmetic, development], 1.0);
    }
}

impl Contracts {
    fn forget(&self) {
        let Self {
            height,
            read,
            closed,
            nonce,
            balance,
            price,
            lost_today,
            lost_total,
            in_flight,
            transactions,
            unread,
            waiting,
        } = self;
        [height, read, closed, nonce, balance, price].into_iter().for_each(Gauges::forget);
        [lost_today, lost_total, in_flight, transactions, unread, waiting].into_iter().for_each(Gauges::forget);
    }
}

const fn flag(is: bool) -> f64 {
    if is { 1.0 } else { 0.0 }
}

/// Exact up to 2^53, which no count here reaches.
#[allow(clippy::cast_precision_loss, reason = "heights, bytes and counts stay far below 2^53")]
const fn number(value: u64) -> f64 {
    value as f64
}

fn seconds(ms: Millis) -> f64 {
    std::time::Duration::from_millis(ms).as_secs_f64()
}

fn ahead_seconds(ms: i64) -> f64 {
    let size = seconds(ms.unsigned_abs());
    if ms < 0 { -size } else { size }
}
