//! What a transaction may cost: gas by the size of the records it rewrites, and the fee for that gas.
//!
//! Refuses to know transactions. Too little gas loses the fee, spends the sequence and leaves the request to expire;
//! so every figure stands on measurements of a live chain with a margin on top (`docs/zrchain.md`, *Gas*).

use serde::{Deserialize, Serialize};

use crate::name::RequestKind;
use crate::reading::KeyringFacts;
use crate::request::{Ask, Request};
use crate::submission::cut;
use crate::zrchain::DENOMINATION;

/// Gas for each byte of a record that an answer rewrites: 3 to read it and 30 to write it.
const GAS_PER_RECORD_BYTE: u64 = 33;
/// Everything else in a key answer: measured 68 500 to 91 000 in all, with records of 250 bytes.
const KEY_ANSWER_GAS: u64 = 85_000;
/// Everything else in a signature answer: measured 70 400 to 74 300 in all, with records of 250 bytes.
const SIGNATURE_ANSWER_GAS: u64 = 68_000;
/// What a child adds by having a parent, beside the parent's record: measured about 8 000.
const PARENT_GAS: u64 = 10_000;
/// A keyring's fee: measured 27 000 to 39 000, the keyring's first 48 000.
const KEYRING_FEE_GAS: u64 = 48_000;
/// What an answer adds to its own record: one party signature with its account, the answer itself.
const ANSWER_BYTES: u64 = 200;
/// What each child's answer adds to the parent's record.
const PARENT_ENTRY_BYTES: u64 = 90;
/// A transfer: measured 71 000 to 84 500.
const NOTHING_GAS: u64 = 100_000;
/// Added to every estimate, in percent.
const MARGIN_PERCENT: u64 = 25;

/// What an answer has to rewrite.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct AnswerLoad {
    /// Key or signature.
    pub kind: RequestKind,
    /// Bytes of the request's own record, with the answers of all parties that may come before.
    pub record_bytes: u64,
    /// Bytes of the parent's record with all children's answers in it; 0 without parent.
    pub parent_bytes: u64,
    /// Whether the keyring takes a fee for it.
    pub takes_fee: bool,
}

/// A child's parent must be read before the child's answer can be priced.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{request} is an item of a group: read its parent {parent} first")]
pub struct MissingParent {
    request: crate::RequestId,
    parent: crate::RequestId,
}

impl AnswerLoad {
    /// The load of an answer as it can be at most while the request is open.
    ///
    /// # Errors
    /// When the request is an item of a group and its parent is not given.
    pub fn of(request: &Request, parent: Option<&Request>, keyring: &KeyringFacts) -> Result<Self, MissingParent> {
        // The answer that reaches the threshold closes the request: no more than that can stand on it before ours.
        let answers = u64::from(keyring.party_threshold.max(1)).saturating_sub(request.answered_by.len() as u64);
        let record_bytes = request.record_bytes.saturating_add(answers.saturating_mul(ANSWER_BYTES));
        let parent_bytes = match (request.parent, parent) {
            (None, _) => 0,
            (Some(id), Some(parent)) if parent.id == id => {
                let items = match parent.ask {
                    Ask::Group { items, .. } => items as u64,
                    Ask::Key { .. } | Ask::Signature { .. } => 1,
                };
                parent.record_bytes.saturating_add(items.saturating_mul(PARENT_ENTRY_BYTES))
            }
            (Some(parent), _) => return Err(MissingParent { request: request.id, parent }),
        };
        let (kind, fee) = match request.id.kind {
            RequestKind::Key => (RequestKind::Key, keyring.key_fee_urock),
            RequestKind::Signature => (RequestKind::Signature, keyring.signature_fee_urock),
        };
        Ok(Self { kind, record_bytes, parent_bytes, takes_fee: fee > 0 })
    }

    /// The gas limit of the answer.
    #[must_use]
    pub const fn gas_limit(&self) -> u64 {
        let base = match self.kind {
            RequestKind::Key => KEY_ANSWER_GAS,
            RequestKind::Signature => SIGNATURE_ANSWER_GAS,
        };
        let parent = if self.parent_bytes > 0 { PARENT_GAS } else { 0 };
        let fee = if self.takes_fee { KEYRING_FEE_GAS } else { 0 };
        let bytes = self.record_bytes.saturating_add(ANSWER_BYTES).saturating_add(self.parent_bytes);
        with_margin(bytes.saturating_mul(GAS_PER_RECORD_BYTE).saturating_add(base + parent + fee))
    }
}

