//! Finished signatures: made from partials, verified by independent libraries, in the one canonical form.
//!
//! Needs only public data, so that parties outside the signer set finish the same signature from the same partials.

use std::collections::BTreeMap;

use ed25519_dalek::VerifyingKey as EddsaKey;
use generic_ec::{
    Point, Scalar,
    curves::{Ed25519, Secp256k1},
};
use k256::ecdsa::{RecoveryId, Signature as EcdsaSignature, VerifyingKey as EcdsaKey};
use serde::{Deserialize, Serialize};

use crate::{
    ecdsa::x_scalar,
    party::{PartyIndex, SignerSet},
    share::KeyInfo,
    signing::{NoncePoint, Partial, Payload},
    suite::{SCALAR_LEN, Suite, point_from_bytes, scalar_from_be},
};

/// A finished signature in canonical form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Signature {
    /// ECDSA over secp256k1.
    Ecdsa {
        /// r ‖ s, 32 bytes big-endian each, s in the lower half.
        #[serde(with = "serde_bytes")]
        bytes: [u8; 64],
        /// Which public key the signature recovers to: the parity of the nonce point, 0 or 1. (2 and 3, an r beyond the group order,
        /// exist with probability 2⁻¹²⁷.)
        recovery: u8,
    },
    /// Ed25519: R ‖ s as in RFC 8032.
    Eddsa(#[serde(with = "serde_bytes")] [u8; 64]),
}

/// Why partials do not make a signature, cut by what to do next.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CombineError {
    /// The inputs contradict one another: signers, key and payload are not of one run. Nothing to wait for.
    #[error("{what} does not fit the key: combine what belongs to one run")]
    Misfit {
        /// Which input.
        what: &'static str,
    },
    /// Wait for these, or ask for them.
    #[error("partials are missing from {missing:?}")]
    Incomplete {
        /// Signers without a partial.
        missing: Vec<PartyIndex>,
    },
    /// This signer's partial is not even a scalar.
    #[error("partial of {signer:?} is no scalar")]
    Malformed {
        /// The culprit.
        signer: PartyIndex,
    },
    /// The sum does not verify: at least one partial, or the nonce point, is wrong. A signer can find out whose
    /// ([`crate::Commitments::check`]).
    #[error("the combined signature does not verify: a partial or the nonce point is wrong")]
    Invalid,
}

/// Adds up the partials of all `signers` and verifies the result under the key.
///
/// # Errors
/// [`CombineError`], cut by what to do next. A signature that is returned has verified.
pub fn combine(
    key: &KeyInfo,
    payload: &Payload,
    signers: &SignerSet,
    nonce: &NoncePoint,
    partials: &BTreeMap<PartyIndex, Partial>,
) -> Result<Signature, CombineError> {
    if !signers.fits(key.threshold()) {
        return Err(CombineError::Misfit { what: "signer set" });
    }
    let missing: Vec<_> = signers.iter().filter(|signer| !partials.contains_key(signer)).collect();
    if !missing.is_empty() {
        return Err(CombineError::Incomplete { missing });
    }
    let owed = signers.iter().filter_map(|signer| partials.get(&signer).map(|partial| (signer, partial)));
    let signature = match (key.suite(), payload) {
        (Suite::Secp256k1, Payload::Digest(_)) => combine_ecdsa(nonce, owed)?,
        (Suite::Ed25519, Payload::Message(_)) => combine_eddsa(nonce, owed)?,
        _ => return Err(CombineError::Misfit { what: "payload" }),
    };
    if signature.verify(key.group_key(), payload) { Ok(signature) } else { Err(CombineError::Invalid) }
}

