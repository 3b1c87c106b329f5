//! How to ask a zrSign contract: the calls that ask, what they cost, where a request stands in the logs, which log answers
//! it. The other end of what the rest of these rooms serve.
//!
//! | Room | Holds |
//! | --- | --- |
//! | this one | wishes as call data; fees; a request's place; its answer's log |
//! | `verdict` | whether an answer is what was asked for: **nothing that fails here is used** |
//! | `refusal` | why a contract takes no request, and what to do |
//!
//! Refuses to know accounts, endpoints and waits: `keyring/src/cli/request/evm.rs` has these, and shows how to use this.

mod refusal;
mod verdict;

pub use refusal::Refusal;
pub use verdict::{SignedTransaction, Unverified, Verified, wallet_address};

use std::fmt;
use std::str::FromStr;

use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use alloy_sol_types::{SolCall as _, SolEvent as _};

use super::abi;
use super::event::{Event, Log, SignatureKind};
use super::name::{Destinations, LogPlace, Proxy, Slot, WalletKind};
use super::transaction::{LegacyTransaction, SimpleTransaction};

/// Where a signature is meant for, by CAIP-2, such as `eip155:1`. The contract takes those that it was told of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destination(String);

/// A text that names no chain.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} names no chain: write it by CAIP-2, such as eip155:1")]
pub struct DestinationError(String);

impl FromStr for Destination {
    type Err = DestinationError;

    /// CAIP-2: a namespace of 3 to 8, and a reference of 1 to 32 characters.
    fn from_str(text: &str) -> Result<Self, DestinationError> {
        let is_caip = text.split_once(':').is_some_and(|(namespace, reference)| {
            let small = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
            let any = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
            (3..=8).contains(&namespace.len())
                && namespace.bytes().all(small)
                && (1..=32).contains(&reference.len())
                && reference.bytes().all(any)
        });
        if is_caip { Ok(Self(text.to_owned())) } else { Err(DestinationError(text.chars().take(64).collect())) }
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Destination {
    /// What to name where it does not matter, as for a hash: the wallet's own chain.
    #[must_use]
    pub fn of(proxy: Proxy, kind: WalletKind) -> Self {
        Self(match kind {
            WalletKind::Evm => format!("eip155:{}", proxy.chain),
            WalletKind::BitcoinMainnet => "bip122:000000000019d6689c085ae165831e93".to_owned(),
            WalletKind::BitcoinTestnet => "bip122:000000000933ea01ad0ee984209779ba".to_owned(),
        })
    }

    /// The contract's name of it.
    #[must_use]
    pub fn id(&self) -> B256 {
        keccak256(&self.0)
    }

    /// The EIP-155 chain id; `None` when it is no EVM chain.
    #[must_use]
    pub fn eip155(&self) -> Option<u64> {
        let mut known = Destinations::default();
        known.learn(&self.0);
        known.eip155(self.id())
    }
}

/// What a wallet is asked to sign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Payload {
    /// These 32 bytes, as they are.
    Hash(B256),
    /// This transaction, under EIP-155 for the destination's chain.
    Transaction(LegacyTransaction),
    /// A transaction of this recipient, value and data; whoever answers adds nonce, gas price and gas limit.
    Simple(SimpleTransaction),
}

/// A key that is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyWish {
    /// The contract.
    pub proxy: Proxy,
    /// For which wallet.
    pub kind: WalletKind,
    /// Who will own it, and is given the change.
    pub owner: Address,
    /// 1, or 2 for a wallet that may ask for simple transactions. The fee is multiplied by it; 0 is refused.
    pub options: u8,
}

/// A signature that is wanted. It is asked for by the wallet's owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignatureWish {
    /// By which wallet.
    pub wallet: Slot,
    /// Where it is meant for.
    pub destination: Destination,
    /// Of what.
    pub payload: Payload,
    /// Whether relayers are to send the transaction. Never for a hash.
    pub broadcast: bool,
}

/// What is asked of a contract.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wish {
    /// A key.
    Key(KeyWish),
    /// A signature.
    Signature(Box<SignatureWish>),
}

/// The name that a contract has given to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Named {
    /// Of a key: the slot.
    Key(Slot),
    /// Of a signature.
    Signature {
        /// The contract.
        proxy: Proxy,
        /// Its number there.
        trace: U256,
    },
}

/// An answer as its log has it. Nobody has looked at it yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// The wallet's address.
    Key(String),
    /// A signature.
    Signature {
        /// What was signed: of a simple transaction the completed one; otherwise free.
        meta_data: Bytes,
        /// `r‖s‖v`.
        signature: Bytes,
        /// Whether relayers send it.
        broadcast: bool,
    },
}

impl Wish {
    /// The contract that is asked.
    #[must_use]
    pub const fn proxy(&self) -> Proxy {
        match self {
            Self::Key(wish) => wish.proxy,
            Self::Signature(wish) => wish.wallet.proxy,
        }
    }

    /// The call that asks.
    #[must_use]
    pub fn call_data(&self) -> Bytes {
        match self {
            Self::Key(KeyWish { kind, owner, options, .. }) => {
                let params = abi::ZrKeyReqParams { owner: *owner, walletTypeId: kind.id(), options: *options };
                abi::zrKeyReqCall { params }.abi_encode().into()
            }
            Self::Signature(wish) => wish.call_data(),
        }
    }

