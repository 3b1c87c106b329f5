//! A toy engine for simulation: the nonce is public. One message round, microseconds of computation, no security at all.
//!
//! Every signer says its part kᵢ of the nonce in the clear; with k = Σkᵢ and R = k·G each contributes σᵢ = k⁻¹·(m/t + r·λᵢ·xᵢ). That is the
//! form of a real engine with k̃ᵢ = k⁻¹/t and χ̃ᵢ = k⁻¹·λᵢ·xᵢ, so everything behind the engine border (binding, partials, checks that name
//! a cheat, combining) is the real code. Anybody who saw the round can compute the signers' shares from their partials.

use std::collections::BTreeMap;

use generic_ec::{NonZero, Point, Scalar, SecretScalar, curves::Secp256k1};
use rand_core::CryptoRngCore;

use super::{Commitment, EcdsaEngine, PresignInput, Presigned};
use crate::{
    abort::Abort,
    aux::{AuxInfo, AuxInput},
    exchange::Exchange,
    party::{PartyIndex, SignerSet},
    session::{Refused, Session, own_randomness},
    share::{KeyShare, Points, PublicShares, Secret, weight_at_zero},
    suite::{exposed, scalar_from_be},
    wire::{Protocol, Run},
};

/// The insecure engine: for simulations that need thousands of signatures a second. Its auxiliary data is empty.
#[derive(Clone, Copy, Debug)]
pub struct Transparent;

impl EcdsaEngine for Transparent {
    fn name(&self) -> &'static str {
        "transparent"
    }

    fn prime_bits(&self) -> u32 {
        crate::primes::TOY_BITS
    }

    fn auxiliary(&self, input: AuxInput, _rng: &mut dyn CryptoRngCore) -> Box<dyn Session<Output = AuxInfo>> {
        let AuxInput { session, me, of, primes: _ } = input;
        Run::new(Protocol::Transparent, session, me, (0..of).map(PartyIndex::new).collect(), &[b"auxiliary"])
            .map(|run| {
                Exchange::boxed(
                    run,
                    Vec::new(),
                    |said| said.is_empty().then_some(()),
                    move |_| Ok(AuxInfo::empty(me.get(), of)),
                )
            })
            .unwrap_or_else(Refused::boxed)
    }

    fn presign(&self, input: PresignInput, rng: &mut dyn CryptoRngCore) -> Box<dyn Session<Output = Presigned>> {
        begin(input, rng).unwrap_or_else(Refused::boxed)
    }
}

fn begin(input: PresignInput, rng: &mut dyn CryptoRngCore) -> Result<Box<dyn Session<Output = Presigned>>, Abort> {
    let PresignInput { session, me, signers, share, aux: _, payload } = input;
    let parties = signers.as_slice().to_vec();
    let run =
        Run::new(Protocol::Transparent, session, me, parties, &[b"presign", &payload, &share.info().shares_digest()])?;
    let own = Scalar::<Secp256k1>::random(&mut own_randomness(rng));
    let said = own.to_be_bytes().as_bytes().to_vec();
    let finish = move |heard: BTreeMap<PartyIndex, Scalar<Secp256k1>>| {
        let nonce = NonZero::from_scalar(own + heard.values().sum::<Scalar<Secp256k1>>());
        presigned(&share, me, &signers, nonce.ok_or_else(|| Abort::suspect([], "the nonces sum to zero"))?)
    };
    Ok(Exchange::boxed(run, said, scalar_from_be::<Secp256k1>, finish))
}

fn presigned(
    share: &KeyShare,
    me: PartyIndex,
    signers: &SignerSet,
    k: NonZero<Scalar<Secp256k1>>,
) -> Result<Presigned, Abort> {
    let (Secret::Secp256k1(secret), Points::Secp256k1(points)) = (share.secret(), share.info().points()) else {
        return Err(Abort::local("key share is not one of secp256k1"));
    };
    let weight = |party| {
        weight_at_zero::<Secp256k1>(party, signers.as_slice()).ok_or_else(|| Abort::local("signers are not distinct"))
    };
    let inverse = k.invert();
    let portion = Scalar::from(u16::try_from(signers.len()).unwrap_or(u16::MAX))
        .invert()
        .ok_or_else(|| Abort::local("no signers"))?;
    let mut commitments = BTreeMap::new();
    for signer in signers.iter() {
        let public = public_share(points, signer)
            .ok_or_else(|| Abort::local(format!("{signer:?} holds no share of this key")))?;
        let commitment = Commitment { tilde_delta: Point::generator() * portion, tilde_s: weight(signer)? * public };
        commitments.insert(signer, commitment);
    }
    Ok(Presigned {
        nonce: Point::generator() * k,
        tilde_k: SecretScalar::new(&mut (inverse * portion)),
        tilde_chi: SecretScalar::new(&mut (inverse * weight(me)? * exposed(secret))),
        commitments,
    })
}

fn public_share(points: &PublicShares<Secp256k1>, party: PartyIndex) -> Option<NonZero<Point<Secp256k1>>> {
    points.shares.get(usize::from(party.get())).copied()
}
