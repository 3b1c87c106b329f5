//! A node with a zrSign contract: deployed, configured, and administered with the node's own unlocked accounts.

use std::path::Path;
use std::time::Duration;

use alloy_network::TransactionBuilder as _;
use alloy_primitives::{Address, B256, Bytes, TxKind, U256, address, keccak256};
use alloy_provider::{Provider as _, ProviderBuilder, RootProvider};
use alloy_rpc_types_eth::{BlockId, TransactionReceipt, TransactionRequest};
use alloy_sol_types::{SolCall, SolConstructor as _};
use chain_client::zrsign::name::Proxy;
use contracts::anvil::{Anvil, AnvilError, Settings};
use contracts::bindings::compatible::ZrSign;
use contracts::bindings::proxy::ZrProxy;
use contracts::names::{BITCOIN_TESTNET, EVM, FEE_ROLE, MPC_ROLE};

/// The contract's administrator, the proxy's, and who asks: accounts that the node has unlocked.
const ADMIN: Address = address!("f39Fd6e51aad88F6F4ce6aB8827279cffFb92266");
const PROXY_ADMIN: Address = address!("70997970C51812dc3A010C7d01b50e0d17dc79C8");
pub(super) const USER: Address = address!("15d34AAf54267DB7D7c367839AAf71A00a2C6A65");
/// Enough gas for a deployment.
const GAS: u64 = 8_000_000;
/// What is offered for it.
const GAS_PRICE: u128 = 4_000_000_000;
const BASE_FEE: u128 = 1_000_000_000;
/// As deployments had it in October 2024: fee, gas of an answer, percent of the base fee.
const MPC_FEE: u64 = 500_000_000_000_000;
const RESPONSE_GAS: u64 = 200_000;
const BUFFER_PERCENT: u64 = 120;
/// A proxy that fills its first slots pays for new storage: what a key's answer takes then.
const RECEIPT_LOOKS: u32 = 600;
const RECEIPT_PAUSE: Duration = Duration::from_millis(100);

