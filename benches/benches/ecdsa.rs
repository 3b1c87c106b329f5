//! Threshold ECDSA, step by step: the CGGMP24 run at full strength, ours beside the library's own, and what follows it.
//!
//! Auxiliary data is dealt, not made, as its run takes minutes at the larger sizes; signing costs the same with it. What follows the run is the
//! same code for every engine and measured on nonces of the transparent one.

#![allow(missing_docs, reason = "criterion's macros make public functions")]

use std::{collections::BTreeMap, time::Duration};

use benches::{SIZES, bench_runs, criterion, id, run_library, run_sessions};
use cggmp24::{
    DataToSign, ExecutionId, PartialSignature, PregeneratedPrimes, Presignature,
    generic_ec::{NonZero, Point, Scalar, SecretScalar},
    key_share::{AuxInfo, DirtyAuxInfo, PedersenParams, Validate},
    security_level::SecurityLevel128,
    signing::{PresignatureCommitment, PresignaturePublicData},
    supported_curves::Secp256k1,
};
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use k256::ecdsa::signature::hazmat::{PrehashSigner, PrehashVerifier};
use mpc_core::{
    Cggmp24, PartyIndex, Payload, Suite, Transparent, combine,
    testing::{Committee, run, seeded},
};

const DIGEST: [u8; 32] = [7; 32];

fn presign(criterion: &mut Criterion<benches::ThreadTime>) {
    let mut group = criterion.benchmark_group("ecdsa/presign");
    group.sample_size(10).warm_up_time(Duration::from_millis(1)).measurement_time(Duration::from_millis(1));
    for size in SIZES {
        let engine = Cggmp24::standard();
        let mut committee = Committee::new(&engine, size.0, size.1, 1);
        committee.deal_aux();
        let (key, signers) = (committee.keygen(Suite::Secp256k1), committee.first_signers());
        let payload = Payload::Digest(DIGEST);
        bench_runs(&mut group, id("ours", size), || run_sessions(committee.signing_sessions(&key, &signers, &payload)));
        let shares = library_shares(size);
        bench_runs(&mut group, id("cggmp24", size), || library_presign(&shares, size.0));
    }
}

fn after_the_run(criterion: &mut Criterion<benches::ThreadTime>) {
    let mut group = criterion.benchmark_group("ecdsa");
    for size in SIZES {
        let mut committee = Committee::new(&Transparent, size.0, size.1, 1);
        let (key, signers, payload) =
            (committee.keygen(Suite::Secp256k1), committee.first_signers(), Payload::Digest(DIGEST));
        let info = key[&PartyIndex::new(0)].info();
        let mut ready = || {
            let outcomes = run(committee.signing_sessions(&key, &signers, &payload), 1);
            outcomes.into_values().next().expect("somebody signs").expect_done()
        };
        // Every iteration spends a nonce, which takes a run to make: few are enough.
        group.warm_up_time(Duration::from_micros(10)).measurement_time(Duration::from_millis(2));
        group.bench_function(id("ours/issue", size), |b| {
            b.iter_batched(&mut ready, mpc_core::Ready::issue, BatchSize::SmallInput);
        });
        group.warm_up_time(Duration::from_millis(200)).measurement_time(Duration::from_secs(1));
        let issued = committee.issue(&key, &signers, &payload);
        let (first, one) = issued.first_key_value().expect("somebody signs");
        let check = || assert!(one.commitments.check(info, &payload, *first, &one.partial));
        group.bench_function(id("ours/check", size), |b| b.iter(check));
        let nonce = one.commitments.nonce_point();
        let partials: BTreeMap<_, _> = issued.iter().map(|(party, issued)| (*party, issued.partial.clone())).collect();
        // Without the single checks, with the final verification and the recovery id.
        let finish = || combine(info, &payload, &signers, &nonce, &partials).expect("honest partials");
        group.bench_function(id("ours/combine", size), |b| b.iter(finish));
        let signature = finish();
        let verify = || assert!(signature.verify(info.group_key(), &payload));
        group.bench_function(id("ours/verify", size), |b| b.iter(verify));
        library_after_the_run(&mut group, size);
    }
}

