//! Threshold Ed25519 by FROST: one round of commitments, then one share of the signature each.
//!
//! The session is the commitment round; the share comes from [`crate::Ready::issue`]. Every signer sends every other the same two
//! commitments. A signer who tells different parties different ones gains nothing but a failed signature (the binding factor covers all
//! commitments and the message); the digests of the commitments, which signers report with their partials, show it.
//!
//! Source: Komlo and Goldberg 2020 (ePrint 2020/852); RFC 9591, ciphersuite FROST(Ed25519, SHA-512). Departure: no coordinator, everybody
//! holds all commitments.

use std::collections::BTreeMap;

use frost_core::Group;
use frost_ed25519::{
    Ed25519Group, SigningPackage,
    keys::KeyPackage,
    round1::{NonceCommitment, SigningCommitments, SigningNonces, commit},
    round2::{self, SignatureShare},
};
use rand_core::CryptoRngCore;

use crate::{
    abort::Abort,
    exchange::Exchange,
    party::{PartyIndex, SignerSet},
    session::{Session, SessionId, own_randomness},
    share::{KeyInfo, KeyShare, identifier},
    signing::{Partial, Payload, Ready},
    wire::{Protocol, Run},
};

/// Hiding and binding commitment, 32 bytes each.
const POINT_LEN: usize = 32;

/// A nonce bound to its message and its signers. Consumed by [`Bound::issue`].
pub(crate) struct Bound {
    share: SignatureShare,
    public: PublicNonce,
}

/// The commitments of all signers and the point they make.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct PublicNonce {
    package: SigningPackage,
    signers: Vec<PartyIndex>,
    nonce: Vec<u8>,
}

pub(crate) fn begin(
    session: SessionId,
    me: PartyIndex,
    signers: &SignerSet,
    share: &KeyShare,
    message: Vec<u8>,
    rng: &mut dyn CryptoRngCore,
) -> Result<Box<dyn Session<Output = Ready>>, Abort> {
    let key = share.frost_package().ok_or_else(|| Abort::local("key share is not one of ed25519"))?;
    let terms: [&[u8]; 2] = [&Payload::Message(message.clone()).digest(), &share.info().shares_digest()];
    let run = Run::new(Protocol::CommitFrost, session, me, signers.as_slice().to_vec(), &terms)?;
    let (nonces, own) = commit(key.signing_share(), &mut own_randomness(rng));
    let said = write(&own).map_err(local)?;
    let finish = move |mut heard: BTreeMap<PartyIndex, SigningCommitments>| {
        heard.insert(me, own);
        bind(&key, &nonces, heard, &message).map(Ready::eddsa).map_err(local)
    };
    Ok(Exchange::boxed(run, said, read, finish))
}

fn local(error: frost_ed25519::Error) -> Abort {
    Abort::local(format!("frost refuses its own inputs: {error}"))
}

fn write(commitments: &SigningCommitments) -> Result<Vec<u8>, frost_ed25519::Error> {
    Ok([commitments.hiding().serialize()?, commitments.binding().serialize()?].concat())
}

/// Two points of prime order, neither the identity, or nothing.
fn read(bytes: &[u8]) -> Option<SigningCommitments> {
    let (hiding, binding) = bytes.split_at_checked(POINT_LEN)?;
    Some(SigningCommitments::new(
        NonceCommitment::deserialize(hiding).ok()?,
        NonceCommitment::deserialize(binding).ok()?,
    ))
}

/// Computes the share at once, so that the nonces end here: what is kept is what may be sent.
fn bind(
    key: &KeyPackage,
    nonces: &SigningNonces,
    commitments: BTreeMap<PartyIndex, SigningCommitments>,
    message: &[u8],
) -> Result<Bound, frost_ed25519::Error> {
    let signers = commitments.keys().copied().collect();
    let commitments = commitments
        .into_iter()
        .map(|(party, commitments)| Ok((identifier(party)?, commitments)))
        .collect::<Result<_, frost_ed25519::Error>>()?;
    let package = SigningPackage::new(commitments, message);
    let share = round2::sign(&package, nonces, key)?;
    let binding = frost_core::compute_binding_factor_list(&package, key.verifying_key(), &[])?;
    let nonce = frost_core::compute_group_commitment(&package, &binding)?.to_element();
    let nonce = Ed25519Group::serialize(&nonce)?.to_vec();
    Ok(Bound { share, public: PublicNonce { package, signers, nonce } })
}

impl Bound {
    pub(crate) fn issue(self) -> (Partial, PublicNonce) {
        (Partial::from_bytes(self.share.serialize()), self.public)
    }
}

impl PublicNonce {
    pub(crate) fn nonce(&self) -> &[u8] {
        &self.nonce
    }

    /// Whether `partial` is `signer`'s right share of the signature over `message`.
    pub(crate) fn check(&self, key: &KeyInfo, message: &[u8], signer: PartyIndex, partial: &Partial) -> bool {
        if self.package.message() != message {
            return false;
        }
        self.verify(key, signer, partial).is_some()
    }

    fn verify(&self, key: &KeyInfo, signer: PartyIndex, partial: &Partial) -> Option<()> {
        let share = SignatureShare::deserialize(partial.as_bytes()).ok()?;
        let (public_share, group_key) = (key.frost_share(signer)?, key.frost_group_key()?);
        let name = identifier(signer).ok()?;
        frost_core::verify_signature_share(name, &public_share, &share, &self.package, &group_key).ok()
    }

    /// The parts that a digest of the public data covers, in order.
    pub(crate) fn parts(&self) -> Vec<Vec<u8>> {
        let mut parts = vec![self.nonce.clone()];
        for signer in &self.signers {
            parts.push(signer.get().to_be_bytes().to_vec());
            let said = identifier(*signer).ok().and_then(|name| self.package.signing_commitment(&name));
            parts.push(said.and_then(|said| write(&said).ok()).unwrap_or_default());
        }
        parts
    }
}
