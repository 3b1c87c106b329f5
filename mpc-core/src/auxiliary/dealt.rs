//! Auxiliary data handed out by a dealer who knows everybody's primes: no run, no proofs. For measurements at sizes where the run takes
//! minutes. What is signed with it costs the same as with data that was made properly.

use std::collections::BTreeMap;

use cggmp24::{
    backend::Integer,
    key_share::{DirtyAuxInfo, PedersenParams, Validate},
    security_level::{SecurityLevel, SecurityLevel128},
};
use rand_core::RngCore;

use super::{AuxInfo, Toy};
use crate::{
    party::PartyIndex,
    primes::{Primes, TOY_BITS},
};

/// Deals auxiliary data to as many parties as there are sets of primes, all of one size. `None` if the primes are too short.
pub(crate) fn deal(sets: &[Primes], rng: &mut dyn RngCore) -> Option<BTreeMap<PartyIndex, AuxInfo>> {
    if sets.iter().all(|primes| primes.bits() == TOY_BITS) {
        deal_at::<Toy>(sets, AuxInfo::toy, rng)
    } else {
        deal_at::<SecurityLevel128>(sets, AuxInfo::standard, rng)
    }
}

fn deal_at<L: SecurityLevel>(
    sets: &[Primes],
    keep: fn(u16, u16, cggmp24::key_share::AuxInfo<L>) -> AuxInfo,
    mut rng: &mut dyn RngCore,
) -> Option<BTreeMap<PartyIndex, AuxInfo>> {
    let of = u16::try_from(sets.len()).ok()?;
    let sets: Vec<_> = sets.iter().map(Primes::to_integers).collect();
    let moduli: Vec<Integer> = sets.iter().map(|[p, q, _, _]| p * q).collect();
    let mut params = Vec::new();
    for [_, _, p, q] in &sets {
        let modulus = p * q;
        let t = Integer::sample_in_mult_group_of(&mut rng, &modulus).square().modulo(&modulus);
        let s = t.pow_mod_ref(&Integer::random_bits(256, &mut rng), &modulus)?;
        params.push(PedersenParams { hat_N: modulus, s, t, multiexp: None, crt: None });
    }
    let mut dealt = BTreeMap::new();
    for ([p, q, _, _], party) in sets.into_iter().zip(0..of) {
        let (moduli, pedersen_params) = (moduli.clone(), params.clone());
        let dirty = DirtyAuxInfo::<L> { p, q, N: moduli, pedersen_params, security_level: std::marker::PhantomData };
        dealt.insert(PartyIndex::new(party), keep(party, of, dirty.validate().ok()?));
    }
    Some(dealt)
}
