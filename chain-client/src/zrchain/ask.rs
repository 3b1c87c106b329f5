//! How to ask a zrChain, as its users do: the message that asks, the request that it has made, and whether the answer is
//! one. The other end of what a keyring serves.
//!
//! Pure. Refuses to know accounts, endpoints and waits: `keyring/src/cli/request/zrchain.rs` has these, and shows how to
//! use this.

use alloy_primitives::{B256, Bytes, U256, keccak256};
use prost_types::Any;

use crate::answer::{AnswerError, Question, der};
use crate::name::{KeyType, RequestId};
use crate::proto::zrchain::treasury::{
    MetadataEthereum, MsgNewKeyRequest, MsgNewKeyRequestResponse, MsgNewSignTransactionRequest,
    MsgNewSignTransactionRequestResponse, MsgNewSignatureRequest, MsgNewSignatureRequestResponse, WalletType,
};
use crate::reading::ChainKey;
use crate::request::{Ask, Request};
use crate::submission::Receipt;
use crate::tx;
use crate::zrsign::transaction::LegacyTransaction;

/// Gas of asking: measured 98 500 for a key, 185 000 for a signature, 204 000 for a transaction, 32 000 more where the
/// keyring takes its first fee; half as much on top.
const KEY_GAS: u64 = 200_000;
const SIGNATURE_GAS: u64 = 360_000;
/// For each byte that is signed: it stands in several records, each written for 30 and read for 3.
const GAS_PER_BYTE: u64 = 100;
/// The longest message that the chain takes for an Ed25519 key.
const MESSAGE_BYTES_MAX: usize = 999;

/// What is asked of the chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wish {
    /// A key.
    Key {
        /// Of this type.
        key_type: KeyType,
        /// The keyring that is to make it.
        keyring: String,
        /// The workspace that will own it; one of the asker's.
        workspace: String,
    },
    /// A signature of a digest of 32 bytes, or of a whole message for an Ed25519 key.
    Signature {
        /// By this key.
        key: ChainKey,
        /// Of these bytes.
        payload: Vec<u8>,
    },
    /// The signature of a transaction of an EVM chain (type 0, EIP-155).
    Transaction {
        /// By this key.
        key: ChainKey,
        /// Of this transaction.
        transaction: LegacyTransaction,
        /// For the chain of this EIP-155 id.
        chain: u64,
        /// Whether relayers are to send it.
        broadcast: bool,
    },
}

/// A wish that the chain would refuse, or that no answer can be made for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WishError {
    /// The key does not sign so many bytes.
    #[error("key {key} is of type {key_type} and signs {wanted}; these are {found} bytes")]
    Payload {
        /// The key.
        key: u64,
        /// Its type.
        key_type: KeyType,
        /// What it signs.
        wanted: &'static str,
        /// How many were given.
        found: usize,
    },
    /// The key has no account on EVM chains.
    #[error("key {key} is of type {key_type}; only ecdsa keys have an account on EVM chains")]
    KeyType {
        /// The key.
        key: u64,
        /// Its type.
        key_type: KeyType,
    },
}

/// Why what the chain shows must not be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unverified {
    /// The chain's own rule would refuse it.
    #[error(transparent)]
    Answer(#[from] AnswerError),
    /// Of a Bitcoin key the chain keeps DER.
    #[error("it is no signature in DER")]
    Der,
}

/// An answer that is one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// A public key, or a signature in the form in which keyrings publish it: `r‖s‖v`, `r‖s`, or 64 bytes of EdDSA.
    pub bytes: Vec<u8>,
    /// The transaction as its own chain takes it, and its name, where one was asked for.
    pub transaction: Option<(Bytes, B256)>,
}

impl Wish {
    /// What asks for a signature of these bytes.
    ///
    /// # Errors
    /// [`WishError::Payload`].
    pub fn signature(key: ChainKey, payload: &[u8]) -> Result<Self, WishError> {
        let (fits, wanted) = match key.key_type {
            KeyType::EddsaEd25519 => ((1..=MESSAGE_BYTES_MAX).contains(&payload.len()), "a message of 1 to 999 bytes"),
            KeyType::EcdsaSecp256k1 | KeyType::BitcoinSecp256k1 => (payload.len() == 32, "a digest of 32 bytes"),
        };
        if fits {
            return Ok(Self::Signature { key, payload: payload.to_vec() });
        }
        Err(WishError::Payload { key: key.id, key_type: key.key_type, wanted, found: payload.len() })
    }