    /// The call that asks the contract what asking costs. The contract takes the fee of the block in which it is asked, so
    /// make this call with a price of gas: without one some nodes take the base fee for nothing.
    #[must_use]
    pub fn fee_call(&self) -> Bytes {
        match self {
            Self::Key(KeyWish { options, .. }) => {
                abi::estimateFee_0Call { options: *options, value: U256::ZERO }.abi_encode().into()
            }
            Self::Signature(wish) => {
                let Slot { kind, owner, index, .. } = wish.wallet;
                let call =
                    abi::estimateFee_1Call { walletTypeId: kind.id(), owner, walletIndex: index, value: U256::ZERO };
                call.abi_encode().into()
            }
        }
    }

    /// The request's name, if this event is this very wish. The block tells it from one that was asked before.
    #[must_use]
    pub fn named_by(&self, event: &Event) -> Option<(Named, LogPlace)> {
        match (self, event) {
            (Self::Key(KeyWish { proxy, kind, owner, .. }), Event::Key(asked)) => {
                let Slot { proxy: at, kind: asked_kind, owner: asked_owner, .. } = asked.slot;
                let is_ours = (at, asked_kind, asked_owner) == (*proxy, *kind, *owner);
                is_ours.then_some((Named::Key(asked.slot), asked.at))
            }
            (Self::Signature(wish), Event::Signature(asked)) => {
                let is_ours = asked.wallet == wish.wallet
                    && asked.destination == wish.destination.id()
                    && asked.payload == wish.payload.encode()
                    && asked.kind == wish.payload.kind()
                    && asked.broadcast == wish.broadcast;
                is_ours
                    .then_some((Named::Signature { proxy: asked.name.proxy, trace: asked.name.trace }, asked.name.at))
            }
            _ => None,
        }
    }
}

impl SignatureWish {
    fn call_data(&self) -> Bytes {
        let params = abi::ZrSignParams {
            walletTypeId: self.wallet.kind.id(),
            walletIndex: self.wallet.index,
            dstChainId: self.destination.id(),
            payload: self.payload.encode(),
            broadcast: self.broadcast,
        };
        match self.payload {
            Payload::Hash(_) => abi::zrSignHashCall { params }.abi_encode().into(),
            Payload::Transaction(_) => abi::zrSignTxCall { params }.abi_encode().into(),
            Payload::Simple(_) => abi::zrSignSimpleTxCall { params }.abi_encode().into(),
        }
    }
}

impl Payload {
    /// The bytes that the contract is given.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        match self {
            Self::Hash(hash) => Bytes::copy_from_slice(hash.as_slice()),
            Self::Transaction(transaction) => transaction.encode(),
            Self::Simple(simple) => simple.encode(),
        }
    }

    const fn kind(&self) -> SignatureKind {
        match self {
            Self::Hash(_) => SignatureKind::Hash,
            Self::Transaction(_) => SignatureKind::Transaction,
            Self::Simple(_) => SignatureKind::Simple,
        }
    }
}

impl Named {
    /// The answer, if this log of the contract is it. A log that does not decode is none.
    #[must_use]
    pub fn answered_by(&self, log: &Log) -> Option<Said> {
        let topics = || log.topics.iter().copied();
        match (self, *log.topics.first()?) {
            (Self::Key(slot), abi::ZrKeyResolve::SIGNATURE_HASH) => {
                let event = abi::ZrKeyResolve::decode_raw_log(topics(), &log.data).ok()?;
                let is_ours = (event.walletTypeId, event.owner, event.walletIndex)
                    == (slot.kind.id(), slot.owner, slot.index)
                    && log.address == slot.proxy.address;
                is_ours.then_some(Said::Key(event.addr))
            }
            (Self::Signature { proxy, trace }, abi::ZrSigResolve::SIGNATURE_HASH) => {
                let event = abi::ZrSigResolve::decode_raw_log(topics(), &log.data).ok()?;
                let abi::ZrSigResolve { traceId, metaData: meta_data, signature, broadcast } = event;
                let is_ours = traceId == *trace && log.address == proxy.address;
                is_ours.then_some(Said::Signature { meta_data, signature, broadcast })
            }
            _ => None,
        }
    }
}

/// What a contract wants for a request, in wei, as of one block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fee {
    /// What it keeps.
    pub mpc: U256,
    /// What pays for the answer; what is not needed of it comes back to the owner with the answer. Follows the base fee.
    pub response: U256,
}

impl Fee {
    /// From what [`Wish::fee_call`] returns; `None` when that is no fee.
    #[must_use]
    pub fn decode(returned: &[u8]) -> Option<Self> {
        // Both forms return the same.
        let fee = abi::estimateFee_0Call::abi_decode_returns_validate(returned).ok()?;
        (fee.mpc.checked_add(fee.netResp) == Some(fee.total)).then_some(Self { mpc: fee.mpc, response: fee.netResp })
    }

    /// What to send along, so that it is enough in every block that can take the request up. Told for a block of this base
    /// fee; a transaction that offers `price` for gas is in no block with a higher one. `response_gas` is `getRespGas()`.
    #[must_use]
    pub fn to_send(&self, base_fee: u128, price: u128, response_gas: U256) -> U256 {
        // It is gas · ⌊base fee · percent / 100⌋: less than one more `gas` is lost to rounding, before it is scaled.
        let most = self.response.saturating_add(response_gas);
        let scaled = match base_fee {
            0 => most,
            base_fee => most.saturating_mul(U256::from(price.max(base_fee))).div_ceil(U256::from(base_fee)),
        };
        self.mpc.saturating_add(scaled)
    }
}

#[cfg(test)]
mod tests;