/// The gas limit of spending a sequence on nothing.
#[must_use]
pub const fn nothing_gas_limit() -> u64 {
    with_margin(NOTHING_GAS)
}

const fn with_margin(gas: u64) -> u64 {
    gas.saturating_add(gas / 100 * MARGIN_PERCENT)
}

/// A price per unit of gas, exact to 18 decimals.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct GasPrice {
    /// urock × 10⁻¹⁸.
    atto_urock: u128,
}

/// A price that cannot be read.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("gas price {0:?} must be a decimal number of urock with at most 18 decimals, such as 0.0001urock")]
pub struct InvalidGasPrice(String);

const ATTO: u128 = 1_000_000_000_000_000_000;

impl GasPrice {
    /// Reads the chain's `min_gas_fee`: amounts with their denominations, separated by commas, of which urock counts.
    /// An empty text, or one without urock, is a price of 0.
    ///
    /// # Errors
    /// When the urock amount is no decimal number or beyond the range.
    pub fn parse(text: &str) -> Result<Self, InvalidGasPrice> {
        let invalid = || InvalidGasPrice(cut(text.to_owned()));
        let coins = text.split(',').map(str::trim);
        let mut coins = coins.map(|coin| coin.split_at(coin.find(char::is_alphabetic).unwrap_or(coin.len())));
        let Some((amount, _)) = coins.find(|(_, name)| *name == DENOMINATION) else {
            return Ok(Self { atto_urock: 0 });
        };
        let (whole, decimals) = amount.split_once('.').unwrap_or((amount, ""));
        let is_number = |digits: &str| digits.bytes().all(|digit| digit.is_ascii_digit());
        if whole.is_empty() || !is_number(whole) || !is_number(decimals) || decimals.len() > 18 {
            return Err(invalid());
        }
        let whole: u128 = whole.parse().map_err(|_| invalid())?;
        let decimals: u128 = format!("{decimals:0<18}").parse().map_err(|_| invalid())?;
        let atto_urock = whole.checked_mul(ATTO).and_then(|whole| whole.checked_add(decimals)).ok_or_else(invalid)?;
        Ok(Self { atto_urock })
    }

    /// The price of that much gas, rounded up; `None` beyond the range.
    #[must_use]
    pub const fn of(self, gas: u64) -> Option<u128> {
        match self.atto_urock.checked_mul(gas as u128) {
            Some(atto) => Some(atto.div_ceil(ATTO)),
            None => None,
        }
    }
}

/// What we are willing to pay.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct FeePolicy {
    /// Least fee of a transaction, in urock, whatever the chain asks.
    pub floor_urock: u128,
    /// Highest fee of a transaction, in urock.
    pub ceiling_urock: u128,
}

/// The chain asks more than we are willing to pay.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{gas} gas cost more than the ceiling of {ceiling_urock} urock: raise the ceiling or wait")]
pub struct FeeTooHigh {
    gas: u64,
    ceiling_urock: u128,
}

/// Gas and fee of one transaction.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Charge {
    /// Gas limit.
    pub gas_limit: u64,
    /// Fee in urock.
    pub fee_urock: u128,
}

impl FeePolicy {
    /// The charge for that much gas at the chain's price.
    ///
    /// # Errors
    /// When the chain's price leads above the ceiling: nothing is sent until a person or the chain changes that.
    pub fn charge(&self, gas_limit: u64, price: GasPrice) -> Result<Charge, FeeTooHigh> {
        let too_high = FeeTooHigh { gas: gas_limit, ceiling_urock: self.ceiling_urock };
        let fee_urock = price.of(gas_limit).ok_or_else(|| too_high.clone())?.max(self.floor_urock);
        if fee_urock > self.ceiling_urock { Err(too_high) } else { Ok(Charge { gas_limit, fee_urock }) }
    }
}
