//! The whole state of a chain as one message, for a disk.
//!
//! Holds what transactions can change, at one height; blocks and transactions before it are not kept. Indexes are
//! rebuilt. The genesis that fixes the rules is stored beside it by whoever stores this.

use std::sync::Arc;
use std::time::Duration;

use chain_client::proto::zrchain::identity::{Keyring, Workspace};
use chain_client::proto::zrchain::policy::{Action, Policy};
use chain_client::proto::zrchain::treasury::{Key, KeyRequest, SignRequest, SignTransactionRequest};
use prost::Message;
use thiserror::Error;

use super::Chain;
use super::address::Address;
use super::genesis::{Genesis, GenesisError};
use super::rules::{Bounds, Rules};
use super::state::{Account, Counters, State};

/// Raised with every change of the layout.
const VERSION: u32 = 1;

/// A chain's state at one height.
#[derive(Clone, PartialEq, Message)]
pub struct Snapshot {
    #[prost(uint32, tag = "1")]
    version: u32,
    #[prost(string, tag = "2")]
    chain_id: String,
    #[prost(uint64, tag = "3")]
    height: u64,
    #[prost(uint64, tag = "4")]
    time_seconds: u64,
    #[prost(uint32, tag = "5")]
    time_nanoseconds: u32,
    #[prost(message, repeated, tag = "6")]
    accounts: Vec<StoredAccount>,
    #[prost(message, repeated, tag = "7")]
    keyrings: Vec<Keyring>,
    #[prost(message, repeated, tag = "8")]
    workspaces: Vec<Workspace>,
    #[prost(message, repeated, tag = "9")]
    keys: Vec<Key>,
    #[prost(message, repeated, tag = "10")]
    key_requests: Vec<KeyRequest>,
    #[prost(message, repeated, tag = "11")]
    sign_requests: Vec<SignRequest>,
    #[prost(message, repeated, tag = "12")]
    sign_transactions: Vec<SignTransactionRequest>,
    #[prost(message, repeated, tag = "13")]
    actions: Vec<Action>,
    #[prost(message, repeated, tag = "14")]
    policies: Vec<Policy>,
    /// In the order of [`Counters`].
    #[prost(uint64, repeated, tag = "15")]
    counters: Vec<u64>,
    /// Hash of the block at this height.
    #[prost(bytes = "vec", tag = "16")]
    hash: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
struct StoredAccount {
    #[prost(string, tag = "1")]
    address: String,
    #[prost(bool, tag = "2")]
    exists: bool,
    #[prost(uint64, tag = "3")]
    number: u64,
    #[prost(uint64, tag = "4")]
    sequence: u64,
    #[prost(bytes = "vec", tag = "5")]
    public_key: Vec<u8>,
    #[prost(string, tag = "6")]
    module: String,
    #[prost(string, tag = "7")]
    urock: String,
}

/// Why a snapshot starts no chain.
#[derive(Debug, Error)]
pub enum SnapshotError {
    /// Written by another version.
    #[error("snapshot has version {0}, expected {VERSION}: start from genesis again")]
    Version(u32),
    /// Of another chain.
    #[error("snapshot is of chain {found}, genesis of {expected}")]
    OtherChain {
        /// Named by the snapshot.
        found: String,
        /// Named by the genesis.
        expected: String,
    },
    /// Not what this program writes.
    #[error("snapshot is damaged: {0}")]
    Damaged(String),
    /// The genesis beside it is invalid.
    #[error("genesis beside the snapshot is invalid")]
    Genesis(#[from] GenesisError),
}

impl Chain {
    /// The state after the last block. What waits for a block is not part of it.
    pub fn snapshot(&self) -> Snapshot {
        self.snapshot_of(&self.state, self.height, self.time, self.last_hash())
    }

    /// The state after a block that is still kept.
    pub fn snapshot_at(&self, height: u64) -> Option<Snapshot> {
        let block = self.blocks.get(&height)?;
        Some(self.snapshot_of(&block.state, height, block.outcome.time, block.outcome.hash))
    }

