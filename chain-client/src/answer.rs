//! The bytes we publish: **the one place where an answer takes its form**, and the check that the chain will take it.
//!
//! Refuses to know who computed an answer or why. It owes two things: for one question and one result there is exactly
//! one byte string ([`Question::canonical`]), and no answer leaves this room that the chain's own rule would refuse,
//! because one wrong answer rejects the request for everybody. Rules: `docs/zrchain.md`, *Canonical bytes*.

pub mod der;

use ed25519_dalek::{Signature as Ed25519Signature, VerifyingKey as Ed25519Key};
use k256::ecdsa::signature::hazmat::PrehashVerifier;
use k256::ecdsa::{RecoveryId, Signature as EcdsaSignature, VerifyingKey as EcdsaKey};

use crate::name::KeyType;

/// What an answer answers: enough to verify it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Question {
    /// A new key of this type.
    Key(KeyType),
    /// A signature.
    Signature {
        /// The key's type.
        key_type: KeyType,
        /// The key: 33 bytes compressed, or 32 bytes for Ed25519.
        public_key: Vec<u8>,
        /// The digest (32 bytes), or the whole message for Ed25519.
        payload: Vec<u8>,
    },
}

/// Verified bytes in canonical form; the only thing that may be published.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Answer {
    bytes: Vec<u8>,
    shown_as: Vec<u8>,
}

/// Why a result is no answer. None of these may ever be published.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum AnswerError {
    /// Neither of the lengths that this kind of answer may have.
    #[error("{what} of {got} bytes, wanted {wanted}")]
    Length {
        /// What has the wrong length.
        what: &'static str,
        /// How long it is.
        got: usize,
        /// How long it must be.
        wanted: &'static str,
    },
    /// The chain turns away keys that begin with five zero bytes.
    #[error("public key begins with five zero bytes, which the chain refuses: use another key")]
    LeadingZeros,
    /// Not a point of the curve, or one of small order.
    #[error("public key is not a usable point of its curve")]
    NotAKey,
    /// Numbers out of range.
    #[error("signature is not a pair of numbers of its curve's range")]
    NotASignature,
    /// It does not verify under the key.
    #[error("signature does not verify under the key for this payload")]
    Unverified,
    /// Right in substance, but not the one form that is published.
    #[error("bytes are valid but not in canonical form")]
    NotCanonical,
}

impl Question {
    /// **The one function for canonical bytes**: from a raw result to what is published.
    ///
    /// * a key: 33 bytes compressed, or 32 bytes for Ed25519;
    /// * ECDSA: `r‖s‖v`, 65 bytes, `s` in the lower half, `v` 0 or 1 (relayers need it, and the chain would store the same);
    /// * Bitcoin: `r‖s`, 64 bytes, `s` in the lower half (the chain keeps DER);
    /// * Ed25519: 64 bytes.
    ///
    /// `raw` may carry `s` in either half; for secp256k1 it may be 64 bytes, or 65 whose last is not looked at.
    ///
    /// # Errors
    /// When the chain would refuse it, or it does not verify. Then nothing may be published.
    pub fn canonical(&self, raw: &[u8]) -> Result<Answer, AnswerError> {
        match self {
            Self::Key(key_type) => {
                check_key(*key_type, raw)?;
                Ok(Answer { bytes: raw.to_vec(), shown_as: raw.to_vec() })
            }
            Self::Signature { key_type: KeyType::EddsaEd25519, public_key, payload } => {
                let bytes = eddsa(public_key, payload, raw)?;
                Ok(Answer { bytes: bytes.clone(), shown_as: bytes })
            }
            Self::Signature { key_type: KeyType::EcdsaSecp256k1, public_key, payload } => {
                let (signature, recovery) = ecdsa(public_key, payload, raw)?;
                let mut bytes = signature.to_bytes().to_vec();
                bytes.push(recovery.to_byte());
                Ok(Answer { bytes: bytes.clone(), shown_as: bytes })
            }
            Self::Signature { key_type: KeyType::BitcoinSecp256k1, public_key, payload } => {
                let (signature, _) = ecdsa(public_key, payload, raw)?;
                let bytes: [u8; 64] = signature.to_bytes().into();
                Ok(Answer { bytes: bytes.to_vec(), shown_as: der::encode(&bytes) })
            }
        }
    }