    /// What asks for a signed transaction.
    ///
    /// # Errors
    /// [`WishError::KeyType`].
    pub fn transaction(
        key: ChainKey,
        transaction: LegacyTransaction,
        chain: u64,
        broadcast: bool,
    ) -> Result<Self, WishError> {
        if key.key_type == KeyType::EcdsaSecp256k1 {
            return Ok(Self::Transaction { key, transaction, chain, broadcast });
        }
        Err(WishError::KeyType { key: key.id, key_type: key.key_type })
    }

    /// The keyring that is asked.
    #[must_use]
    pub fn keyring(&self) -> &str {
        match self {
            Self::Key { keyring, .. } => keyring,
            Self::Signature { key, .. } | Self::Transaction { key, .. } => &key.keyring,
        }
    }

    /// The workspace whose owners may ask.
    #[must_use]
    pub fn workspace(&self) -> &str {
        match self {
            Self::Key { workspace, .. } => workspace,
            Self::Signature { key, .. } | Self::Transaction { key, .. } => &key.workspace,
        }
    }

    /// What is signed; nothing for a key.
    #[must_use]
    pub fn payload(&self) -> Vec<u8> {
        match self {
            Self::Key { .. } => Vec::new(),
            Self::Signature { payload, .. } => payload.clone(),
            Self::Transaction { transaction, chain, .. } => transaction.digest(*chain).to_vec(),
        }
    }

    /// The message that asks, from this account.
    #[must_use]
    pub fn message(&self, creator: &str) -> Any {
        let creator = creator.to_owned();
        match self {
            Self::Key { key_type, keyring, workspace } => tx::any(&MsgNewKeyRequest {
                creator,
                workspace_addr: workspace.clone(),
                keyring_addr: keyring.clone(),
                key_type: spelled(*key_type).to_owned(),
                ..Default::default()
            }),
            Self::Signature { key, payload } => tx::any(&MsgNewSignatureRequest {
                creator,
                key_ids: vec![key.id],
                data_for_signing: hex::encode(payload),
                ..Default::default()
            }),
            Self::Transaction { key, transaction, chain, broadcast } => tx::any(&MsgNewSignTransactionRequest {
                creator,
                key_ids: vec![key.id],
                wallet_type: WalletType::Evm.into(),
                unsigned_transaction: transaction.encode().to_vec(),
                // The chain takes its id from here: it is not in the bytes.
                metadata: Some(tx::any(&MetadataEthereum { chain_id: *chain })),
                no_broadcast: !broadcast,
                ..Default::default()
            }),
        }
    }

    /// The gas limit of a transaction with that message alone.
    #[must_use]
    pub fn gas_limit(&self) -> u64 {
        let bytes = match self {
            Self::Key { .. } => return KEY_GAS,
            Self::Signature { payload, .. } => payload.len(),
            Self::Transaction { transaction, .. } => transaction.encode().len(),
        };
        SIGNATURE_GAS.saturating_add(GAS_PER_BYTE.saturating_mul(bytes as u64))
    }

    /// The request that the executed message has made. `None`: it was another message, or a policy of the workspace waits
    /// for approvals and nothing is made yet.
    #[must_use]
    pub fn filed(&self, receipt: &Receipt) -> Option<RequestId> {
        let id = match self {
            Self::Key { .. } => RequestId::key(receipt.response::<MsgNewKeyRequestResponse>()?.key_req_id),
            Self::Signature { .. } => {
                RequestId::signature(receipt.response::<MsgNewSignatureRequestResponse>()?.sig_req_id)
            }
            Self::Transaction { .. } => {
                let made: MsgNewSignTransactionRequestResponse = receipt.response()?;
                RequestId::signature(made.signature_request_id)
            }
        };
        (id.number > 0).then_some(id)
    }

    /// Whether the chain has recorded exactly this.
    #[must_use]
    pub fn is_recorded_as(&self, request: &Request, creator: &str) -> bool {
        let is_this = match (self, &request.ask) {
            (Self::Key { key_type, keyring, workspace }, Ask::Key { key_type: of, keyring: by, workspace: at }) => {
                (key_type, keyring, workspace) == (of, by, at)
            }
            (
                Self::Signature { key, .. } | Self::Transaction { key, .. },
                Ask::Signature { key: by, key_type, payload },
            ) => (key.id, key.key_type, &self.payload()) == (*by, *key_type, payload),
            _ => false,
        };
        is_this && request.creator == creator
    }

