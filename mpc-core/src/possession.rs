//! Proof that a party holds its share of a key, made for one context.
//!
//! A Schnorr proof of knowledge of the own share, non-interactive by a tagged hash over suite, group key, all public shares, party, the
//! caller's context and the commitment. A proof for one party, key or context is worth nothing for another.
//!
//! Source: Schnorr 1991, "Efficient signature generation by smart cards"; Fiat and Shamir 1986 for the hash.

use std::fmt;

use generic_ec::{Point, Scalar, SecretScalar};
use rand_core::CryptoRngCore;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::{
    party::PartyIndex,
    share::{KeyCurve, KeyInfo, KeyShare, Points, PublicShares, Secret},
    suite::{Suite, point_bytes, point_from_bytes, scalar_from_be},
    tag,
};

/// A proof of possession: commitment point (33 or 32 bytes) and response (32 bytes, big-endian). Public.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Possession(#[serde(with = "serde_bytes")] Vec<u8>);

impl Possession {
    /// A proof as it was received. Any bytes will do; wrong ones do not verify.
    pub fn from_bytes(bytes: impl Into<Vec<u8>>) -> Self {
        Self(bytes.into())
    }

    /// The proof's bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Possession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "possession ({} bytes)", self.0.len())
    }
}

impl KeyShare {
    /// Proves for `context` that this party holds its share.
    ///
    /// The nonce is hashed from the share, fresh randomness and the statement: a repeated random value alone does not leak the share.
    pub fn prove(&self, context: &[u8], rng: &mut dyn CryptoRngCore) -> Possession {
        let bytes = match (self.secret(), self.info().points()) {
            (Secret::Secp256k1(secret), Points::Secp256k1(points)) => self.prove_on(points, secret, context, rng),
            (Secret::Ed25519(secret), Points::Ed25519(points)) => self.prove_on(points, secret, context, rng),
            // Both halves are built on one curve; a proof of nothing verifies nowhere.
            (Secret::Secp256k1(_), Points::Ed25519(_)) | (Secret::Ed25519(_), Points::Secp256k1(_)) => Vec::new(),
        };
        Possession(bytes)
    }

    fn prove_on<E: KeyCurve>(
        &self,
        points: &PublicShares<E>,
        secret: &impl AsRef<Scalar<E>>,
        context: &[u8],
        rng: &mut dyn CryptoRngCore,
    ) -> Vec<u8> {
        let mut fresh = Zeroizing::new([0u8; 32]);
        rng.fill_bytes(fresh.as_mut());
        let own = Zeroizing::new(secret.as_ref().to_be_bytes().to_vec());
        let party = self.party().get().to_be_bytes();
        let wide = Zeroizing::new(tag::POSSESSION_NONCE.wide_hash([own.as_slice(), fresh.as_slice(), &party, context]));
        let nonce = SecretScalar::<E>::new(&mut Scalar::from_be_bytes_mod_order(wide.as_slice()));

        let commitment = point_bytes::<E>(&(Point::generator() * &nonce));
        let challenge = challenge::<E>(self.info(), points, self.party(), context, &commitment);
        let response = nonce.as_ref() + challenge * secret.as_ref();
        let mut proof = commitment;
        proof.extend_from_slice(response.to_be_bytes().as_bytes());
        proof
    }
}

impl KeyInfo {
    /// Whether `proof` shows that `party` holds its share of this key, and was made for `context`.
    pub fn verify_possession(&self, party: PartyIndex, context: &[u8], proof: &Possession) -> bool {
        match self.points() {
            Points::Secp256k1(points) => self.verify_on(points, party, context, proof),
            Points::Ed25519(points) => self.verify_on(points, party, context, proof),
        }
        .is_some()
    }

    fn verify_on<E: KeyCurve>(
        &self,
        points: &PublicShares<E>,
        party: PartyIndex,
        context: &[u8],
        proof: &Possession,
    ) -> Option<()> {
        let share = points.shares.get(usize::from(party.get()))?;
        let (commitment, response) = proof.0.split_at_checked(Suite::point_len(E::SUITE))?;
        let committed = point_from_bytes::<E>(commitment)?;
        let response = scalar_from_be::<E>(response)?;
        let challenge = challenge::<E>(self, points, party, context, commitment);
        (Point::generator() * response == committed + challenge * share).then_some(())
    }
}

fn challenge<E: KeyCurve>(
    info: &KeyInfo,
    points: &PublicShares<E>,
    party: PartyIndex,
    context: &[u8],
    commitment: &[u8],
) -> Scalar<E> {
    let share = points.shares.get(usize::from(party.get())).map(|share| point_bytes::<E>(share)).unwrap_or_default();
    let wide = tag::POSSESSION.wide_hash([
        [E::SUITE.byte()].as_slice(),
        info.group_key(),
        &info.shares_digest(),
        &party.get().to_be_bytes(),
        &share,
        context,
        commitment,
    ]);
    Scalar::from_be_bytes_mod_order(wide)
}
