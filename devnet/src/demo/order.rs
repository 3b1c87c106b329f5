//! What a user wants: as a message to the chain, and as a verdict on what came back.
//!
//! Pure. What the chain showed is an argument ([`Evidence`]); who fetches it is not known here.

use chain_client::proto::zrchain::treasury::{
    MsgNewKeyRequest, MsgNewKeyRequestResponse, MsgNewSignTransactionRequest, MsgNewSignTransactionRequestResponse,
    MsgNewSignatureRequest, MsgNewSignatureRequestResponse, QueryKeyByIdResponse, WalletType,
};
use chain_client::tx::any;
use chain_client::{KeyType, RequestId};
use prost_types::Any;

use super::DemoError;
use super::address;
use super::proof::{self, Unverified};
use super::sender::{Delivery, Letter};
use super::transfer::Transfer;

/// Measured on a live chain: about 82 000 and 103 000 per item, transactions some 120 000 more; half as much on top.
const REQUEST_GAS: u64 = 300_000;
const ITEM_GAS: u64 = 155_000;

/// A key that the keyring made and this user verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserKey {
    /// The chain's id, which is also that of its request.
    pub id: u64,
    /// Its type.
    pub key_type: KeyType,
    /// 33 bytes compressed, or 32 bytes for Ed25519.
    pub public_key: Vec<u8>,
    /// Its address in each wallet that the chain lists.
    pub wallets: Vec<(WalletType, String)>,
}

/// One request in the making.
#[derive(Clone, Debug)]
pub(crate) enum Order {
    /// A new key.
    Key(KeyType),
    /// Signatures of bytes: digests, or messages for Ed25519. Several make a group.
    Raw {
        /// By this key.
        key: UserKey,
        /// One per item.
        payloads: Vec<Vec<u8>>,
    },
    /// Signatures of a transaction of another chain.
    Transfer {
        /// By this key.
        key: UserKey,
        /// Of this transaction.
        transfer: Transfer,
    },
}

/// What the chain shows of a request that it calls FULFILLED.
#[derive(Clone, Debug)]
pub(crate) enum Evidence {
    /// The record under the request's id.
    Key(QueryKeyByIdResponse),
    /// Payloads and signatures.
    Signatures(Shown),
}

/// Items in the order of the request.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shown {
    /// What each signature is of, as the chain says.
    pub(crate) payloads: Vec<Vec<u8>>,
    /// The signatures, in the chain's form.
    pub(crate) signatures: Vec<Vec<u8>>,
    /// The transaction that was handed in, where there was one.
    pub(crate) unsigned: Option<Vec<u8>>,
}

/// Where the chain keeps an order.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Filed {
    /// The request that the keyring answers, or its parent.
    pub(crate) request: RequestId,
    /// The record that holds the unsigned transaction.
    pub(crate) transaction: Option<u64>,
}

impl Order {
    /// What the table calls it.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Key(key_type) => format!("{key_type} key"),
            Self::Raw { key, payloads } if payloads.len() == 1 => format!("{} signature, raw", key.key_type),
            Self::Raw { key, payloads } => format!("{} signatures, {} in one request", key.key_type, payloads.len()),
            Self::Transfer { transfer, .. } => transfer.name().to_owned(),
        }
    }

    /// The message that asks for it.
    ///
    /// # Errors
    /// When the transaction's library refuses it.
    pub(crate) fn letter(&self, creator: &str, workspace: &str, keyring: &str) -> Result<Letter, Unverified> {
        let creator = creator.to_owned();
        let items = self.items()?;
        let message: Any = match self {
            Self::Key(key_type) => any(&MsgNewKeyRequest {
                creator,
                workspace_addr: workspace.to_owned(),
                keyring_addr: keyring.to_owned(),
                key_type: spelled(*key_type).to_owned(),
                ..Default::default()
            }),
            Self::Raw { key, payloads } => any(&MsgNewSignatureRequest {
                creator,
                key_ids: vec![key.id; items],
                data_for_signing: payloads.iter().map(hex::encode).collect::<Vec<_>>().join(","),
                ..Default::default()
            }),
            Self::Transfer { key, transfer } => any(&MsgNewSignTransactionRequest {
                creator,
                key_ids: vec![key.id; items],
                wallet_type: transfer.wallet().into(),
                unsigned_transaction: transfer.unsigned(),
                metadata: transfer.metadata(),
                ..Default::default()
            }),
        };
        Ok(Letter { what: self.name(), message, gas: REQUEST_GAS + ITEM_GAS * items as u64 })
    }

    /// Reads from the executed message where the order stands.
    ///
    /// # Errors
    /// When the response is of another type, or holds no id.
    pub(crate) fn filed(&self, delivery: &Delivery) -> Result<Filed, DemoError> {
        let filed = match self {
            Self::Key(_) => {
                let made: MsgNewKeyRequestResponse = delivery.response()?;
                Filed { request: RequestId::key(made.key_req_id), transaction: None }
            }
            Self::Raw { .. } => {
                let made: MsgNewSignatureRequestResponse = delivery.response()?;
                Filed { request: RequestId::signature(made.sig_req_id), transaction: None }
            }
            Self::Transfer { .. } => {
                let made: MsgNewSignTransactionRequestResponse = delivery.response()?;
                Filed { request: RequestId::signature(made.signature_request_id), transaction: Some(made.id) }
            }
        };
        if filed.request.number == 0 {
            let why = format!("{}: no request was made; a policy waits for approvals", self.name());
            return Err(DemoError::Reply { what: "response", why });
        }
        Ok(filed)
    }

    /// How many signatures it takes; a key counts as one.
    ///
    /// # Errors
    /// When the transaction's library refuses it.
    pub(crate) fn items(&self) -> Result<usize, Unverified> {
        match self {
            Self::Key(_) => Ok(1),
            Self::Raw { payloads, .. } => Ok(payloads.len()),
            Self::Transfer { transfer, .. } => Ok(transfer.payloads()?.len()),
        }
    }

    /// Judges what the chain shows. Says what was proven.
    ///
    /// # Errors
    /// [`Unverified`] when anything shown is not what was asked for.
    pub(crate) fn judge(&self, evidence: &Evidence) -> Result<String, Unverified> {
        match (self, evidence) {
            (Self::Key(key_type), Evidence::Key(record)) => {
                key(*key_type, record).map(|key| format!("public key {}", hex::encode(key.public_key)))
            }
            (Self::Raw { key, payloads }, Evidence::Signatures(shown)) => {
                shown.covers(payloads)?;
                for (payload, signature) in payloads.iter().zip(&shown.signatures) {
                    raw(key, payload, signature)?;
                }
                Ok(shown.signatures.iter().map(|bytes| short(bytes)).collect::<Vec<_>>().join(", "))
            }
            (Self::Transfer { transfer, .. }, Evidence::Signatures(shown)) => {
                shown.covers(&transfer.payloads()?)?;
                let kept = shown.unsigned.as_deref().unwrap_or_default();
                proof::same("unsigned transaction", kept, transfer.unsigned().as_slice())?;
                transfer.check(&shown.signatures)
            }
            _ => Err(Unverified::malformed("evidence", "of another kind than the request")),
        }
    }
}

