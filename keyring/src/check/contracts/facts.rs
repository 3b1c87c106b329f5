//! What is found out about a contract before it is judged.

use std::collections::{BTreeMap, BTreeSet};

use alloy_primitives::{Address, B256};
use chain_client::zrsign::evm::{Block, Code, Deployment, Tips};
use chain_client::zrsign::name::Proxy;

use crate::sender::Settings;

/// A contract on an EVM chain.
#[derive(Clone, Debug)]
pub struct ContractFacts {
    /// The contract.
    pub proxy: Proxy,
    /// Code that may run behind it.
    pub code: BTreeSet<B256>,
    /// Its logs are read behind this block.
    pub first_block: u64,
    /// Endpoints that must show the same.
    pub agree: usize,
    /// What this party may pay there.
    pub settings: Settings,
    /// This party's account there, if its key can be read.
    pub account: Option<Address>,
    /// What this party remembers of the contract, or why that is not known.
    pub memory: Result<ContractMemory, String>,
    /// Nodes of its chain, as configured.
    pub endpoints: Vec<EvmNodeFacts>,
    /// The date here before they were asked, and when all had answered.
    pub asked_ms: (u64, u64),
    /// What the chain says, or why it says nothing.
    pub state: Result<ContractState, String>,
}

/// What a party remembers of a contract.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ContractMemory {
    /// The address of its controller key, once there is one.
    pub controller: Option<Address>,
    /// The block up to which its logs were taken; 0 before the first.
    pub read: u64,
    /// Nonces of this party's account that are taken and not spent in a final block.
    pub in_flight: u64,
}

/// A node of an EVM chain.
#[derive(Clone, Debug)]
pub struct EvmNodeFacts {
    /// Its address without credentials.
    pub name: String,
    /// Its newest and its newest final block, or why it shows none.
    pub tips: Result<Tips, String>,
    /// Hash of the highest block that all nodes call final, if it shows one.
    pub common: Option<B256>,
}

/// What a chain says of a contract and of this party's account.
#[derive(Clone, Debug)]
pub struct ContractState {
    /// The height of the final block for which all but the account holds: as far as so many nodes have come as must agree.
    pub at: u64,
    /// Whether there is code at the contract's address.
    pub is_there: bool,
    /// What runs behind it, if it is an ERC-1967 proxy.
    pub code: Option<Code>,
    /// Who may put other code there.
    pub admin: Option<Address>,
    /// What the contract says, or what it does not say.
    pub words: Result<ContractWords, String>,
    /// Whether there was code at the contract's address at `first_block` already, or why that is not known.
    pub was_there: Result<bool, String>,
    /// The newest block.
    pub head: Block,
    /// This party's account at that block, if it is known which.
    pub account: Option<EvmAccountFacts>,
}

/// What a contract says.
#[derive(Clone, Debug)]
pub struct ContractWords {
    /// Of itself.
    pub deployment: Deployment,
    /// Of each address that it was asked about: whether it holds the MPC role.
    pub holds_role: BTreeMap<Address, bool>,
}

/// An account on an EVM chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EvmAccountFacts {
    /// What it holds, in wei.
    pub balance: u128,
    /// Transactions of it in blocks.
    pub nonce: u64,
    /// The same with those that wait in a node's pool.
    pub pending: u64,
}