/// The library's own issue and combine (which checks every partial) on a presignature among t signers.
fn library_after_the_run(group: &mut criterion::BenchmarkGroup<'_, benches::ThreadTime>, size: (u16, u16)) {
    let mut rng = seeded(5);
    let data = DataToSign::<Secp256k1>::digest::<sha2::Sha256>(b"message");
    let nonce = NonZero::<Scalar<Secp256k1>>::random(&mut rng);
    let cap_gamma = Point::generator() * nonce;
    let presignatures: Vec<_> = (0..size.0)
        .map(|_| Presignature {
            Gamma: cap_gamma,
            tilde_k: SecretScalar::random(&mut rng),
            tilde_chi: SecretScalar::random(&mut rng),
        })
        .collect();
    let commitment = |own: &Presignature<Secp256k1>| PresignatureCommitment {
        tilde_Delta: cap_gamma * &own.tilde_k,
        tilde_S: cap_gamma * &own.tilde_chi,
    };
    let public =
        PresignaturePublicData { Gamma: cap_gamma, commitments: presignatures.iter().map(commitment).collect() };
    let issue = || presignatures[0].clone().issue_partial_signature(data);
    group.bench_function(id("cggmp24/issue", size), |b| b.iter(issue));
    let partials: Vec<_> = presignatures.iter().map(|own| own.clone().issue_partial_signature(data)).collect();
    let combine = || PartialSignature::combine(&partials, &public, data).expect("partials fit their commitments");
    group.bench_function(id("cggmp24/combine", size), |b| b.iter(combine));
}

/// What a single signer pays: the floor under everything above.
fn plain(criterion: &mut Criterion<benches::ThreadTime>) {
    let mut group = criterion.benchmark_group("ecdsa");
    let key = k256::ecdsa::SigningKey::random(&mut seeded(4));
    let sign = || -> k256::ecdsa::Signature { key.sign_prehash(&DIGEST).expect("a digest") };
    group.bench_function("k256/sign", |b| b.iter(sign));
    let (signature, public) = (sign(), *key.verifying_key());
    group.bench_function("k256/verify", |b| b.iter(|| public.verify_prehash(&DIGEST, &signature)));
}

/// Key shares of the library's own, with auxiliary data dealt as ours is.
fn library_shares((need, of): (u16, u16)) -> Vec<cggmp24::KeyShare<Secp256k1>> {
    let mut generators: Vec<_> = (0..of).map(|at| seeded(u64::from(at))).collect();
    let mut machines: Vec<Box<dyn round_based::state_machine::StateMachine<Output = _, Msg = _>>> = Vec::new();
    for (at, rng) in (0..of).zip(&mut generators) {
        let builder = cggmp24::keygen::<Secp256k1>(ExecutionId::new(b"key"), at, of).set_threshold(need);
        machines.push(Box::new(builder.into_state_machine(rng)));
    }
    let shares = run_library(&mut machines).1;
    let aux = library_aux(of);
    let pairs = shares.into_iter().zip(aux);
    pairs.map(|pair| cggmp24::KeyShare::from_parts(pair).expect("data of one committee")).collect()
}

fn library_aux(of: u16) -> Vec<AuxInfo> {
    let sets: Vec<_> = (0..usize::from(of))
        .map(|at| {
            let bytes = mpc_core::primes::prepared(at).expect("prepared primes").encode();
            let prime =
                |at: usize| cggmp24::backend::Integer::from_bytes_msf(&bytes[1 + at * 194 + 2..1 + (at + 1) * 194]);
            let primes = PregeneratedPrimes::<SecurityLevel128>::try_from([prime(0), prime(1), prime(2), prime(3)]);
            primes.expect("primes of 1536 bits").into_primes()
        })
        .collect();
    let moduli: Vec<_> = sets.iter().map(|[p, q, _, _]| p * q).collect();
    let mut rng = seeded(6);
    let params: Vec<_> = sets
        .iter()
        .map(|[_, _, p, q]| {
            let modulus = p * q;
            let t = cggmp24::backend::Integer::sample_in_mult_group_of(&mut rng, &modulus).square().modulo(&modulus);
            let s = t.pow_mod_ref(&cggmp24::backend::Integer::random_bits(256, &mut rng), &modulus).expect("a power");
            PedersenParams { hat_N: modulus, s, t, multiexp: None, crt: None }
        })
        .collect();
    let aux = sets.into_iter().map(|[p, q, _, _]| {
        let (moduli, params) = (moduli.clone(), params.clone());
        DirtyAuxInfo { p, q, N: moduli, pedersen_params: params, security_level: std::marker::PhantomData }
    });
    aux.map(|dirty| dirty.validate().expect("consistent data")).collect()
}

fn library_presign(shares: &[cggmp24::KeyShare<Secp256k1>], need: u16) -> Vec<Duration> {
    let signers: Vec<u16> = (0..need).collect();
    let mut generators: Vec<_> = signers.iter().map(|at| seeded(u64::from(*at))).collect();
    let mut machines: Vec<Box<dyn round_based::state_machine::StateMachine<Output = _, Msg = _> + '_>> = Vec::new();
    for ((at, share), rng) in (0..need).zip(shares).zip(&mut generators) {
        let builder = cggmp24::signing(ExecutionId::new(b"sign"), at, &signers, share);
        machines.push(Box::new(builder.generate_presignature_sync(rng)));
    }
    run_library(&mut machines).0
}

criterion_group! { name = all; config = criterion(); targets = plain, after_the_run, presign }
criterion_main!(all);