    /// Judges what the chain shows of a request that it calls fulfilled.
    ///
    /// # Errors
    /// [`Unverified`]: do not use any of it.
    pub fn judge(&self, shown: &[u8]) -> Result<Verified, Unverified> {
        let key = match self {
            Self::Key { key_type, .. } => {
                let bytes = Question::Key(*key_type).canonical(shown)?.bytes().to_vec();
                return Ok(Verified { bytes, transaction: None });
            }
            Self::Signature { key, .. } | Self::Transaction { key, .. } => key,
        };
        let (key_type, public_key) = (key.key_type, key.public_key.clone());
        let raw = match key_type {
            KeyType::BitcoinSecp256k1 => der::decode(shown).ok_or(Unverified::Der)?.to_vec(),
            KeyType::EcdsaSecp256k1 | KeyType::EddsaEd25519 => shown.to_vec(),
        };
        let answer = Question::Signature { key_type, public_key, payload: self.payload() }.canonical(&raw)?;
        let bytes = answer.bytes().to_vec();
        let transaction = match (self, bytes.as_slice()) {
            (Self::Transaction { transaction, chain, .. }, [r_s @ .., parity]) if r_s.len() == 64 => {
                let (r, s) = r_s.split_at(32);
                let raw = transaction.signed(*chain, U256::from_be_slice(r), U256::from_be_slice(s), *parity);
                Some((raw.clone(), keccak256(&raw)))
            }
            _ => None,
        };
        Ok(Verified { bytes, transaction })
    }
}

