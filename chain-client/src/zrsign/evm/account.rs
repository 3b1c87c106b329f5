//! Accounts at one block, and what a transaction would do.

use alloy_network::TransactionBuilder as _;
use alloy_primitives::{Address, B256, Bytes, U256};
use alloy_provider::Provider as _;
use alloy_rpc_types_eth::{BlockId, BlockNumberOrTag, TransactionRequest};
use futures::try_join;

use super::code::pinned;
use super::node::Node;
use super::{EvmChain, EvmError};
use crate::zrsign::revert::Revert;

/// An account at one block, by one endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AccountState {
    /// The nonce that its next transaction must carry.
    pub nonce: u64,
    /// wei.
    pub balance: U256,
}

/// A transaction before it is signed, as far as a node can try it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// Who would send it.
    pub from: Address,
    /// To whom.
    pub to: Address,
    /// wei that go with it.
    pub value: U256,
    /// The gas limit; `None` for the node's own.
    pub gas: Option<u64>,
    /// wei per gas, legacy; `None` for free gas, as nodes try it then.
    pub gas_price: Option<u128>,
    /// Call data.
    pub data: Bytes,
}

/// What a transaction would do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Simulation<T> {
    /// It goes through: what the call returns, or the gas that it needs.
    Succeeds(T),
    /// It reverts.
    Reverts(Revert),
}

impl<T> From<Result<T, Bytes>> for Simulation<T> {
    fn from(said: Result<T, Bytes>) -> Self {
        match said {
            Ok(value) => Self::Succeeds(value),
            Err(said) => Self::Reverts(Revert::decode(&said)),
        }
    }
}

impl EvmChain {
    /// An account at a block: a final one tells what is spent for ever.
    ///
    /// # Errors
    /// When no endpoint answers.
    pub async fn account(&self, account: Address, at: B256) -> Result<AccountState, EvmError> {
        let ask = async |node: &Node| {
            let (nonce, balance) = try_join!(
                node.call(node.provider.get_transaction_count(account).block_id(pinned(at))),
                node.call(node.provider.get_balance(account).block_id(pinned(at))),
            )?;
            Ok(AccountState { nonce, balance })
        };
        self.pool.ask(ask).await
    }

    /// The nonce that an account's next transaction must carry behind all that waits in a node's pool. A hint: other nodes
    /// have other pools.
    ///
    /// # Errors
    /// When no endpoint answers.
    pub async fn pending_nonce(&self, account: Address) -> Result<u64, EvmError> {
        self.pool.ask(async |node: &Node| node.call(node.provider.get_transaction_count(account).pending()).await).await
    }

    /// Tries a transaction as it is on top of everything that waits. A hint and no promise: the block may differ.
    ///
    /// # Errors
    /// When no endpoint answers, or it refuses for another reason than a revert: no funds, a price below the base fee.
    pub async fn simulate(&self, call: &Call) -> Result<Simulation<Bytes>, EvmError> {
        let at = BlockId::Number(BlockNumberOrTag::Pending);
        let ask = async |node: &Node| node.attempt(node.provider.call(request(call).into()).block(at)).await;
        self.pool.ask(ask).await.map(Simulation::from)
    }

    /// The same on top of the newest block alone: what waits may be the very transaction that this one is to replace.
    ///
    /// # Errors
    /// As for [`Self::simulate`].
    pub async fn simulate_at_head(&self, call: &Call) -> Result<Simulation<Bytes>, EvmError> {
        let at = BlockId::Number(BlockNumberOrTag::Latest);
        let ask = async |node: &Node| node.attempt(node.provider.call(request(call).into()).block(at)).await;
        self.pool.ask(ask).await.map(Simulation::from)
    }

    /// The gas that a transaction needs on top of a block. Never for responses: these fail under the limits that an
    /// estimate tries.
    ///
    /// # Errors
    /// As for [`Self::simulate`].
    pub async fn estimate_gas(&self, call: &Call, at: B256) -> Result<Simulation<u64>, EvmError> {
        let ask =
            async |node: &Node| node.attempt(node.provider.estimate_gas(request(call).into()).block(pinned(at))).await;
        self.pool.ask(ask).await.map(Simulation::from)
    }
}

fn request(call: &Call) -> TransactionRequest {
    let request = TransactionRequest::default()
        .with_from(call.from)
        .with_to(call.to)
        .with_value(call.value)
        .with_input(call.data.clone());
    let request = match call.gas {
        Some(gas) => request.with_gas_limit(gas),
        None => request,
    };
    match call.gas_price {
        Some(price) => request.with_gas_price(price),
        None => request,
    }
}
