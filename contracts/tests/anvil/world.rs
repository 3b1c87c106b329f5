//! A node with a deployed proxy: how it comes to be, how something is sent to it or tried, and what can be read.

use std::time::Duration;

use alloy_network::TransactionBuilder;
use alloy_primitives::{Address, B256, Bytes, TxKind, U256};
use alloy_provider::{Provider, ProviderBuilder, RootProvider};
use alloy_rpc_types_eth::{TransactionReceipt, TransactionRequest};
use alloy_sol_types::SolCall;
use contracts::bindings::compatible::{IZrSign, ZrSign};
use contracts::bindings::consumer::ExampleConsumer;
use contracts::bindings::hardened::ZrSignHardened;
use contracts::bindings::proxy::ZrProxy;
use contracts::bindings::test_owner::TestOwner;
use contracts::names::{BITCOIN_TESTNET, EVM, FEE_ROLE, MPC_ROLE, PAUSER_ROLE};

pub(crate) use crate::asks::Ask;
pub(crate) use crate::cast::*;
use crate::node::{BASE_FEE, Node};

/// Which contract stands behind the proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    Compatible,
    Hardened,
}

pub(crate) struct World {
    // Dropped last: the provider goes first.
    pub(crate) provider: RootProvider,
    pub(crate) zr_sign: Address,
    pub(crate) version: Version,
    #[allow(dead_code, reason = "chain-client's tests have this file as well, and ask the node themselves")]
    pub(crate) node: Node,
}

impl World {
    /// A proxy as the worked examples have it: types, chains, roles and fees set.
    pub(crate) async fn new() -> Self {
        Self::of(Version::Compatible).await
    }

    pub(crate) async fn of(version: Version) -> Self {
        let mut world = Self::bare(version).await;
        let logic = world.deploy(ADMIN, world.implementation_code()).await;
        world.zr_sign = world.deploy_proxy(ADMIN, logic).await;
        world.configure().await;
        world
    }

    /// A node with nothing on it but one used nonce: in the worked examples a library came first.
    pub(crate) async fn bare(version: Version) -> Self {
        let node = Node::start().await;
        let provider = ProviderBuilder::default().connect_http(format!("http://{}", node.address).parse().unwrap());
        let world = Self { provider, zr_sign: Address::ZERO, version, node };
        world.done(world.ask(ADMIN, Bytes::new()).to(ADMIN).gas(21_000)).await;
        world
    }

    pub(crate) fn implementation_code(&self) -> Bytes {
        match self.version {
            Version::Compatible => ZrSign::BYTECODE.clone(),
            Version::Hardened => ZrSignHardened::BYTECODE.clone(),
        }
    }

    pub(crate) async fn deploy_proxy(&self, deployer: Address, logic: Address) -> Address {
        let arguments = ZrProxy::constructorCall {
            logic,
            initialAdmin: PROXY_ADMIN,
            data: ZrSign::initializeV1Call {}.abi_encode().into(),
        };
        self.deploy(deployer, with_arguments(&ZrProxy::BYTECODE, &arguments)).await
    }

    /// Another implementation and proxy beside the first; from here on everything goes to it.
    pub(crate) async fn second_proxy(&mut self) {
        let logic = self.deploy(ADMIN, self.implementation_code()).await;
        self.zr_sign = self.deploy_proxy(ADMIN, logic).await;
        self.configure().await;
    }

    async fn configure(&self) {
        for coin_type in [60, 1] {
            self.done(self.wallet_type(coin_type, true)).await;
        }
        for (wallet_type, caip) in [
            (EVM, "eip155:11155111"),
            (EVM, "eip155:31337"),
            (BITCOIN_TESTNET, "bip122:000000000933ea01ad0ee984209779ba"),
        ] {
            self.done(self.chain_config(wallet_type, caip, true)).await;
        }
        for (role, account) in [(MPC_ROLE, address_of(&controller())), (FEE_ROLE, OPERATOR), (PAUSER_ROLE, OPERATOR)] {
            self.done(self.admin(&ZrSign::grantRoleCall { role, account })).await;
        }
        self.done(self.operator(&ZrSign::updateMPCFeeCall { newFee: U256::from(MPC_FEE) })).await;
        self.done(self.operator(&ZrSign::updateRespGasCall { newGas: U256::from(RESP_GAS) })).await;
        self.done(self.operator(&ZrSign::updateRespGasBufferCall { newBuffer: U256::from(BUFFER) })).await;
    }

