//! Threshold ECDSA behind an engine border: who makes the nonce is exchangeable, what is done with it is not.
//!
//! An engine turns a key share, and its auxiliary data, into one [`Presigned`]: a nonce shared among the signers, with public commitments
//! to every signer's part. Issuing, checking and combining partial signatures is the same for all engines and lives here.
//!
//! For a nonce point Γ with r = x(Γ), signer j holds k̃ⱼ and χ̃ⱼ, everybody knows Δ̃ⱼ = k̃ⱼ·Γ and S̃ⱼ = χ̃ⱼ·Γ, the partial signature over m is
//! σⱼ = k̃ⱼ·m + r·χ̃ⱼ, and the signature is (r, Σσⱼ). A partial is right exactly if σⱼ·Γ = m·Δ̃ⱼ + r·S̃ⱼ.
//!
//! Source: Canetti et al. (ePrint 2021/060, revision of 2024), presigning and signing.

mod bind;
mod cggmp24;
#[cfg(feature = "testing")]
mod transparent;

use std::{collections::BTreeMap, sync::Arc};

use generic_ec::{Curve, NonZero, Point, Scalar, SecretScalar, coords::AlwaysHasAffineX, curves::Secp256k1};
use rand_core::CryptoRngCore;

pub(crate) use bind::{Bound, begin};
pub use cggmp24::Cggmp24;
#[cfg(feature = "testing")]
pub use transparent::Transparent;

use crate::{
    aux::{AuxInfo, AuxInput},
    party::{PartyIndex, SignerSet},
    session::{Session, SessionId},
    share::KeyShare,
    signing::Partial,
    suite::{point_bytes, scalar_from_be},
};

/// A way to make shared ECDSA nonces.
///
/// Engines live in this crate: what they need ([`AuxInput`], [`PresignInput`]) and yield ([`Presigned`]) cannot be made or opened outside,
/// so that no nonce exists that is not already bound to a digest.
pub trait EcdsaEngine: Send + Sync {
    /// The engine's name, for logs and status.
    fn name(&self) -> &'static str;

    /// Bits of each of the four safe primes that a party brings to [`EcdsaEngine::auxiliary`].
    fn prime_bits(&self) -> u32;

    /// Begins the run that makes this engine's auxiliary data; called by [`crate::aux::begin`].
    fn auxiliary(&self, input: AuxInput, rng: &mut dyn CryptoRngCore) -> Box<dyn Session<Output = AuxInfo>>;

    /// Begins the run that makes one nonce; called by [`crate::signing::begin`].
    fn presign(&self, input: PresignInput, rng: &mut dyn CryptoRngCore) -> Box<dyn Session<Output = Presigned>>;
}

/// What a nonce-making run is begun with; made by [`crate::signing::begin`] only, once the digest is fixed.
pub struct PresignInput {
    pub(crate) session: SessionId,
    pub(crate) me: PartyIndex,
    pub(crate) signers: SignerSet,
    pub(crate) share: Arc<KeyShare>,
    pub(crate) aux: Option<Arc<AuxInfo>>,
    /// Hash of what will be signed: part of the run's name, so that signers who differ in it never get to a nonce.
    pub(crate) payload: [u8; 32],
}

/// A fresh nonce shared among the signers, this signer's secret part of it, and the public commitments.
///
/// Neither `Clone` nor serializable; consumed by the one partial signature it is for.
pub struct Presigned {
    pub(crate) nonce: NonZero<Point<Secp256k1>>,
    pub(crate) tilde_k: SecretScalar<Secp256k1>,
    pub(crate) tilde_chi: SecretScalar<Secp256k1>,
    pub(crate) commitments: BTreeMap<PartyIndex, Commitment>,
}

/// Δ̃ⱼ and S̃ⱼ of one signer.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Commitment {
    pub(crate) tilde_delta: Point<Secp256k1>,
    pub(crate) tilde_s: Point<Secp256k1>,
}

/// The public half of a [`Presigned`].
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct PublicNonce {
    pub(crate) nonce: NonZero<Point<Secp256k1>>,
    pub(crate) commitments: BTreeMap<PartyIndex, Commitment>,
}

impl PublicNonce {
    /// Whether `partial` is `signer`'s right contribution over `digest`.
    pub(crate) fn check(&self, digest: &[u8; 32], signer: PartyIndex, partial: &Partial) -> bool {
        let Some(commitment) = self.commitments.get(&signer) else { return false };
        let Some(sigma) = scalar_from_be::<Secp256k1>(partial.as_bytes()) else { return false };
        let (m, r) = (message_scalar(digest), x_scalar(&self.nonce));
        sigma * self.nonce == m * commitment.tilde_delta + r * commitment.tilde_s
    }

    /// The parts that a digest of the public data covers, in order.
    pub(crate) fn parts(&self) -> Vec<Vec<u8>> {
        let mut parts = vec![point_bytes::<Secp256k1>(&self.nonce)];
        for (signer, commitment) in &self.commitments {
            parts.push(signer.get().to_be_bytes().to_vec());
            parts.push(point_bytes::<Secp256k1>(&commitment.tilde_delta));
            parts.push(point_bytes::<Secp256k1>(&commitment.tilde_s));
        }
        parts
    }
}

/// The digest as the scalar that ECDSA signs.
pub(crate) fn message_scalar(digest: &[u8; 32]) -> Scalar<Secp256k1> {
    Scalar::from_be_bytes_mod_order(digest)
}

/// r of a nonce point.
pub(crate) fn x_scalar<E: Curve>(point: &NonZero<Point<E>>) -> Scalar<E>
where
    NonZero<Point<E>>: AlwaysHasAffineX<E>,
{
    point.x().to_scalar()
}