/// Why a town is not built, or does not do what it is told.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TownError {
    /// No node.
    #[error(transparent)]
    Node(#[from] AnvilError),
    /// The node does not answer, or says no.
    #[error("the EVM node does not do it: {0}")]
    Call(String),
    /// A transaction had no effect.
    #[error("{what} reverted in block {height}")]
    Reverted {
        /// Which.
        what: String,
        /// The block.
        height: u64,
    },
    /// Nothing came in time.
    #[error("no sign of {0} in time")]
    Silent(String),
    /// What came back is not what was asked for.
    #[error("{0}")]
    Wrong(String),
    /// The output is closed.
    #[error("the output cannot be written")]
    Screen(#[from] std::io::Error),
}

/// A node and its contract.
#[derive(Debug)]
pub struct EvmTown {
    // Dropped last: the provider goes first.
    provider: RootProvider,
    proxy: Address,
    code_hash: B256,
    first_block: u64,
    anvil: Anvil,
}

impl EvmTown {
    /// Starts a node that makes a block each second, and puts the contract on it: types EVM and Bitcoin testnet,
    /// destinations, fees.
    ///
    /// # Errors
    /// [`TownError`].
    pub async fn start(chain: u64, destinations: &[u64], folder: &Path) -> Result<Self, TownError> {
        let settings = Settings { chain, base_fee: BASE_FEE, block_seconds: Some(1) };
        let anvil = Anvil::start(settings, folder).await?;
        let url = anvil.url().parse().map_err(|_| TownError::Call("its address is none".to_owned()))?;
        let provider = ProviderBuilder::default().connect_http(url);
        let mut town = Self { provider, proxy: Address::ZERO, code_hash: B256::ZERO, first_block: 0, anvil };
        town.first_block = town.height().await?;
        let logic = town.deploy("the contract", ZrSign::BYTECODE.clone()).await?;
        let initialise = ZrSign::initializeV1Call {}.abi_encode().into();
        let arguments = ZrProxy::constructorCall { logic, initialAdmin: PROXY_ADMIN, data: initialise };
        let code = [ZrProxy::BYTECODE.as_ref(), &arguments.abi_encode()].concat();
        town.proxy = town.deploy("the proxy", code.into()).await?;
        town.code_hash = keccak256(town.provider.get_code_at(logic).await.map_err(call)?);
        town.configure(destinations).await?;
        Ok(town)
    }

    async fn configure(&self, destinations: &[u64]) -> Result<(), TownError> {
        for coin in [60, 1] {
            let call =
                ZrSign::walletTypeIdConfigCall { purpose: U256::from(44), coinType: U256::from(coin), support: true };
            self.admin("a wallet type", &call).await?;
        }
        let evm = destinations.iter().map(|chain| (EVM, format!("eip155:{chain}")));
        let bitcoin = [(BITCOIN_TESTNET, "bip122:000000000933ea01ad0ee984209779ba".to_owned())];
        for (wallet_type, caip) in evm.chain(bitcoin) {
            let call = ZrSign::chainIdConfigCall { walletTypeId: wallet_type, caip, support: true };
            self.admin("a destination", &call).await?;
        }
        self.admin("the fee role", &ZrSign::grantRoleCall { role: FEE_ROLE, account: ADMIN }).await?;
        self.admin("the fee", &ZrSign::updateMPCFeeCall { newFee: U256::from(MPC_FEE) }).await?;
        self.admin("the gas of answers", &ZrSign::updateRespGasCall { newGas: U256::from(RESPONSE_GAS) }).await?;
        let buffer = ZrSign::updateRespGasBufferCall { newBuffer: U256::from(BUFFER_PERCENT) };
        self.admin("the buffer", &buffer).await?;
        Ok(())
    }

    /// The contract.
    #[must_use]
    pub const fn proxy(&self) -> Proxy {
        Proxy { chain: self.anvil.chain(), address: self.proxy }
    }

    /// The chain's name by CAIP-2.
    #[must_use]
    pub fn caip(&self) -> String {
        format!("eip155:{}", self.anvil.chain())
    }

    /// keccak-256 of the code behind the proxy.
    #[must_use]
    pub const fn code_hash(&self) -> B256 {
        self.code_hash
    }

    /// The block before the contract's deployment.
    #[must_use]
    pub const fn first_block(&self) -> u64 {
        self.first_block
    }

    /// The node as JSON-RPC clients want it.
    #[must_use]
    pub fn url(&self) -> String {
        self.anvil.url()
    }

    /// Gives an account ether.
    ///
    /// # Errors
    /// [`TownError`].
    pub async fn fund(&self, account: Address, wei: U256) -> Result<(), TownError> {
        let request = TransactionRequest::default().with_from(ADMIN).with_to(account).with_value(wei);
        self.send("a transfer", request.with_gas_limit(100_000)).await?;
        Ok(())
    }

    /// Gives the controller key the role whose signature admits answers.
    ///
    /// # Errors
    /// [`TownError`].
    pub async fn grant(&self, controller: Address) -> Result<(), TownError> {
        self.admin("the MPC role", &ZrSign::grantRoleCall { role: MPC_ROLE, account: controller }).await
    }

    async fn admin(&self, what: &str, call: &impl SolCall) -> Result<(), TownError> {
        self.call(what, ADMIN, self.proxy, call.abi_encode().into(), U256::ZERO).await?;
        Ok(())
    }

    pub(super) async fn call(
        &self,
        what: &str,
        from: Address,
        to: Address,
        data: Bytes,
        value: U256,
    ) -> Result<TransactionReceipt, TownError> {
        let request = TransactionRequest::default().with_from(from).with_to(to).with_input(data).with_value(value);
        self.send(what, request.with_gas_limit(1_000_000)).await
    }

    /// What a view of the contract returns at the newest block. What the node would answer by itself is the state behind
    /// transactions that still wait, and what is asked for on that ground may come before them.
    pub(super) async fn read<C: SolCall>(&self, asked: &C) -> Result<C::Return, TownError> {
        let request = TransactionRequest::default().with_to(self.proxy).with_input(asked.abi_encode());
        let bytes = self.provider.call(request).latest().await.map_err(call)?;
        C::abi_decode_returns(&bytes).map_err(call)
    }

    async fn deploy(&self, what: &str, code: Bytes) -> Result<Address, TownError> {
        self.deploy_as(ADMIN, what, code).await
    }

    pub(super) async fn deploy_as(&self, from: Address, what: &str, code: Bytes) -> Result<Address, TownError> {
        let mut request = TransactionRequest::default().with_from(from).with_input(code).with_gas_limit(GAS);
        request.to = Some(TxKind::Create);
        let receipt = self.send(what, request).await?;
        receipt.contract_address.ok_or_else(|| TownError::Wrong(format!("{what} has no address")))
    }

    async fn send(&self, what: &str, request: TransactionRequest) -> Result<TransactionReceipt, TownError> {
        let hash = self.submit(request).await?;
        self.included(what, hash).await
    }

    async fn submit(&self, request: TransactionRequest) -> Result<B256, TownError> {
        let mut request = request.with_gas_price(GAS_PRICE);
        request.transaction_type = Some(0);
        Ok(*self.provider.send_transaction(request).await.map_err(call)?.tx_hash())
    }

    /// A transaction in a block, with effect.
    pub(super) async fn included(&self, what: &str, hash: B256) -> Result<TransactionReceipt, TownError> {
        for _ in 0..RECEIPT_LOOKS {
            if let Some(receipt) = self.provider.get_transaction_receipt(hash).await.map_err(call)? {
                let height = receipt.block_number.unwrap_or_default();
                return if receipt.status() {
                    Ok(receipt)
                } else {
                    Err(TownError::Reverted { what: what.to_owned(), height })
                };
            }
            tokio::time::sleep(RECEIPT_PAUSE).await;
        }
        Err(TownError::Silent(what.to_owned()))
    }

    /// A transaction that a wallet has signed.
    pub(super) async fn raw(&self, what: &str, bytes: &[u8]) -> Result<TransactionReceipt, TownError> {
        let hash = *self.provider.send_raw_transaction(bytes).await.map_err(call)?.tx_hash();
        self.included(what, hash).await
    }

    /// An account's next nonce, as soon as a final block shows the one that the newest shows: whoever completes its next
    /// transaction may look at either.
    pub(super) async fn settled_nonce(&self, account: Address) -> Result<u64, TownError> {
        for _ in 0..RECEIPT_LOOKS {
            let newest = self.provider.get_transaction_count(account).await.map_err(call)?;
            let of_final = self.provider.get_transaction_count(account).block_id(BlockId::finalized());
            if of_final.await.map_err(call)? == newest {
                return Ok(newest);
            }
            tokio::time::sleep(RECEIPT_PAUSE).await;
        }
        Err(TownError::Silent(format!("a final block with the last transaction of {account}")))
    }

    pub(super) async fn height(&self) -> Result<u64, TownError> {
        self.provider.get_block_number().await.map_err(call)
    }

    pub(super) const fn provider(&self) -> &RootProvider {
        &self.provider
    }
}

pub(super) fn call(error: impl std::fmt::Display) -> TownError {
    TownError::Call(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_read_stands_in_a_block() {
        let folder = tempfile::tempdir().expect("a folder");
        let town = EvmTown::start(31_337, &[31_337], folder.path()).await.expect("a node");
        let held: serde_json::Value =
            town.provider.raw_request("evm_setIntervalMining".into(), [0]).await.expect("held");
        assert!(held.is_null(), "no block is made by itself any more");
        let role = ZrSign::hasRoleCall { role: MPC_ROLE, account: USER };
        let grant = ZrSign::grantRoleCall { role: MPC_ROLE, account: USER };
        let request = TransactionRequest::default().with_from(ADMIN).with_to(town.proxy).with_input(grant.abi_encode());
        town.submit(request.with_gas_limit(100_000)).await.expect("sent");
        assert!(!town.read(&role).await.expect("read"), "it waits");
        let _mined: serde_json::Value = town.provider.raw_request("evm_mine".into(), [(); 0]).await.expect("mined");
        assert!(town.read(&role).await.expect("read"));
    }
}