/// The treasury's word for a key type.
const fn spelled(key_type: KeyType) -> &'static str {
    match key_type {
        KeyType::EcdsaSecp256k1 => "ecdsa",
        KeyType::EddsaEd25519 => "ed25519",
        KeyType::BitcoinSecp256k1 => "bitcoin",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::{TxKind, address};
    use ed25519_dalek::Signer as _;
    use k256::ecdsa::SigningKey;
    use prost::Message as _;
    use std::collections::BTreeSet;

    use crate::name::Height;
    use crate::request::Status;

    fn secret() -> SigningKey {
        SigningKey::from_slice(&[0x22; 32]).unwrap()
    }

    fn key(key_type: KeyType) -> ChainKey {
        let public_key = match key_type {
            KeyType::EddsaEd25519 => edwards().verifying_key().to_bytes().to_vec(),
            _ => secret().verifying_key().to_sec1_bytes().to_vec(),
        };
        let (workspace, keyring) = ("workspace1x".to_owned(), "keyring1x".to_owned());
        ChainKey { id: 7, key_type, public_key, workspace, keyring, is_deposit: false }
    }

    fn edwards() -> ed25519_dalek::SigningKey {
        ed25519_dalek::SigningKey::from_bytes(&[0x33; 32])
    }

    /// The legacy transaction among the facts' worked examples.
    fn transaction() -> LegacyTransaction {
        LegacyTransaction {
            nonce: 0,
            gas_price: 1_000_000_000,
            gas_limit: 21_000,
            to: TxKind::Call(address!("ea223ca8968ca59e0bc79ba331c2f6f636a3fb82")),
            value: U256::from(10_u64.pow(18)),
            data: Bytes::new(),
        }
    }

    fn wished(broadcast: bool) -> Wish {
        Wish::transaction(key(KeyType::EcdsaSecp256k1), transaction(), 11_155_111, broadcast).unwrap()
    }

    fn signed(digest: &[u8]) -> Vec<u8> {
        let (signature, recovery) = secret().sign_prehash_recoverable(digest).unwrap();
        let mut bytes = signature.to_bytes().to_vec();
        bytes.push(recovery.to_byte());
        bytes
    }

    #[test]
    fn a_transaction_is_asked_for_as_in_the_example() {
        let message = wished(true).message("zen1x");
        assert_eq!(message.type_url, "/zrchain.treasury.MsgNewSignTransactionRequest");
        let message = MsgNewSignTransactionRequest::decode(message.value.as_slice()).unwrap();
        assert_eq!(
            hex::encode(&message.unsigned_transaction),
            "eb80843b9aca0082520894ea223ca8968ca59e0bc79ba331c2f6f636a3fb82880de0b6b3a764000080808080"
        );
        assert_eq!(
            hex::encode(message.metadata.unwrap().encode_to_vec()),
            "0a222f7a72636861696e2e74726561737572792e4d65746164617461457468657265756d120508a7eda805"
        );
        assert!(!message.no_broadcast && message.creator == "zen1x");
        assert_eq!(
            hex::encode(wished(true).payload()),
            "27fc877e78d40db26feb93a3e958e2d6ab7f82946b920c195d5b87e1520c64e3"
        );
        let quiet = wished(false).message("zen1x");
        assert!(MsgNewSignTransactionRequest::decode(quiet.value.as_slice()).unwrap().no_broadcast);
    }

    #[test]
    fn a_key_signs_what_its_type_signs() {
        for key_type in [KeyType::EcdsaSecp256k1, KeyType::BitcoinSecp256k1] {
            assert!(Wish::signature(key(key_type), &[7; 32]).is_ok());
            for length in [0, 31, 33, 64] {
                assert!(Wish::signature(key(key_type), &vec![7; length]).is_err(), "{key_type} {length}");
            }
            let is_ecdsa = key_type == KeyType::EcdsaSecp256k1;
            assert_eq!(Wish::transaction(key(key_type), transaction(), 1, false).is_ok(), is_ecdsa);
        }
        for (length, fits) in [(0, false), (1, true), (999, true), (1_000, false)] {
            assert_eq!(Wish::signature(key(KeyType::EddsaEd25519), &vec![7; length]).is_ok(), fits, "{length}");
        }
    }

    #[test]
    fn an_answer_is_verified_under_the_chains_own_rule() {
        let payload = [7; 32];
        let ecdsa = Wish::signature(key(KeyType::EcdsaSecp256k1), &payload).unwrap();
        let answer = signed(&payload);
        assert_eq!(ecdsa.judge(&answer).unwrap(), Verified { bytes: answer.clone(), transaction: None });
        assert_eq!(ecdsa.judge(&signed(&[8; 32])), Err(Unverified::Answer(AnswerError::Unverified)));
        assert!(ecdsa.judge(&answer[..63]).is_err());

        let bitcoin = Wish::signature(key(KeyType::BitcoinSecp256k1), &payload).unwrap();
        let r_s: [u8; 64] = answer[..64].try_into().unwrap();
        assert_eq!(bitcoin.judge(&der::encode(&r_s)).unwrap().bytes, r_s);
        assert_eq!(bitcoin.judge(&r_s), Err(Unverified::Der));

        let eddsa = Wish::signature(key(KeyType::EddsaEd25519), b"a message").unwrap();
        assert!(eddsa.judge(&edwards().sign(b"a message").to_bytes()).is_ok());
        assert!(eddsa.judge(&edwards().sign(b"another").to_bytes()).is_err());

        let wanted = |key_type| Wish::Key { key_type, keyring: String::new(), workspace: String::new() };
        let public = key(KeyType::EcdsaSecp256k1).public_key;
        assert_eq!(wanted(KeyType::EcdsaSecp256k1).judge(&public).unwrap().bytes, public);
        assert!(wanted(KeyType::EddsaEd25519).judge(&public).is_err());
    }

    #[test]
    fn a_verified_transaction_is_ready_to_be_sent() {
        let wish = wished(false);
        let (raw, hash) = wish.judge(&signed(&wish.payload())).unwrap().transaction.unwrap();
        assert_eq!(hash, keccak256(&raw));
        // v of EIP-155 for the chain, behind it r and s.
        assert!(hex::encode(&raw).contains("8401546d7"), "{}", hex::encode(&raw));
        assert!(wish.judge(&signed(&keccak256(transaction().encode()).0)).is_err(), "the payload's own hash");
    }

    #[test]
    fn what_the_chain_has_recorded_is_this_wish_and_no_other() {
        let wish = wished(false);
        let ask = |payload: Vec<u8>, key_type| Ask::Signature { key: 7, key_type, payload };
        let recorded = |ask: Ask, creator: &str| Request {
            id: RequestId::signature(1),
            creator: creator.to_owned(),
            ask,
            deadline: Some(Height(1)),
            parent: None,
            status: Status::Fulfilled,
            answered_by: BTreeSet::new(),
            shown: Vec::new(),
            reject_reason: String::new(),
            record_bytes: 0,
        };
        let good = ask(wish.payload(), KeyType::EcdsaSecp256k1);
        assert!(wish.is_recorded_as(&recorded(good.clone(), "zen1x"), "zen1x"));
        assert!(!wish.is_recorded_as(&recorded(good, "zen1y"), "zen1x"));
        let group = Ask::Group { keys: vec![7], items: 1, children: Vec::new() };
        for other in [ask(vec![7; 32], KeyType::EcdsaSecp256k1), ask(wish.payload(), KeyType::BitcoinSecp256k1), group]
        {
            assert!(!wish.is_recorded_as(&recorded(other.clone(), "zen1x"), "zen1x"), "{other:?}");
        }
    }
}
