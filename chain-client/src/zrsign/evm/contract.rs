//! The contract's getters, each at one block.

use alloy_network::TransactionBuilder as _;
use alloy_primitives::{Address, B256, Bytes, U256};
use alloy_provider::Provider as _;
use alloy_rpc_types_eth::TransactionRequest;
use alloy_sol_types::{Panic, PanicKind, SolCall, SolError as _};
use futures::try_join;

use super::code::pinned;
use super::node::Node;
use super::{EvmChain, EvmError};
use crate::zrsign::abi;
use crate::zrsign::event::TypeNumbers;
use crate::zrsign::name::Slot;

/// What a contract says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deployment {
    /// What its type numbers mean.
    pub numbers: TypeNumbers,
    /// `SRC_CHAIN_ID`: the tag in every digest.
    pub source: B256,
    /// `MPC_ROLE`: what whoever authorises answers holds.
    pub mpc_role: B256,
    /// `version`.
    pub version: U256,
    /// Whether it is paused: answers revert.
    pub paused: bool,
    /// `getRespGas`: the gas limit of an answer.
    pub response_gas: U256,
    /// `getTraceId`: the number of the next signature request.
    pub next_trace: U256,
}

impl Deployment {
    /// Whether it takes answers that are authorised as [`crate::zrsign::authorisation`] does it: version 1. A contract of
    /// version 0 has not been started, so nothing is asked there yet.
    #[must_use]
    pub fn takes_our_answers(&self) -> bool {
        self.version <= U256::ONE
    }
}

/// How far a slot is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WalletStatus {
    /// Nobody asked for it.
    Unknown,
    /// It is open.
    Requested,
    /// It is filled.
    Registered,
}

/// What the contract keeps of a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WalletRegistry {
    /// How far it is.
    pub status: WalletStatus,
    /// The options that the answer repeats.
    pub options: u8,
    /// wei that pay for the answer.
    pub value: U256,
}

/// How far a signature request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestStatus {
    /// There is none of that number.
    Unknown,
    /// It is open.
    Open,
    /// It was answered.
    Answered,
}

/// What the contract keeps of a signature request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestState {
    /// How far it is.
    pub status: RequestStatus,
    /// wei that pay for the answer.
    pub value: U256,
}

impl EvmChain {
    /// What a contract says of itself at a block. Read it again behind every `Upgraded`.
    ///
    /// # Errors
    /// When too few endpoints answer, or the contract lacks one of the getters.
    pub async fn deployment(&self, proxy: Address, at: B256) -> Result<Deployment, EvmError> {
        self.pool.agreed(async |node: &Node| node.deployment(proxy, at).await).await
    }

    /// Whether an account holds a role at a block.
    ///
    /// # Errors
    /// When too few endpoints answer.
    pub async fn has_role(&self, proxy: Address, role: B256, account: Address, at: B256) -> Result<bool, EvmError> {
        let call = abi::hasRoleCall { role, account };
        self.pool.agreed(async |node: &Node| node.view(proxy, &call, at).await).await
    }

    /// What the contract keeps of a slot at a block.
    ///
    /// # Errors
    /// When too few endpoints answer, or the status is none that we know.
    pub async fn wallet(&self, slot: &Slot, at: B256) -> Result<WalletRegistry, EvmError> {
        let Slot { proxy, kind, owner, index } = *slot;
        let call = abi::getWalletRegistryCall { walletTypeId: kind.id(), walletIndex: index, owner };
        let ask = async |node: &Node| {
            let kept = node.view(proxy.address, &call, at).await?;
            let status = match kept.status {
                0 => WalletStatus::Unknown,
                1 => WalletStatus::Requested,
                2 => WalletStatus::Registered,
                other => return Err(node.malformed(format!("wallet status {other} is none of the contract's"))),
            };
            Ok(WalletRegistry { status, options: kept.options, value: kept.value })
        };
        self.pool.agreed(ask).await
    }

    /// How many wallets of the slot's owner and type are filled at a block: the index that an answer must have. The reply
    /// and its gas grow with them, so it is for an owner who asks about itself, never for judging what anybody asked.
    ///
    /// # Errors
    /// When too few endpoints answer.
    pub async fn wallets_filled(&self, slot: &Slot, at: B256) -> Result<u64, EvmError> {
        let call = abi::getZrKeysCall { walletTypeId: slot.kind.id(), owner: slot.owner };
        let ask = async |node: &Node| Ok(node.view(slot.proxy.address, &call, at).await?.len() as u64);
        self.pool.agreed(ask).await
    }