fn combine_ecdsa<'a>(
    nonce: &NoncePoint,
    partials: impl Iterator<Item = (PartyIndex, &'a Partial)>,
) -> Result<Signature, CombineError> {
    let point = point_from_bytes::<Secp256k1>(nonce.as_bytes()).ok_or(CombineError::Misfit { what: "nonce point" })?;
    let mut s = Scalar::<Secp256k1>::zero();
    for (signer, partial) in partials {
        s += scalar_from_be::<Secp256k1>(partial.as_bytes()).ok_or(CombineError::Malformed { signer })?;
    }
    let mut bytes = [0u8; 64];
    let (r_bytes, s_bytes) = bytes.split_at_mut(SCALAR_LEN);
    r_bytes.copy_from_slice(x_scalar(&point).to_be_bytes().as_bytes());
    s_bytes.copy_from_slice(s.to_be_bytes().as_bytes());
    // The nonce point says what recovery needs: the parity of y, which a negated s turns round, and whether x lost the group order.
    let odd = nonce.as_bytes().first() == Some(&0x03);
    let reduced = nonce.as_bytes().get(1..) != bytes.get(..SCALAR_LEN);
    let signature = EcdsaSignature::from_slice(&bytes).map_err(|_| CombineError::Invalid)?;
    let lowered = signature.normalize_s();
    let recovery = RecoveryId::new(odd != lowered.is_some(), reduced);
    let bytes = lowered.unwrap_or(signature).to_bytes().into();
    Ok(Signature::Ecdsa { bytes, recovery: recovery.to_byte() })
}

fn combine_eddsa<'a>(
    nonce: &NoncePoint,
    partials: impl Iterator<Item = (PartyIndex, &'a Partial)>,
) -> Result<Signature, CombineError> {
    let point = point_from_bytes::<Ed25519>(nonce.as_bytes()).ok_or(CombineError::Misfit { what: "nonce point" })?;
    let mut s = Scalar::<Ed25519>::zero();
    for (signer, partial) in partials {
        let exact: &[u8; SCALAR_LEN] = partial.as_bytes().try_into().map_err(|_| CombineError::Malformed { signer })?;
        s += Scalar::<Ed25519>::from_le_bytes(exact).map_err(|_| CombineError::Malformed { signer })?;
    }
    let mut bytes = [0u8; 64];
    let (r_bytes, s_bytes) = bytes.split_at_mut(SCALAR_LEN);
    r_bytes.copy_from_slice(Point::to_bytes(&point, true).as_bytes());
    s_bytes.copy_from_slice(s.to_le_bytes().as_bytes());
    Ok(Signature::Eddsa(bytes))
}

impl Signature {
    /// Whether this is a valid, canonical signature of `payload` under `group_key`: k256 with low s and matching recovery id, or strict
    /// Ed25519.
    pub fn verify(&self, group_key: &[u8], payload: &Payload) -> bool {
        match (self, payload) {
            (Self::Ecdsa { bytes, recovery }, Payload::Digest(digest)) => {
                verify_ecdsa(group_key, digest, bytes, *recovery).is_some()
            }
            (Self::Eddsa(bytes), Payload::Message(message)) => verify_eddsa(group_key, message, bytes).is_some(),
            _ => false,
        }
    }
}

fn verify_ecdsa(group_key: &[u8], digest: &[u8; 32], bytes: &[u8; 64], recovery: u8) -> Option<()> {
    let signature = EcdsaSignature::from_slice(bytes).ok()?;
    if signature.normalize_s().is_some() {
        return None;
    }
    let group = EcdsaKey::from_sec1_bytes(group_key).ok()?;
    // Recovers the key and verifies the signature under it.
    let recovered = EcdsaKey::recover_from_prehash(digest, &signature, RecoveryId::from_byte(recovery)?).ok()?;
    (recovered == group).then_some(())
}

fn verify_eddsa(group_key: &[u8], message: &[u8], bytes: &[u8; 64]) -> Option<()> {
    let group = EddsaKey::from_bytes(group_key.try_into().ok()?).ok()?;
    group.verify_strict(message, &ed25519_dalek::Signature::from_bytes(bytes)).ok()
}
