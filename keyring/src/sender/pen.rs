//! Who signs, and what: legacy transactions under EIP-155, of two kinds.

use alloy_primitives::{Address, B256, Bytes, Signature, TxKind, U256, keccak256};
use chain_client::zrsign::transaction::LegacyTransaction;
use serde::{Deserialize, Serialize};

use super::Call;

/// Gas of a transfer without data.
pub(super) const TRANSFER_GAS: u64 = 21_000;

/// The account's key gives no signature: nothing is taken for one, so nothing leaves and no nonce is used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the account's key gives no signature")]
pub struct PenError;

/// Signs for the account, deterministically (RFC 6979), so that the same transaction gives the same bytes.
pub trait Pen {
    /// The account's address.
    fn account(&self) -> Address;
    /// The account's signature over a transaction's digest, `s` in the lower half.
    ///
    /// # Errors
    /// [`PenError`]: there is none.
    fn sign(&self, digest: B256) -> Result<Signature, PenError>;
}

/// A signed transaction: stored before it leaves, and only ever sent as it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signed {
    /// The bytes to send.
    pub bytes: Vec<u8>,
    /// Their name.
    pub hash: B256,
    /// The nonce that they spend.
    pub nonce: u64,
    /// Wei offered for each unit of gas.
    pub price: u128,
    /// The gas limit.
    pub gas: u64,
    /// Whether they carry an answer; otherwise they spend the nonce on nothing.
    pub answers: bool,
}

impl Signed {
    /// What it costs at most, in wei: a transaction that reverts is paid back by nobody.
    #[must_use]
    pub fn worst(&self) -> u128 {
        chain_client::zrsign::price::loss(self.price, 0, self.gas)
    }

    /// The transaction that makes a call.
    pub(super) fn of_call(pen: &dyn Pen, chain: u64, nonce: u64, call: &Call) -> Result<Self, PenError> {
        let (to, data) = (TxKind::Call(call.to), call.data.clone());
        let unsigned =
            LegacyTransaction { nonce, gas_price: call.price, gas_limit: call.gas, to, value: U256::ZERO, data };
        Self::of(pen, chain, &unsigned, true)
    }

    /// The transfer of nothing to oneself.
    pub(super) fn of_nothing(pen: &dyn Pen, chain: u64, nonce: u64, price: u128) -> Result<Self, PenError> {
        let unsigned = LegacyTransaction {
            nonce,
            gas_price: price,
            gas_limit: TRANSFER_GAS,
            to: TxKind::Call(pen.account()),
            value: U256::ZERO,
            data: Bytes::new(),
        };
        Self::of(pen, chain, &unsigned, false)
    }

    fn of(pen: &dyn Pen, chain: u64, unsigned: &LegacyTransaction, answers: bool) -> Result<Self, PenError> {
        let signature = pen.sign(unsigned.digest(chain))?;
        let bytes = unsigned.signed(chain, signature.r(), signature.s(), u8::from(signature.v())).to_vec();
        let (nonce, price, gas) = (unsigned.nonce, unsigned.gas_price, unsigned.gas_limit);
        Ok(Self { hash: keccak256(&bytes), bytes, nonce, price, gas, answers })
    }
}
