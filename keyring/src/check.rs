//! Would this party work? Facts in, findings out, each with what to do about it.
//!
//! [`judge`] is pure: the same facts lead to the same findings, so every failure has a test. [`gather`] collects the
//! facts and refuses to judge them. It never signs, never answers anybody, and never writes to the store; while the node
//! runs it asks the node itself, and opens nothing that the node holds.

mod chains;
mod contracts;
pub mod gather;
mod local;
mod peers;
#[cfg(test)]
mod tests;

pub use self::contracts::{ContractFacts, ContractMemory, ContractState, ContractWords, EvmAccountFacts, EvmNodeFacts};
use crate::roster::Roster;
use chain_client::{AccountFacts, Block, FeePolicy, GasPrice, KeyringFacts};
use serde::Serialize;
use std::collections::BTreeMap;

/// How it stands with one thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// As it should be.
    Ok,
    /// It works, and should be looked at.
    Warn,
    /// This party would not work, or not safely.
    Fail,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What was looked at, in one or two words; with the chain's or the peer's name where there are several.
    pub subject: String,
    /// How it stands.
    pub verdict: Verdict,
    /// What was found.
    pub found: String,
    /// What to do; empty when there is nothing to do.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub remedy: String,
}

/// Everything that was found out.
#[derive(Clone, Debug)]
pub struct Facts {
    /// The configuration file.
    pub config_path: String,
    /// What it leads to, or why it does not serve.
    pub party: Result<PartyFacts, String>,
}

/// Facts of a party whose configuration parses.
#[derive(Clone, Debug)]
pub struct PartyFacts {
    /// Its name in the configuration.
    pub name: String,
    /// Every secret that the configuration refers to.
    pub secrets: Vec<SecretFacts>,
    /// Permission bits of the store's folder, if it is there.
    pub folder_mode: Option<u32>,
    /// The node's public key, if its identity can be read.
    pub node_key: Option<[u8; 32]>,
    /// The roster that all have signed, or why there is none.
    pub roster: Result<Roster, String>,
    /// The store.
    pub store: StoreFacts,
    /// Bytes free where the store lies, or why that is not known.
    pub disk_free: Result<u64, String>,
    /// What the running node says of itself; `None` when none answers.
    pub running: Option<RunningFacts>,
    /// The other parties, by name; empty when they were not asked.
    pub peers: BTreeMap<String, PeerFacts>,
    /// The chains.
    pub chains: Vec<ChainFacts>,
    /// The contracts on EVM chains.
    pub contracts: Vec<ContractFacts>,
}

/// A secret, without its contents.
#[derive(Clone, Debug)]
pub struct SecretFacts {
    /// The field that refers to it.
    pub field: String,
    /// Where it lies.
    pub place: String,
    /// Why it cannot be used; `None` when it can.
    pub fault: Option<String>,
    /// Whether child processes inherit it.
    pub inherited: bool,
}

/// The store, as far as it can be looked at without a write.
#[derive(Clone, Debug)]
pub enum StoreFacts {
    /// It opens.
    Opens {
        /// Where its journal stands.
        position: u64,
        /// Whose it is, by node key, if anybody has claimed it.
        owner: Option<Vec<u8>>,
    },
    /// A process has it.
    InUse,
    /// What opens it cannot be read.
    NoKey,
    /// It does not open.
    Fault(String),
}

/// A running node's own words.
#[derive(Clone, Debug, Default)]
pub struct RunningFacts {
    /// Why it does not contribute; empty when it does.
    pub not_ready: Vec<String>,
    /// What it lacks although it contributes.
    pub degraded: Vec<String>,
    /// The roster it runs under.
    pub roster: [u8; 32],
}

/// A peer, as the running node or a handshake of our own found it.
#[derive(Clone, Debug)]
pub struct PeerFacts {
    /// Why there is no link; `None` when there is.
    pub fault: Option<String>,
    /// Whether the reason is that it holds another roster.
    pub other_roster: bool,
    /// How far its clock is ahead of ours.
    pub ahead_ms: Option<i64>,
}

/// A chain.
#[derive(Clone, Debug)]
pub struct ChainFacts {
    /// Its name.
    pub id: String,
    /// The keyring's address.
    pub keyring: String,
    /// Our account, if its key can be read.
    pub account: Option<String>,
    /// What we are willing to pay.
    pub fees: FeePolicy,
    /// Its nodes, as configured.
    pub endpoints: Vec<EndpointFacts>,
    /// What the chain says, or why it says nothing.
    pub state: Result<ChainState, String>,
}

/// A node of a chain.
#[derive(Clone, Debug)]
pub struct EndpointFacts {
    /// Its address without credentials.
    pub name: String,
    /// Its newest block, or why it shows none.
    pub head: Result<Block, String>,
    /// The date here when it answered.
    pub wall_ms: u64,
    /// Hash of the highest block that all nodes should have, if it was asked.
    pub common: Option<[u8; 32]>,
}

/// What a chain says of a keyring and an account.
#[derive(Clone, Debug)]
pub struct ChainState {
    /// The keyring, if there is one of that address.
    pub keyring: Option<KeyringFacts>,
    /// Our account, if it was ever funded.
    pub account: Option<AccountFacts>,
    /// What it holds.
    pub balance_urock: u128,
    /// The price of gas.
    pub price: Result<GasPrice, String>,
}

/// Judges all facts, in the order in which a person should mend them.
#[must_use]
pub fn judge(facts: &Facts) -> Vec<Finding> {
    let party = match &facts.party {
        Ok(party) => party,
        Err(why) => {
            let remedy = "correct the file; docs/configuration.md explains every field. Nothing else was looked at";
            return vec![fail("configuration", why.clone(), remedy)];
        }
    };
    let mut findings = vec![ok("configuration", format!("{} parses", facts.config_path))];
    findings.extend(local::secrets(party));
    findings.push(local::roster(party));
    findings.push(local::store(party));
    findings.extend(local::folder(party));
    findings.push(local::disk(party));
    findings.push(local::running(party));
    findings.extend(peers::peers(party));
    for chain in &party.chains {
        findings.extend(chains::chain(chain, party));
    }
    for contract in &party.contracts {
        findings.extend(contracts::contract(contract, party));
    }
    findings.push(chains::clock(party));
    findings
}

/// Whether anything would keep this party from working, or from working safely.
#[must_use]
pub fn has_failed(findings: &[Finding]) -> bool {
    findings.iter().any(|finding| finding.verdict == Verdict::Fail)
}

// === words ===

fn ok(subject: impl Into<String>, found: impl Into<String>) -> Finding {
    Finding { subject: subject.into(), verdict: Verdict::Ok, found: found.into(), remedy: String::new() }
}

fn warn(subject: impl Into<String>, found: impl Into<String>, remedy: impl Into<String>) -> Finding {
    Finding { subject: subject.into(), verdict: Verdict::Warn, found: found.into(), remedy: remedy.into() }
}

fn fail(subject: impl Into<String>, found: impl Into<String>, remedy: impl Into<String>) -> Finding {
    Finding { subject: subject.into(), verdict: Verdict::Fail, found: found.into(), remedy: remedy.into() }
}