    // --- doing it ---------------------------------------------------------------------------------------------------

    /// Sends it in a block with the pinned base fee; the receipt may show a revert.
    pub(crate) async fn send(&self, ask: Ask) -> TransactionReceipt {
        self.send_at(ask, BASE_FEE).await
    }

    pub(crate) async fn send_at(&self, ask: Ask, base_fee: u128) -> TransactionReceipt {
        self.pin(base_fee).await;
        let hash = *self.provider.send_transaction(ask.request()).await.unwrap().tx_hash();
        self.receipt(hash).await
    }

    /// The node makes a block for every transaction, at once but not before it answers.
    pub(crate) async fn receipt(&self, hash: B256) -> TransactionReceipt {
        for _ in 0..3_000 {
            if let Some(receipt) = self.provider.get_transaction_receipt(hash).await.unwrap() {
                return receipt;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("no receipt for {hash} within 30 s");
    }

    /// What only this kind of node answers.
    pub(crate) async fn rpc<P, R>(&self, method: &'static str, params: P) -> R
    where
        P: alloy_json_rpc::RpcSend,
        R: alloy_json_rpc::RpcRecv,
    {
        self.provider.raw_request(method.into(), params).await.unwrap()
    }

    pub(crate) async fn pin(&self, base_fee: u128) {
        let _: serde_json::Value = self.rpc("anvil_setNextBlockBaseFeePerGas", [U256::from(base_fee)]).await;
    }

    /// Sends it; it must succeed.
    pub(crate) async fn done(&self, ask: Ask) -> TransactionReceipt {
        let shown = format!("{ask:?}");
        let receipt = self.send(ask.clone()).await;
        if !receipt.status() {
            panic!("reverted with {:?}: {shown}", self.try_it(ask).await);
        }
        receipt
    }

    /// Makes the call on top of the chain, without sending it: what it returns, or what it reverts with.
    pub(crate) async fn try_it(&self, ask: Ask) -> Result<Bytes, Bytes> {
        self.try_at(ask, BASE_FEE).await
    }

    /// The node answers calls as of the next block.
    pub(crate) async fn try_at(&self, ask: Ask, base_fee: u128) -> Result<Bytes, Bytes> {
        self.pin(base_fee).await;
        match self.provider.call(ask.request()).await {
            Ok(bytes) => Ok(bytes),
            Err(error) => {
                let answer = error.as_error_resp().unwrap_or_else(|| panic!("no answer from the node: {error}"));
                Err(answer.as_revert_data().unwrap_or_else(|| panic!("no revert: {answer}")))
            }
        }
    }

    /// Whether the call goes through; out of gas counts as no.
    pub(crate) async fn works(&self, ask: Ask) -> bool {
        self.pin(BASE_FEE).await;
        self.provider.call(ask.request()).await.is_ok()
    }

    /// It must revert with exactly this, called and sent.
    pub(crate) async fn refused(&self, ask: Ask, with: impl AsRef<[u8]>) {
        let got = self.try_it(ask.clone()).await;
        assert_eq!(got.as_ref().map_err(|bytes| hex(bytes)), Err(hex(with.as_ref())), "{ask:?}");
        let receipt = self.send(ask.clone()).await;
        assert!(!receipt.status(), "called it reverts, sent it does not: {ask:?}");
        assert!(receipt.logs().is_empty());
    }

    /// Reads from the contract.
    pub(crate) async fn read<C: SolCall>(&self, call: C) -> C::Return {
        let bytes = self.try_it(self.call(STRANGER, &call)).await.unwrap();
        C::abi_decode_returns(&bytes).unwrap()
    }

    pub(crate) async fn balance(&self, account: Address) -> U256 {
        self.provider.get_balance(account).await.unwrap()
    }

    pub(crate) async fn storage(&self, account: Address, slot: U256) -> B256 {
        self.provider.get_storage_at(account, slot).await.unwrap().into()
    }

    pub(crate) async fn deploy(&self, from: Address, code: impl Into<Bytes>) -> Address {
        self.deployed(from, code, U256::ZERO).await.contract_address.unwrap()
    }

    pub(crate) async fn deployed(&self, from: Address, code: impl Into<Bytes>, value: U256) -> TransactionReceipt {
        let receipt = self.send_creation(from, code, value).await;
        assert!(receipt.status(), "the deployment reverted");
        receipt
    }

    pub(crate) async fn send_creation(&self, from: Address, code: impl Into<Bytes>, value: U256) -> TransactionReceipt {
        self.pin(BASE_FEE).await;
        let request = Self::creation(from, code.into(), value);
        let hash = *self.provider.send_transaction(request).await.unwrap().tx_hash();
        self.receipt(hash).await
    }

    /// What a constructor reverts with.
    pub(crate) async fn try_creation(&self, from: Address, code: impl Into<Bytes>) -> Result<Bytes, Bytes> {
        match self.provider.call(Self::creation(from, code.into(), U256::ZERO)).await {
            Ok(bytes) => Ok(bytes),
            Err(error) => Err(error.as_error_resp().unwrap().as_revert_data().unwrap()),
        }
    }

    fn creation(from: Address, code: Bytes, value: U256) -> TransactionRequest {
        let mut request = TransactionRequest::default()
            .with_from(from)
            .with_input(code)
            .with_value(value)
            .with_gas_limit(PLENTY)
            .with_gas_price(BASE_FEE);
        request.to = Some(TxKind::Create);
        request.transaction_type = Some(0);
        request
    }

    /// A consumer with ten ether, whose operator is the user.
    pub(crate) async fn consumer(&self) -> Address {
        let arguments = ExampleConsumer::constructorCall { zrSign: self.zr_sign };
        let consumer = self.deploy(USER, with_arguments(&ExampleConsumer::BYTECODE, &arguments)).await;
        self.fund(consumer).await;
        consumer
    }

    /// An owner that takes its change (0), refuses it (1), burns all gas (2) or answers at length (4); it has ten ether.
    pub(crate) async fn test_owner(&self, mode: u8) -> Address {
        let owner = self.deploy(ADMIN, TestOwner::BYTECODE.clone()).await;
        self.fund(owner).await;
        self.behave(owner, mode, Bytes::new()).await;
        owner
    }

    pub(crate) async fn behave(&self, owner: Address, mode: u8, call_back: Bytes) {
        let behave = TestOwner::behaveCall { mode_: mode, target_: self.zr_sign, callData_: call_back };
        self.done(self.call(STRANGER, &behave).to(owner)).await;
    }

    pub(crate) async fn snapshot(&self) -> U256 {
        self.rpc("evm_snapshot", [(); 0]).await
    }

    /// Back to a snapshot, which is used up.
    pub(crate) async fn revert(&self, snapshot: U256) {
        let done: bool = self.rpc("evm_revert", [snapshot]).await;
        assert!(done);
    }

    /// A transaction that somebody else signed.
    pub(crate) async fn raw(&self, bytes: &[u8]) -> TransactionReceipt {
        self.pin(BASE_FEE).await;
        let hash = *self.provider.send_raw_transaction(bytes).await.unwrap().tx_hash();
        self.receipt(hash).await
    }

    pub(crate) async fn registry(&self, wallet_type: B256, index: u64, owner: Address) -> IZrSign::WalletRegistry {
        let call = ZrSign::getWalletRegistryCall { walletTypeId: wallet_type, walletIndex: U256::from(index), owner };
        self.read(call).await
    }

    pub(crate) async fn request_state(&self, trace: u64) -> (u8, U256) {
        let state = self.read(ZrSign::getRequestStateCall { traceId: U256::from(trace) }).await;
        (state.status, state.value)
    }

    pub(crate) async fn role(&self, role: B256, account: Address) -> bool {
        self.read(ZrSign::hasRoleCall { role, account }).await
    }
}
