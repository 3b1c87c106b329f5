//! Which code runs behind a proxy.

use alloy_primitives::{Address, B256, U256, b256, keccak256};
use alloy_provider::Provider as _;
use alloy_rpc_types_eth::BlockId;

use super::node::Node;
use super::{EvmChain, EvmError};

/// Where an ERC-1967 proxy keeps the address of its implementation.
const IMPLEMENTATION_SLOT: B256 = b256!("360894a13ba1a3210667c828492db98dca3e2076cc3735a920a3ca505d382bbc");

/// Where it keeps the account that may put other code behind it.
const ADMIN_SLOT: B256 = b256!("b53127684a568b3173ae13b9f8a6016e243e63b6e8ee1178d6a717850b5d6103");

/// The implementation behind a proxy, as it is at one block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Code {
    /// Its address.
    pub implementation: Address,
    /// keccak256 of its runtime code; that of nothing when there is none. Operators list which hashes they permit.
    pub code_hash: B256,
}

impl EvmChain {
    /// The code behind a proxy at a block; `None` where there is no proxy, or what it names is no address.
    ///
    /// # Errors
    /// When too few endpoints answer.
    pub async fn code(&self, proxy: Address, at: B256) -> Result<Option<Code>, EvmError> {
        self.pool.agreed(async |node: &Node| node.code(proxy, at).await).await
    }

    /// The account that may put other code behind a proxy, at a block; `None` where its slot is empty or holds no address.
    ///
    /// # Errors
    /// When too few endpoints answer.
    pub async fn proxy_admin(&self, proxy: Address, at: B256) -> Result<Option<Address>, EvmError> {
        self.pool.agreed(async |node: &Node| node.address_in(proxy, ADMIN_SLOT, at).await).await
    }

    /// Whether an account has code at a block.
    ///
    /// # Errors
    /// When too few endpoints answer, or they no longer know the state of that block.
    pub async fn has_code(&self, account: Address, at: B256) -> Result<bool, EvmError> {
        let ask = async |node: &Node| {
            let code = node.call(node.provider.get_code_at(account).block_id(pinned(at))).await?;
            Ok(!code.is_empty())
        };
        self.pool.agreed(ask).await
    }
}

/// A block by its hash, and only while it is on the endpoint's chain (EIP-1898).
pub(super) const fn pinned(at: B256) -> BlockId {
    BlockId::hash_canonical(at)
}

impl Node {
    /// The code behind a proxy at a block; `None` where there is no proxy (yet), or what it names is no address.
    pub(super) async fn code(&self, proxy: Address, at: B256) -> Result<Option<Code>, EvmError> {
        let Some(implementation) = self.address_in(proxy, IMPLEMENTATION_SLOT, at).await? else { return Ok(None) };
        Ok(Some(Code { implementation, code_hash: self.code_hash(implementation, at).await? }))
    }

    /// The address in a slot of an account's storage at a block; `None` where there is none, or what is there is no address.
    async fn address_in(&self, account: Address, slot: B256, at: B256) -> Result<Option<Address>, EvmError> {
        let named = self.call(self.provider.get_storage_at(account, slot.into()).block_id(pinned(at))).await?;
        let is_address = !named.is_zero() && named < U256::ONE << 160;
        Ok(is_address.then(|| Address::from_word(named.into())))
    }

    /// keccak256 of an account's code at a block.
    pub(super) async fn code_hash(&self, account: Address, at: B256) -> Result<B256, EvmError> {
        let code = self.call(self.provider.get_code_at(account).block_id(pinned(at))).await?;
        Ok(keccak256(code))
    }
}
