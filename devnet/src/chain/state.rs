//! The state of the chain at one height: persistent maps, so that a copy costs nothing and shares all it can.
//!
//! A transaction runs on a copy that is kept or dropped; a height's state is a copy that is kept for pinned reads.
//! Records are the chain's own stored messages. Nothing here knows a rule; [`super::context`] charges gas for access.

use std::sync::Arc;

use chain_client::proto::zrchain::identity::{Keyring, Workspace};
use chain_client::proto::zrchain::policy::{Action, Policy};
use chain_client::proto::zrchain::treasury::{
    Key, KeyRequest, KeyRequestStatus, SignRequest, SignRequestStatus, SignTransactionRequest,
};
use rpds::{RedBlackTreeMapSync, RedBlackTreeSetSync};

use super::address::Address;

/// A persistent ordered map.
pub(crate) type Map<K, V> = RedBlackTreeMapSync<K, V>;
/// A persistent ordered set.
pub(crate) type Set<K> = RedBlackTreeSetSync<K>;

/// One account of the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Account {
    /// Assigned once, in order of creation.
    pub(crate) number: u64,
    /// Transactions that passed the ante checks.
    pub(crate) sequence: u64,
    /// Compressed; known from the first transaction on.
    pub(crate) public_key: Option<[u8; 33]>,
    /// Name of the module that owns it.
    pub(crate) module: Option<String>,
}

/// Everything that transactions can change.
#[derive(Debug, Clone, Default)]
pub(crate) struct State {
    pub(crate) accounts: Map<Address, Arc<Account>>,
    pub(crate) balances: Map<Address, u128>,
    pub(crate) keyrings: Map<String, Arc<Keyring>>,
    pub(crate) workspaces: Map<String, Arc<Workspace>>,
    pub(crate) keys: Map<u64, Arc<Key>>,
    pub(crate) key_requests: Map<u64, Arc<KeyRequest>>,
    pub(crate) sign_requests: Map<u64, Arc<SignRequest>>,
    pub(crate) sign_transactions: Map<u64, Arc<SignTransactionRequest>>,
    pub(crate) actions: Map<u64, Arc<Action>>,
    pub(crate) policies: Map<u64, Arc<Policy>>,
    pub(crate) counters: Counters,
    /// Requests that are PENDING or PARTIAL, so that expiry costs what is alive and not all history.
    pub(crate) open_key_requests: Set<u64>,
    pub(crate) open_sign_requests: Set<u64>,
    /// Keys and key requests of each workspace, so that zrSign's index costs what the workspace holds.
    pub(crate) keys_of_workspace: Map<String, Set<u64>>,
    pub(crate) key_requests_of_workspace: Map<String, Set<u64>>,
    /// Workspaces by creator, in order of address.
    pub(crate) workspaces_of_creator: Map<String, Set<String>>,
}

/// The last number given out of each kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Counters {
    pub(crate) accounts: u64,
    pub(crate) keyrings: u64,
    pub(crate) workspaces: u64,
    pub(crate) key_requests: u64,
    pub(crate) sign_requests: u64,
    pub(crate) sign_transactions: u64,
    pub(crate) actions: u64,
    pub(crate) policies: u64,
}

impl State {
    pub(crate) fn put_key_request(&mut self, request: KeyRequest) {
        match request.status() {
            KeyRequestStatus::Pending | KeyRequestStatus::Partial => {
                self.open_key_requests.insert_mut(request.id);
            }
            _ => {
                self.open_key_requests.remove_mut(&request.id);
            }
        }
        join(&mut self.key_requests_of_workspace, &request.workspace_addr, request.id);
        self.key_requests.insert_mut(request.id, Arc::new(request));
    }

    pub(crate) fn put_sign_request(&mut self, request: SignRequest) {
        match request.status() {
            SignRequestStatus::Pending | SignRequestStatus::Partial => {
                self.open_sign_requests.insert_mut(request.id);
            }
            _ => {
                self.open_sign_requests.remove_mut(&request.id);
            }
        }
        self.sign_requests.insert_mut(request.id, Arc::new(request));
    }

    pub(crate) fn put_key(&mut self, key: Key) {
        join(&mut self.keys_of_workspace, &key.workspace_addr, key.id);
        self.keys.insert_mut(key.id, Arc::new(key));
    }

    pub(crate) fn put_workspace(&mut self, workspace: Workspace) {
        join(&mut self.workspaces_of_creator, &workspace.creator, workspace.address.clone());
        self.workspaces.insert_mut(workspace.address.clone(), Arc::new(workspace));
    }

    pub(crate) fn put_keyring(&mut self, keyring: Keyring) {
        self.keyrings.insert_mut(keyring.address.clone(), Arc::new(keyring));
    }

    pub(crate) fn balance(&self, of: &Address) -> u128 {
        self.balances.get(of).copied().unwrap_or(0)
    }

    pub(crate) fn set_balance(&mut self, of: &Address, amount: u128) {
        if amount == 0 {
            self.balances.remove_mut(of);
        } else {
            self.balances.insert_mut(of.clone(), amount);
        }
    }

    /// The account, made with the next number if it is new.
    pub(crate) fn ensure_account(&mut self, of: &Address, module: Option<&str>) -> Arc<Account> {
        if let Some(account) = self.accounts.get(of) {
            return Arc::clone(account);
        }
        let number = self.counters.accounts;
        self.counters.accounts += 1;
        let account = Arc::new(Account { number, sequence: 0, public_key: None, module: module.map(str::to_owned) });
        self.accounts.insert_mut(of.clone(), Arc::clone(&account));
        account
    }

    /// The ids in a set of ids, ascending.
    pub(crate) fn ids<'a>(index: &'a Map<String, Set<u64>>, of: &str) -> impl Iterator<Item = u64> + 'a {
        index.get(of).into_iter().flat_map(Set::iter).copied()
    }
}

fn join<T: Ord + Clone>(index: &mut Map<String, Set<T>>, of: &str, id: T) {
    let mut set = index.get(of).cloned().unwrap_or_default();
    if !set.contains(&id) {
        set.insert_mut(id);
        index.insert_mut(of.to_owned(), set);
    }
}
