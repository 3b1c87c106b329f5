//! One look at the node between two beats: everything that status, readiness and metrics want of it, taken at once.

use std::collections::{BTreeMap, BTreeSet};

use alloy_primitives::Address;
use chain_client::Height;
use k256::ecdsa::VerifyingKey;
use mpc_core::{PartyIndex, Suite};

use crate::agreement::clock::Millis;
use crate::lease::{Restraint, restore_name};
use crate::node::Node;
use crate::readiness::{ChainFacts, ChainShell, ContractFacts, Keyring, NodeFacts};
use crate::sender;
use crate::store::{Head, Store, StoreMemory};

/// What the node said of itself.
#[derive(Clone, Debug)]
pub struct NodeLook {
    /// Parties that it counts as here, itself among them.
    pub present: BTreeSet<PartyIndex>,
    /// Why this process does not act, or not on everything.
    pub restraints: Vec<Restraint>,
    /// Peers of which two live copies were seen.
    pub fenced: Vec<PartyIndex>,
    /// Peers under whose name two processes answer.
    pub twins: Vec<PartyIndex>,
    /// Peers that ask to come back from a backup: as which incarnation, by which restore.
    pub asking: Vec<(PartyIndex, (u64, u64))>,
    /// Whether auxiliary data for ECDSA is in force.
    pub has_auxiliary: bool,
    /// Free keys by lane and curve.
    pub lanes: BTreeMap<(PartyIndex, Suite), u32>,
    /// Curves of which this party's lane should hold keys and holds none.
    pub empty_lanes: Vec<Suite>,
    /// Runs that are alive.
    pub runs: usize,
    /// Open requests by chain, kind and state.
    pub open: BTreeMap<(String, &'static str, &'static str), u64>,
    /// Where the journal stands.
    pub head: Head,
    /// What the store holds in memory.
    pub store_memory: StoreMemory,
    /// What peers said and was thrown away, by reason.
    pub dropped: BTreeMap<&'static str, u64>,
    /// By chain id.
    pub chains: BTreeMap<String, ChainLook>,
    /// Contracts, by chain.
    pub contracts: BTreeMap<String, ContractLook>,
}

/// A contract, as the node and its sender see it.
#[derive(Clone, Debug)]
pub struct ContractLook {
    /// The newest final height heard of; 0 before the first.
    pub height: Height,
    /// The block up to which its logs were taken.
    pub read: u64,
    /// The address of its controller key, once that is known.
    pub controller: Option<Address>,
    /// Why nothing is read.
    pub closed: Option<String>,
    /// Whether nothing is read on because its own requests hold all places.
    pub is_full: bool,
    /// Requests whose wallet's key this party has not learned.
    pub waiting_keys: usize,
    /// Why its sender stands still.
    pub halted: Option<String>,
    /// Why nothing is sent at all, in words; empty when answers go out.
    pub why_silent: String,
    /// Why answers wait, each in words.
    pub waits: Vec<String>,
    /// Simple transactions whose nonce is not spent for good.
    pub flying: usize,
    /// Which destinations are not read though a simple transaction waits for it, and why.
    pub unread: Vec<String>,
    /// The sender.
    pub sender: sender::Facts,
}

/// A chain, as the node and its controller see it.
#[derive(Clone, Debug)]
pub struct ChainLook {
    /// The newest height heard of; 0 before the first.
    pub height: Height,
    /// Since that was; `None` before the first.
    pub block_age_ms: Option<Millis>,
    /// Measured time between blocks.
    pub block_ms: Millis,
    /// How the keyring stands there.
    pub keyring: Keyring,
    /// Account sequences in flight.
    pub in_flight: usize,
    /// Answers that wait.
    pub waiting: usize,
    /// Why the controller stands still.
    pub halted: Option<String>,
    /// How the endpoints differ, if they follow two chains.
    pub forked: Option<String>,
    /// What else the controller would have a person look at.
    pub warnings: Vec<String>,
    /// What the account held when it was last read, in urock.
    pub balance_urock: Option<u128>,
    /// Why nothing is published, in words; empty when answers go out.
    pub why_silent: String,
    /// Whether the last broadcast was refused for lack of funds.
    pub is_out_of_funds: bool,
    /// Whether an answer would cost more than the ceiling.
    pub is_over_ceiling: bool,
}

