//! What can be asked of a world: requests and answers that are not sent yet, and the ordinary course of both.

use alloy_network::TransactionBuilder;
use alloy_primitives::{Address, B256, Bytes, U256};
use alloy_rpc_types_eth::TransactionRequest;
use alloy_sol_types::{SolCall, SolError};
use contracts::answer::{Deployment, KeyAnswer, SignatureAnswer};
use contracts::bindings::compatible::{IZrSign, ZrSign};
use contracts::bindings::test_owner::TestOwner;
use contracts::names::{DEFAULT_ADMIN_ROLE, EVM};

use crate::cast::{
    ADMIN, OPERATOR, PLENTY, RESP_GAS, SENDER, STRANGER, TOTAL, USER, controller, first_wallet, hello, sign,
    sign_params, total,
};
use crate::node::{BASE_FEE, CHAIN};
use crate::world::{Version, World};

/// One transaction or call that is not sent yet.
#[derive(Clone, Debug)]
pub(crate) struct Ask {
    pub(crate) from: Address,
    pub(crate) to: Address,
    pub(crate) data: Bytes,
    pub(crate) value: U256,
    pub(crate) gas: u64,
    pub(crate) price: u128,
}

impl Ask {
    pub(crate) fn value(mut self, value: u64) -> Self {
        self.value = U256::from(value);
        self
    }

    pub(crate) fn gas(mut self, gas: u64) -> Self {
        self.gas = gas;
        self
    }

    pub(crate) fn price(mut self, price: u128) -> Self {
        self.price = price;
        self
    }

    pub(crate) fn to(mut self, to: Address) -> Self {
        self.to = to;
        self
    }

    /// A type-0 transaction, as the responders send them.
    pub(crate) fn request(&self) -> TransactionRequest {
        let mut request = TransactionRequest::default()
            .with_from(self.from)
            .with_to(self.to)
            .with_input(self.data.clone())
            .with_value(self.value)
            .with_gas_limit(self.gas)
            .with_gas_price(self.price);
        request.transaction_type = Some(0);
        request
    }
}

impl World {
    pub(crate) fn ask(&self, from: Address, data: impl Into<Bytes>) -> Ask {
        Ask { from, to: self.zr_sign, data: data.into(), value: U256::ZERO, gas: PLENTY, price: BASE_FEE }
    }

    pub(crate) fn call(&self, from: Address, call: &impl SolCall) -> Ask {
        self.ask(from, call.abi_encode())
    }

    pub(crate) fn admin(&self, call: &impl SolCall) -> Ask {
        self.call(ADMIN, call)
    }

    pub(crate) fn operator(&self, call: &impl SolCall) -> Ask {
        self.call(OPERATOR, call)
    }

    pub(crate) fn chain_config(&self, wallet_type: B256, caip: &str, support: bool) -> Ask {
        self.admin(&ZrSign::chainIdConfigCall { walletTypeId: wallet_type, caip: caip.to_owned(), support })
    }

    pub(crate) fn wallet_type(&self, coin_type: u64, support: bool) -> Ask {
        self.admin(&ZrSign::walletTypeIdConfigCall {
            purpose: U256::from(44),
            coinType: U256::from(coin_type),
            support,
        })
    }

    /// A call that a test owner makes; `value` comes out of its own balance.
    pub(crate) fn as_owner(&self, owner: Address, call: &impl SolCall, value: u64) -> Ask {
        let act = TestOwner::actCall { to: self.zr_sign, value: U256::from(value), data: call.abi_encode().into() };
        self.call(STRANGER, &act).to(owner)
    }

    /// A key for the user, paid to the wei.
    pub(crate) fn key_request(&self, wallet_type: B256, options: u8) -> Ask {
        let params = IZrSign::ZrKeyReqParams { owner: USER, walletTypeId: wallet_type, options };
        self.call(USER, &ZrSign::zrKeyReqCall { params }).value(total(options))
    }

    pub(crate) fn key_response(&self, answer: &KeyAnswer) -> Ask {
        self.key_response_signed(answer, sign(&controller(), self.key_digest(answer)))
    }

