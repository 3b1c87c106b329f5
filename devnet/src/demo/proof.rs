//! Verdicts by other people's code: libsecp256k1 for both secp256k1 key types, ed25519-dalek for Ed25519.
//!
//! Refuses to know requests. Nothing here may share code with what makes or canonicalises the answers.

use bitcoin::secp256k1::ecdsa::Signature;
use bitcoin::secp256k1::{Message, PublicKey, Secp256k1};
use ed25519_dalek::{Signature as Ed25519Signature, VerifyingKey};

/// Why an answer does not count, though the chain says FULFILLED.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unverified {
    /// Bytes that are not what they should be.
    #[error("{what} is malformed: {why}")]
    Malformed {
        /// Of what.
        what: &'static str,
        /// What the library says.
        why: String,
    },
    /// The chain shows something else than what was asked for or than what follows from the key.
    #[error("{what} is {shown}, expected {expected}")]
    Differs {
        /// Of what.
        what: &'static str,
        /// What the chain shows.
        shown: String,
        /// What follows from the question.
        expected: String,
    },
    /// A well-formed signature of something else or by somebody else.
    #[error("signature does not verify under the key")]
    Signature,
}

impl Unverified {
    pub(crate) fn malformed(what: &'static str, why: impl ToString) -> Self {
        Self::Malformed { what, why: why.to_string() }
    }
}

/// Nothing if both are equal.
///
/// # Errors
/// [`Unverified::Differs`].
pub(crate) fn same<T: AsRef<[u8]>>(what: &'static str, shown: T, expected: T) -> Result<(), Unverified> {
    let (shown, expected) = (shown.as_ref(), expected.as_ref());
    if shown == expected {
        return Ok(());
    }
    Err(Unverified::Differs { what, shown: hex::encode(shown), expected: hex::encode(expected) })
}

/// `r‖s` over a digest; `s` in the upper half does not verify.
///
/// # Errors
/// When it does not verify or is no signature.
pub(crate) fn compact(public_key: &[u8], digest: &[u8], r_s: &[u8]) -> Result<(), Unverified> {
    let signature = Signature::from_compact(r_s).map_err(|why| Unverified::malformed("signature", why))?;
    ecdsa(public_key, digest, &signature)
}

/// DER over a digest, as Bitcoin has it; `s` in the upper half does not verify.
///
/// # Errors
/// When it does not verify or is no signature.
pub(crate) fn der(public_key: &[u8], digest: &[u8], der: &[u8]) -> Result<Signature, Unverified> {
    let signature = Signature::from_der(der).map_err(|why| Unverified::malformed("signature", why))?;
    ecdsa(public_key, digest, &signature)?;
    Ok(signature)
}

fn ecdsa(public_key: &[u8], digest: &[u8], signature: &Signature) -> Result<(), Unverified> {
    let key = PublicKey::from_slice(public_key).map_err(|why| Unverified::malformed("public key", why))?;
    let digest = digest.try_into().map_err(|_| Unverified::malformed("digest", "not 32 bytes"))?;
    let message = Message::from_digest(digest);
    Secp256k1::verification_only().verify_ecdsa(&message, signature, &key).map_err(|_| Unverified::Signature)
}

/// Ed25519 over a whole message, strictly.
///
/// # Errors
/// When it does not verify or is no signature.
pub(crate) fn ed25519(public_key: &[u8], message: &[u8], signature: &[u8]) -> Result<(), Unverified> {
    let key = public_key.try_into().map_err(|_| Unverified::malformed("public key", "not 32 bytes"))?;
    let key = VerifyingKey::from_bytes(key).map_err(|why| Unverified::malformed("public key", why))?;
    let signature = Ed25519Signature::from_slice(signature).map_err(|why| Unverified::malformed("signature", why))?;
    key.verify_strict(message, &signature).map_err(|_| Unverified::Signature)
}