impl NodeLook {
    /// Looks. `now` is the node's own time.
    #[must_use]
    pub fn at(node: &Node, store: &dyn Store, chains: &[String], now: Millis) -> Self {
        let mut lanes: BTreeMap<(PartyIndex, Suite), u32> = BTreeMap::new();
        for (lane, suite, _) in node.free_keys() {
            *lanes.entry((lane, suite)).or_default() += 1;
        }
        let wanted = node.keys_per_lane().iter().filter(|(_, wanted)| **wanted > 0).map(|(suite, _)| *suite);
        let empty_lanes = wanted.filter(|suite| !lanes.contains_key(&(node.me(), *suite))).collect();
        let mut open: BTreeMap<_, u64> = BTreeMap::new();
        for live in node.live() {
            let state = if live.request.learning { "learning" } else { live.request.state.word() };
            *open.entry((live.decree.chain.clone(), live.decree.kind.word(), state)).or_default() += 1;
        }
        Self {
            present: node.present().clone(),
            restraints: node.restraints(),
            fenced: node.fenced(),
            twins: node.twins(),
            asking: node.asking().collect(),
            has_auxiliary: node.has_auxiliary(),
            lanes,
            empty_lanes,
            runs: node.runs(),
            open,
            head: store.head(),
            store_memory: store.memory(),
            dropped: node.dropped().iter().map(|(why, total)| (why.word(), *total)).collect(),
            chains: chains.iter().filter_map(|id| Some((id.clone(), ChainLook::at(node, id, now)?))).collect(),
            contracts: chains.iter().filter_map(|id| Some((id.clone(), ContractLook::at(node, id)?))).collect(),
        }
    }

    /// The same as readiness is judged by it, with names for people, beside what the shells of chains and contracts know.
    #[must_use]
    pub fn facts(
        &self,
        name_of: impl Fn(PartyIndex) -> String,
        chains: Vec<ChainFacts>,
        contracts: Vec<ContractFacts>,
    ) -> NodeFacts {
        NodeFacts {
            restraints: self.restraints.iter().map(|why| (why.clone(), why.text(&name_of))).collect(),
            twins: self.twins.iter().map(|peer| name_of(*peer)).collect(),
            asking: self.asking.iter().map(|(peer, (_, by))| (name_of(*peer), restore_name(*by))).collect(),
            fenced: self.fenced.iter().map(|peer| name_of(*peer)).collect(),
            has_auxiliary: self.has_auxiliary,
            empty_lanes: self.empty_lanes.iter().map(ToString::to_string).collect(),
            chains,
            contracts,
        }
    }

    /// Open requests in all.
    #[must_use]
    pub fn requests_open(&self) -> u64 {
        self.open.values().sum()
    }
}

impl ChainShell {
    /// With what the node shows. A chain that the node does not show is unread, whatever its shell says.
    #[must_use]
    pub fn facts(self, look: Option<&ChainLook>) -> ChainFacts {
        ChainFacts {
            shell: Self { read_age_ms: look.and(self.read_age_ms), ..self },
            block_age_ms: look.and_then(|look| look.block_age_ms),
            block_ms: look.map_or(0, |look| look.block_ms),
            keyring: look.map_or(Keyring::Unread, |look| look.keyring),
            is_out_of_funds: look.is_some_and(|look| look.is_out_of_funds),
            is_over_ceiling: look.is_some_and(|look| look.is_over_ceiling),
            halted: look.and_then(|look| look.halted.clone()),
            forked: look.and_then(|look| look.forked.clone()),
            warnings: look.map(|look| look.warnings.clone()).unwrap_or_default(),
        }
    }
}

impl ChainLook {
    fn at(node: &Node, id: &str, now: Millis) -> Option<Self> {
        let (shown, outbox) = (node.chain(id)?, node.outbox(id)?);
        let keyring = match shown.keyring {
            None => Keyring::Unread,
            Some(facts) if !facts.active => Keyring::Off,
            Some(facts) if !facts.parties.iter().any(|party| party == shown.account) => Keyring::NotAParty,
            Some(_) => Keyring::Serving,
        };
        Some(Self {
            height: shown.height,
            block_age_ms: (shown.height.0 > 0).then(|| now.saturating_sub(shown.height_at)),
            block_ms: shown.block_ms,
            keyring,
            in_flight: outbox.slots().count(),
            waiting: outbox.waiting(),
            halted: outbox.halted().map(ToString::to_string),
            forked: outbox.forked().map(str::to_owned),
            warnings: outbox.warnings(),
            balance_urock: outbox.balance(),
            why_silent: outbox.why_silent(),
            is_out_of_funds: outbox.is_out_of_funds(),
            is_over_ceiling: outbox.is_over_ceiling(),
        })
    }
}

impl ContractLook {
    fn at(node: &Node, id: &str) -> Option<Self> {
        let (shown, sender) = (node.contract(id)?, node.sender(id)?);
        let controller = shown.controller.as_deref().and_then(|key| VerifyingKey::from_sec1_bytes(key).ok());
        Some(Self {
            height: shown.height,
            read: shown.mark.map_or(0, |mark| mark.height),
            controller: controller.map(|key| Address::from_public_key(&key)),
            closed: shown.closed.map(str::to_owned),
            is_full: shown.is_full,
            waiting_keys: shown.waiting,
            halted: sender.halted().map(ToString::to_string),
            why_silent: sender.why_silent(),
            waits: sender.why_waiting().map(|(decree, why)| format!("{decree}: {why}")).collect(),
            flying: shown.flying,
            unread: shown.unread.iter().map(|(destination, why)| format!("eip155:{destination}: {why}")).collect(),
            sender: sender.facts(),
        })
    }
}