impl Shown {
    /// Whether the chain had exactly these payloads signed, each once and in this order.
    fn covers(&self, asked: &[Vec<u8>]) -> Result<(), Unverified> {
        if self.payloads.len() != asked.len() || self.signatures.len() != asked.len() {
            let (payloads, signatures) = (self.payloads.len(), self.signatures.len());
            let why = format!("{payloads} payloads and {signatures} signatures for {} items", asked.len());
            return Err(Unverified::malformed("request", why));
        }
        self.payloads.iter().zip(asked).try_for_each(|(shown, asked)| proof::same("payload", shown, asked))
    }
}

fn short(bytes: &[u8]) -> String {
    format!("{}…", hex::encode(bytes.get(..8).unwrap_or(bytes)))
}

/// The treasury's word for a key type.
const fn spelled(key_type: KeyType) -> &'static str {
    match key_type {
        KeyType::EcdsaSecp256k1 => "ecdsa",
        KeyType::EddsaEd25519 => "ed25519",
        KeyType::BitcoinSecp256k1 => "bitcoin",
    }
}

/// One signature, in the form in which the chain keeps those of its key's type.
fn raw(key: &UserKey, payload: &[u8], signature: &[u8]) -> Result<(), Unverified> {
    match key.key_type {
        KeyType::EcdsaSecp256k1 => match signature.split_last() {
            Some((0 | 1, r_s)) if r_s.len() == 64 => proof::compact(&key.public_key, payload, r_s),
            _ => Err(Unverified::malformed("signature", "not 65 bytes with a recovery id of 0 or 1")),
        },
        KeyType::BitcoinSecp256k1 => proof::der(&key.public_key, payload, signature).map(drop),
        KeyType::EddsaEd25519 => proof::ed25519(&key.public_key, payload, signature),
    }
}

/// Judges a key record: its type, and that every address the chain lists is the key's.
///
/// # Errors
/// [`Unverified`] when it is not what was asked for.
pub(crate) fn key(key_type: KeyType, record: &QueryKeyByIdResponse) -> Result<UserKey, Unverified> {
    let shown = record.key.as_ref().ok_or_else(|| Unverified::malformed("key", "no record"))?;
    proof::same("key type", shown.r#type.as_str(), key_type.name())?;
    let wallets = address::wallets(key_type, &shown.public_key)?;
    let listed: Vec<_> =
        record.wallets.iter().map(|wallet| (wallet.r#type.as_str(), wallet.address.as_str())).collect();
    let derived: Vec<_> = wallets.iter().map(|(wallet, address)| (wallet.as_str_name(), address.as_str())).collect();
    if listed != derived {
        let (shown, expected) = (format!("{listed:?}"), format!("{derived:?}"));
        return Err(Unverified::Differs { what: "list of wallets", shown, expected });
    }
    Ok(UserKey { id: shown.id, key_type, public_key: shown.public_key.clone(), wallets })
}

#[cfg(test)]
mod tests;