    fn snapshot_of(&self, state: &State, height: u64, time: Duration, hash: [u8; 32]) -> Snapshot {
        let counters = state.counters;
        let mut addresses: Vec<_> = state.accounts.keys().chain(state.balances.keys()).cloned().collect();
        addresses.sort();
        addresses.dedup();
        Snapshot {
            version: VERSION,
            chain_id: self.rules.chain_id.clone(),
            height,
            time_seconds: time.as_secs(),
            time_nanoseconds: time.subsec_nanos(),
            accounts: addresses.iter().map(|address| store(state, address)).collect(),
            keyrings: state.keyrings.values().map(|one| one.as_ref().clone()).collect(),
            workspaces: state.workspaces.values().map(|one| one.as_ref().clone()).collect(),
            keys: state.keys.values().map(|one| one.as_ref().clone()).collect(),
            key_requests: state.key_requests.values().map(|one| one.as_ref().clone()).collect(),
            sign_requests: state.sign_requests.values().map(|one| one.as_ref().clone()).collect(),
            sign_transactions: state.sign_transactions.values().map(|one| one.as_ref().clone()).collect(),
            actions: state.actions.values().map(|one| one.as_ref().clone()).collect(),
            policies: state.policies.values().map(|one| one.as_ref().clone()).collect(),
            counters: vec![
                counters.accounts,
                counters.keyrings,
                counters.workspaces,
                counters.key_requests,
                counters.sign_requests,
                counters.sign_transactions,
                counters.actions,
                counters.policies,
            ],
            hash: hash.to_vec(),
        }
    }

    /// Continues from a snapshot: the same rules, the state of its height, no history before it.
    ///
    /// # Errors
    /// The snapshot is of another version or chain, or damaged.
    pub fn from_snapshot(genesis: &Genesis, bounds: Bounds, snapshot: Snapshot) -> Result<Self, SnapshotError> {
        genesis.check()?;
        let rules = Arc::new(Rules::of(genesis, bounds)?);
        if snapshot.version != VERSION {
            return Err(SnapshotError::Version(snapshot.version));
        }
        if snapshot.chain_id != rules.chain_id {
            let (found, expected) = (snapshot.chain_id, rules.chain_id.clone());
            return Err(SnapshotError::OtherChain { found, expected });
        }
        let height = snapshot.height;
        let time = Duration::new(snapshot.time_seconds, snapshot.time_nanoseconds);
        let hash = snapshot.hash.as_slice().try_into();
        let hash = hash.map_err(|_| SnapshotError::Damaged("hash is not 32 bytes".to_owned()))?;
        let mut chain = Self::start(rules, restore(snapshot)?, height, time);
        chain.start_hash = hash;
        Ok(chain)
    }
}

fn store(state: &State, address: &Address) -> StoredAccount {
    let account = state.accounts.get(address);
    StoredAccount {
        address: address.text(),
        exists: account.is_some(),
        number: account.map_or(0, |account| account.number),
        sequence: account.map_or(0, |account| account.sequence),
        public_key: account.and_then(|account| account.public_key).map(Vec::from).unwrap_or_default(),
        module: account.and_then(|account| account.module.clone()).unwrap_or_default(),
        urock: state.balance(address).to_string(),
    }
}

fn restore(snapshot: Snapshot) -> Result<State, SnapshotError> {
    let damaged = |why: String| SnapshotError::Damaged(why);
    let mut state = State::default();
    for stored in snapshot.accounts {
        let address = Address::parse(&stored.address).map_err(damaged)?;
        let urock = stored.urock.parse().map_err(|_| damaged(format!("balance of {}", stored.address)))?;
        state.set_balance(&address, urock);
        if stored.exists {
            let account = Account {
                number: stored.number,
                sequence: stored.sequence,
                public_key: stored.public_key.as_slice().try_into().ok(),
                module: (!stored.module.is_empty()).then_some(stored.module),
            };
            state.accounts.insert_mut(address, Arc::new(account));
        }
    }
    snapshot.keyrings.into_iter().for_each(|one| state.put_keyring(one));
    snapshot.workspaces.into_iter().for_each(|one| state.put_workspace(one));
    snapshot.keys.into_iter().for_each(|one| state.put_key(one));
    snapshot.key_requests.into_iter().for_each(|one| state.put_key_request(one));
    snapshot.sign_requests.into_iter().for_each(|one| state.put_sign_request(one));
    for one in snapshot.sign_transactions {
        state.sign_transactions.insert_mut(one.id, Arc::new(one));
    }
    for one in snapshot.actions {
        state.actions.insert_mut(one.id, Arc::new(one));
    }
    for one in snapshot.policies {
        state.policies.insert_mut(one.id, Arc::new(one));
    }
    let [accounts, keyrings, workspaces, key_requests, sign_requests, sign_transactions, actions, policies] =
        snapshot.counters[..]
    else {
        return Err(damaged("counters".to_owned()));
    };
    state.counters =
        Counters { accounts, keyrings, workspaces, key_requests, sign_requests, sign_transactions, actions, policies };
    Ok(state)
}
