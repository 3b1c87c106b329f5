//! Which code runs behind a proxy.

use alloy_primitives::{Address, B256, U256, b256, keccak256};
use alloy_provider::Provider as _;
use alloy_rpc_types_eth::BlockId;

use super::node::Node;
use super::{EvmChain, EvmError};

/// Where an ERC-1967 proxy keeps the address of its implementation.
const IMPLEMENTATION_SLOT: B256 = b256!("360894a13ba1a3210667c828492db98dca3e2076cc3735a920a3ca505d382bbc");

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
}

/// A block by its hash, and only while it is on the endpoint's chain (EIP-1898).
pub(super) const fn pinned(at: B256) -> BlockId {
    BlockId::hash_canonical(at)
}

impl Node {
    /// The code behind a proxy at a block; `None` where there is no proxy (yet), or what it names is no address.
    pub(super) async fn code(&self, proxy: Address, at: B256) -> Result<Option<Code>, EvmError> {
        let slot = self.provider.get_storage_at(proxy, IMPLEMENTATION_SLOT.into()).block_id(pinned(at));
        let named = self.call(slot).await?;
        if named.is_zero() || named >= U256::ONE << 160 {
            return Ok(None);
        }
        let implementation = Address::from_word(named.into());
        Ok(Some(Code { implementation, code_hash: self.code_hash(implementation, at).await? }))
    }

    /// keccak256 of an account's code at a block.
    pub(super) async fn code_hash(&self, account: Address, at: B256) -> Result<B256, EvmError> {
        let code = self.call(self.provider.get_code_at(account).block_id(pinned(at))).await?;
        Ok(keccak256(code))
    }
}