    pub(crate) fn key_response_signed(&self, answer: &KeyAnswer, authorisation: Bytes) -> Ask {
        let params = IZrSign::ZrKeyResParams {
            walletTypeId: answer.wallet_type,
            owner: answer.owner,
            walletIndex: answer.index,
            wallet: answer.wallet.clone(),
            options: answer.options,
            authSignature: authorisation,
        };
        self.call(SENDER, &ZrSign::zrKeyResCall { params }).gas(RESP_GAS)
    }

    pub(crate) fn signature_response(&self, answer: &SignatureAnswer) -> Ask {
        self.signature_response_signed(answer, sign(&controller(), self.signature_digest(answer)))
    }

    pub(crate) fn signature_response_signed(&self, answer: &SignatureAnswer, authorisation: Bytes) -> Ask {
        let params = IZrSign::SignResParams {
            traceId: answer.trace,
            owner: answer.owner,
            metaData: answer.meta_data.clone(),
            signature: answer.signature.clone(),
            broadcast: answer.broadcast,
            authSignature: authorisation,
        };
        self.call(SENDER, &ZrSign::zrSignResCall { params }).gas(RESP_GAS)
    }

    pub(crate) fn key_digest(&self, answer: &KeyAnswer) -> B256 {
        match self.version {
            Version::Compatible => answer.digest(),
            Version::Hardened => answer.hardened_digest(self.deployment()),
        }
    }

    pub(crate) fn signature_digest(&self, answer: &SignatureAnswer) -> B256 {
        match self.version {
            Version::Compatible => answer.digest(),
            Version::Hardened => answer.hardened_digest(self.deployment()),
        }
    }

    pub(crate) fn deployment(&self) -> Deployment {
        Deployment { chain: CHAIN, zr_sign: self.zr_sign }
    }

    /// The user's first EVM wallet, asked and answered.
    pub(crate) async fn with_wallet(&self, options: u8) {
        self.done(self.key_request(EVM, options)).await;
        self.done(self.key_response(&first_wallet(options))).await;
    }

    /// A test owner's first EVM wallet and an open hash request for it, trace 0 if nothing was asked before.
    pub(crate) async fn owned_request(&self, owner: Address) {
        let params = IZrSign::ZrKeyReqParams { owner, walletTypeId: EVM, options: 1 };
        self.done(self.call(USER, &ZrSign::zrKeyReqCall { params }).value(TOTAL)).await;
        self.behave(owner, 0, Bytes::new()).await;
        let answer = KeyAnswer { owner, ..first_wallet(1) };
        self.done(self.key_response(&answer).gas(self.answer_gas())).await;
        let call = ZrSign::zrSignHashCall { params: sign_params(hello(), false) };
        self.done(self.as_owner(owner, &call, TOTAL)).await;
    }

    /// A gas limit that any answer gets along with, in this version.
    pub(crate) fn answer_gas(&self) -> u64 {
        match self.version {
            Version::Compatible => RESP_GAS,
            Version::Hardened => 400_000,
        }
    }

    /// A hash that the user asks for, on wallet 0.
    pub(crate) fn hash_request(&self) -> Ask {
        self.call(USER, &ZrSign::zrSignHashCall { params: sign_params(hello(), false) }).value(TOTAL)
    }

    pub(crate) async fn pause(&self) {
        self.done(self.operator(&ZrSign::pauseCall {})).await;
    }

    pub(crate) async fn unpause(&self) {
        self.done(self.operator(&ZrSign::unpauseCall {})).await;
    }

    /// Ten ether from the admin.
    pub(crate) async fn fund(&self, account: Address) {
        let mut gift = self.ask(ADMIN, Bytes::new()).to(account).gas(100_000);
        gift.value = U256::from(10_u64.pow(19));
        self.done(gift).await;
    }

    pub(crate) fn unauthorised(account: Address, role: B256) -> Vec<u8> {
        ZrSign::AccessControlUnauthorizedAccount { account, neededRole: role }.abi_encode()
    }

    pub(crate) fn not_admin(account: Address) -> Vec<u8> {
        Self::unauthorised(account, DEFAULT_ADMIN_ROLE)
    }
}