    /// Takes bytes that somebody says are the canonical answer, such as decided bytes.
    ///
    /// # Errors
    /// When they do not verify, or are not exactly what [`Self::canonical`] makes of them.
    pub fn decided(&self, bytes: &[u8]) -> Result<Answer, AnswerError> {
        let answer = self.canonical(bytes)?;
        if answer.bytes == bytes { Ok(answer) } else { Err(AnswerError::NotCanonical) }
    }
}

impl Answer {
    /// What is published.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// What the chain shows once it has taken this answer.
    #[must_use]
    pub fn shown_as(&self) -> &[u8] {
        &self.shown_as
    }

    /// Whether everything the chain shows is this answer. Nothing shown agrees with everything; anything else shown
    /// means alarm and silence.
    #[must_use]
    pub fn agrees_with(&self, shown: &[Vec<u8>]) -> bool {
        shown.iter().all(|bytes| *bytes == self.shown_as)
    }
}

/// The chain's shape rule, and that the key is a point, which the chain does not check.
fn check_key(key_type: KeyType, key: &[u8]) -> Result<(), AnswerError> {
    let head = match key_type {
        KeyType::EcdsaSecp256k1 | KeyType::BitcoinSecp256k1 => {
            secp256k1_key(key)?;
            key.get(1..6)
        }
        KeyType::EddsaEd25519 => {
            ed25519_key(key)?;
            key.get(..5)
        }
    };
    if head.is_some_and(|head| head.iter().all(|&byte| byte == 0)) { Err(AnswerError::LeadingZeros) } else { Ok(()) }
}

fn secp256k1_key(key: &[u8]) -> Result<EcdsaKey, AnswerError> {
    if key.len() != 33 {
        return Err(AnswerError::Length { what: "secp256k1 public key", got: key.len(), wanted: "33 (compressed)" });
    }
    // The library also reads a form of 33 bytes that begins with 05; the chain does not.
    if !matches!(key, [2 | 3, ..]) {
        return Err(AnswerError::NotAKey);
    }
    EcdsaKey::from_sec1_bytes(key).map_err(|_| AnswerError::NotAKey)
}

fn ed25519_key(key: &[u8]) -> Result<Ed25519Key, AnswerError> {
    let bytes: &[u8; 32] =
        key.try_into().map_err(|_| AnswerError::Length { what: "ed25519 public key", got: key.len(), wanted: "32" })?;
    let key = Ed25519Key::from_bytes(bytes).map_err(|_| AnswerError::NotAKey)?;
    if key.is_weak() { Err(AnswerError::NotAKey) } else { Ok(key) }
}

/// Verifies with `s` in the lower half and finds the recovery id that leads back to the key.
fn ecdsa(public_key: &[u8], digest: &[u8], raw: &[u8]) -> Result<(EcdsaSignature, RecoveryId), AnswerError> {
    let key = secp256k1_key(public_key)?;
    if digest.len() != 32 {
        return Err(AnswerError::Length { what: "digest", got: digest.len(), wanted: "32" });
    }
    let r_s = match raw.len() {
        64 | 65 => &raw[..64],
        got => return Err(AnswerError::Length { what: "ecdsa signature", got, wanted: "64 or 65" }),
    };
    let signature = EcdsaSignature::from_slice(r_s).map_err(|_| AnswerError::NotASignature)?;
    let signature = signature.normalize_s().unwrap_or(signature);
    key.verify_prehash(digest, &signature).map_err(|_| AnswerError::Unverified)?;
    // The chain stores 0 or 1 only: an `r` above the group order (2 and 3) has no form that parties could agree on.
    [false, true]
        .map(|is_y_odd| RecoveryId::new(is_y_odd, false))
        .into_iter()
        .find(|&id| EcdsaKey::recover_from_prehash(digest, &signature, id).is_ok_and(|found| found == key))
        .map(|recovery| (signature, recovery))
        .ok_or(AnswerError::Unverified)
}

/// Verifies strictly: what passes here passes the chain's plain verification.
fn eddsa(public_key: &[u8], message: &[u8], raw: &[u8]) -> Result<Vec<u8>, AnswerError> {
    let key = ed25519_key(public_key)?;
    let bytes: &[u8; 64] =
        raw.try_into().map_err(|_| AnswerError::Length { what: "ed25519 signature", got: raw.len(), wanted: "64" })?;
    key.verify_strict(message, &Ed25519Signature::from_bytes(bytes)).map_err(|_| AnswerError::Unverified)?;
    Ok(bytes.to_vec())
}
