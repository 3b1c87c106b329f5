//! What zrSign contracts ask, in the words of decrees: which decree a log opens, and what an answer to it says.
//!
//! A request at a contract needs two decrees. The first settles on the key or the signature, as on any chain. The second,
//! its *authorisation*, settles on the controller key's signature over exactly what will be told to the contract: each
//! party builds that digest itself, from the event it has read and the first decree's answer (law 1). The facts behind
//! this stand in `docs/zrsign.md`. A simple transaction has a third, before both: its *completion*.

use alloy_primitives::{B256, Bytes};
use chain_client::wallet::WalletError;
use chain_client::zrsign::authorisation::{KeyAnswer, SignatureAnswer};
use chain_client::zrsign::event::{KeyAsked, SignatureAsked, Task as Signs};
use chain_client::zrsign::name::{Destinations, LogPlace, Proxy, Slot, WalletKind};
use chain_client::zrsign::transaction::SimpleTransaction;
use serde::{Deserialize, Serialize};

use crate::decree::{DecreeId, Kind};
use crate::tag;

/// A request at a contract, as this party's own endpoint showed it in a final block.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Asked {
    /// For a key.
    Key {
        /// The event that opened the slot.
        asked: KeyAsked,
        /// The slot's options by the contract's registry, not by a later event.
        options: u8,
    },
    /// For a signature.
    Signature(Box<SignatureAsked>),
}

/// What is told to the contract.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// Which address fills the slot.
    Key(KeyAnswer),
    /// Which signature answers the request.
    Signature(SignatureAnswer),
}

/// A request that no answer of ours can be made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AskedError {
    /// Its number does not fit: no contract counts so far.
    #[error("its number is beyond 2^64")]
    Number,
}

/// The decree of the controller key of a contract.
#[must_use]
pub fn controller_of(proxy: Proxy) -> DecreeId {
    named(proxy, Kind::Controller, 0, None)
}

/// The decree that authorises the answer of another.
#[must_use]
pub fn authorisation_of(id: &DecreeId) -> DecreeId {
    // A key's index and a trace may be the same number; the event tells them apart.
    DecreeId { kind: Kind::Authorisation, ..id.clone() }
}

/// The decree that completes the simple transaction of a request.
#[must_use]
pub fn completion_of(id: &DecreeId) -> DecreeId {
    DecreeId { kind: Kind::Completion, ..id.clone() }
}

/// The request's own decree, of its completion's.
#[must_use]
pub fn signature_of(completion: &DecreeId) -> DecreeId {
    DecreeId { kind: Kind::Signature, ..completion.clone() }
}

/// A chain's name by CAIP-2.
#[must_use]
pub fn chain_of(chain: u64) -> String {
    format!("eip155:{chain}")
}

/// The decree that a log would have opened if it could be read.
#[must_use]
pub fn unreadable_at(proxy: Proxy, trace: u64, at: LogPlace) -> DecreeId {
    named(proxy, Kind::Signature, trace, Some(event_of(b"unreadable", at)))
}

fn named(proxy: Proxy, kind: Kind, request: u64, event: Option<[u8; 32]>) -> DecreeId {
    DecreeId { chain: chain_of(proxy.chain), keyring: proxy.address.to_string(), kind, request, event, item: 0 }
}

/// The name of an event: what was asked, and the log that asked.
fn event_of(what: &[u8], at: LogPlace) -> [u8; 32] {
    tag::hash(tag::EVENT, &[what, &at.height.to_be_bytes(), at.block.as_slice(), &at.index.to_be_bytes()])
}

impl Asked {
    /// The request's decree.
    ///
    /// # Errors
    /// [`AskedError`].
    pub fn decree(&self) -> Result<DecreeId, AskedError> {
        let (proxy, kind, number, event) = match self {
            Self::Key { asked, .. } => {
                let event = event_of(asked.slot.wallet_id().as_slice(), asked.at);
                (asked.slot.proxy, Kind::Key, asked.slot.index, event)
            }
            Self::Signature(asked) => {
                let event = event_of(&asked.name.trace.to_be_bytes::<32>(), asked.name.at);
                (asked.name.proxy, Kind::Signature, asked.name.trace, event)
            }
        };
        let number = u64::try_from(number).map_err(|_| AskedError::Number)?;
        Ok(named(proxy, kind, number, Some(event)))
    }

    /// The log that asked.
    #[must_use]
    pub const fn at(&self) -> LogPlace {
        match self {
            Self::Key { asked, .. } => asked.at,
            Self::Signature(asked) => asked.name.at,
        }
    }

    /// The wallet that is asked for, or that is to sign.
    #[must_use]
    pub const fn wallet(&self) -> Slot {
        match self {
            Self::Key { asked, .. } => asked.slot,
            Self::Signature(asked) => asked.wallet,
        }
    }

    /// What the contract is told, once the first decree is decided. `decided` are that decree's bytes: a compressed public
    /// key, or `r‖s‖v`. `meta_data` goes with a signature: the 32 bytes that were signed or, of a simple transaction, the
    /// completed one.
    ///
    /// # Errors
    /// When the decided bytes are no key of the wallet's type.
    pub fn told(&self, decided: &[u8], meta_data: &[u8]) -> Result<Told, WalletError> {
        Ok(match self {
            Self::Key { asked: KeyAsked { slot, .. }, options } => Told::Key(KeyAnswer {
                wallet_type: slot.kind.id(),
                owner: slot.owner,
                index: slot.index,
                wallet: address_of(slot.kind, decided)?,
                options: *options,
            }),
            Self::Signature(asked) => Told::Signature(SignatureAnswer {
                trace: asked.name.trace,
                owner: asked.wallet.owner,
                meta_data: Bytes::copy_from_slice(meta_data),
                signature: Bytes::copy_from_slice(decided),
                broadcast: asked.broadcast,
            }),
        })
    }
}

impl Told {
    /// What the controller key signs; `source` is the contract's own `SRC_CHAIN_ID`.
    #[must_use]
    pub fn digest(&self, source: B256) -> B256 {
        match self {
            Self::Key(answer) => answer.digest(source),
            Self::Signature(answer) => answer.digest(source),
        }
    }

    /// The call that answers, with the controller key's signature `r‖s‖v`, `v` 27 or 28.
    #[must_use]
    pub fn call_data(&self, authorisation: &[u8; 65]) -> Bytes {
        match self {
            Self::Key(answer) => answer.call_data(authorisation),
            Self::Signature(answer) => answer.call_data(authorisation),
        }
    }
}

/// What is to be done about a signature request, judged from it alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Judged {
    /// The wallet is to sign these 32 bytes.
    Sign(B256),
    /// This is to become a transaction on the destination of that EIP-155 id, which the wallet signs.
    Complete(SimpleTransaction, u64),
    /// It can never be answered; why, in words.
    Never(String),
}

/// Judges a signature request from itself alone.
#[must_use]
pub fn judge(asked: &SignatureAsked, destinations: &Destinations) -> Judged {
    match asked.task(destinations) {
        Ok(Signs::Digest(digest)) => Judged::Sign(digest),
        Ok(Signs::Complete(simple, destination)) => Judged::Complete(simple, destination),
        Err(refusal) => Judged::Never(refusal.to_string()),
    }
}

/// The one form in which a wallet's address is published: mixed case for EVM, pay-to-witness-public-key-hash for Bitcoin.
///
/// # Errors
/// When the bytes are no key of that type.
pub fn address_of(kind: WalletKind, public: &[u8]) -> Result<String, WalletError> {
    kind.address(public)
}