    /// The address text in a slot at a block; `None` while it is not filled.
    ///
    /// # Errors
    /// When too few endpoints answer.
    pub async fn wallet_text(&self, slot: &Slot, at: B256) -> Result<Option<String>, EvmError> {
        let call = abi::getZrKeyCall { walletTypeId: slot.kind.id(), owner: slot.owner, index: slot.index };
        let ask = async |node: &Node| match node.try_view(slot.proxy.address, &call, at).await? {
            Ok(text) => Ok(Some(text)),
            Err(said) if is_out_of_bounds(&said) => Ok(None),
            Err(_) => Err(node.malformed("getZrKey reverts, but not for its index")),
        };
        self.pool.agreed(ask).await
    }

    /// What the contract keeps of a signature request at a block.
    ///
    /// # Errors
    /// When too few endpoints answer, or the status is none that we know.
    pub async fn request_state(&self, proxy: Address, trace: U256, at: B256) -> Result<RequestState, EvmError> {
        let call = abi::getRequestStateCall { traceId: trace };
        let ask = async |node: &Node| {
            let kept = node.view(proxy, &call, at).await?;
            let status = match kept.status {
                0 => RequestStatus::Unknown,
                1 => RequestStatus::Open,
                2 => RequestStatus::Answered,
                other => return Err(node.malformed(format!("request status {other} is none of the contract's"))),
            };
            Ok(RequestState { status, value: kept.value })
        };
        self.pool.agreed(ask).await
    }
}

impl Node {
    async fn deployment(&self, proxy: Address, at: B256) -> Result<Deployment, EvmError> {
        let data = async {
            // It came later and went again: where it is missing, the call reverts.
            Ok(self.try_view(proxy, &abi::IS_DATA_MASKCall {}, at).await?.ok())
        };
        let numbers = async {
            let (hash, data, transaction, simple) = try_join!(
                self.view(proxy, &abi::IS_HASH_MASKCall {}, at),
                data,
                self.view(proxy, &abi::IS_TX_MASKCall {}, at),
                self.view(proxy, &abi::IS_SIMPLE_TX_MASKCall {}, at),
            )?;
            Ok(TypeNumbers { hash, data, transaction, simple })
        };
        let (numbers, source, mpc_role, version, paused, response_gas, next_trace) = try_join!(
            numbers,
            self.view(proxy, &abi::SRC_CHAIN_IDCall {}, at),
            self.view(proxy, &abi::MPC_ROLECall {}, at),
            self.view(proxy, &abi::versionCall {}, at),
            self.view(proxy, &abi::pausedCall {}, at),
            self.view(proxy, &abi::getRespGasCall {}, at),
            self.view(proxy, &abi::getTraceIdCall {}, at),
        )?;
        Ok(Deployment { numbers, source, mpc_role, version, paused, response_gas, next_trace })
    }

    /// `getTraceId()` at a block; 0 where there is no contract yet.
    pub(super) async fn next_trace(&self, proxy: Address, at: B256) -> Result<U256, EvmError> {
        let call = abi::getTraceIdCall {};
        let Ok(said) = self.called(proxy, &call, at).await? else {
            return Err(self.malformed("getTraceId reverts"));
        };
        if said.is_empty() {
            let code = self.call(self.provider.get_code_at(proxy).block_id(pinned(at))).await?;
            return if code.is_empty() { Ok(U256::ZERO) } else { Err(self.malformed("getTraceId returns nothing")) };
        }
        self.decoded::<abi::getTraceIdCall>(&said)
    }

    /// What a getter returns at a block.
    async fn view<C: SolCall>(&self, to: Address, call: &C, at: B256) -> Result<C::Return, EvmError> {
        let said = self.try_view(to, call, at).await?;
        said.map_err(|_| self.malformed(format!("{} reverts", C::SIGNATURE)))
    }

    /// The same, or what it reverts with.
    async fn try_view<C: SolCall>(
        &self,
        to: Address,
        call: &C,
        at: B256,
    ) -> Result<Result<C::Return, Bytes>, EvmError> {
        match self.called(to, call, at).await? {
            Ok(said) => self.decoded::<C>(&said).map(Ok),
            Err(said) => Ok(Err(said)),
        }
    }

    async fn called<C: SolCall>(&self, to: Address, call: &C, at: B256) -> Result<Result<Bytes, Bytes>, EvmError> {
        let request = TransactionRequest::default().with_to(to).with_input(call.abi_encode());
        self.attempt(self.provider.call(request.into()).block(pinned(at))).await
    }

    fn decoded<C: SolCall>(&self, said: &[u8]) -> Result<C::Return, EvmError> {
        C::abi_decode_returns_validate(said)
            .map_err(|_| self.malformed(format!("{} returns what it must not", C::SIGNATURE)))
    }
}

fn is_out_of_bounds(said: &[u8]) -> bool {
    Panic::abi_decode(said).is_ok_and(|panic| panic.kind() == Some(PanicKind::ArrayOutOfBounds))
}
