//! Threshold Ed25519, step by step, ours beside FROST's own functions and a plain signature.

#![allow(missing_docs, reason = "criterion's macros make public functions")]

use std::collections::BTreeMap;

use benches::{SIZES, bench_runs, criterion, id, run_sessions};
use criterion::{Criterion, criterion_group, criterion_main};
use ed25519_dalek::Signer;
use frost_ed25519::{self as frost, Identifier, keys::KeyPackage};
use mpc_core::{
    PartyIndex, Payload, Suite, Transparent, combine,
    testing::{Committee, seeded},
};

const MESSAGE: [u8; 64] = [7; 64];

fn ours(criterion: &mut Criterion<benches::ThreadTime>) {
    let mut group = criterion.benchmark_group("eddsa");
    for size in SIZES {
        let mut committee = Committee::new(&Transparent, size.0, size.1, 1);
        let (key, signers, payload) =
            (committee.keygen(Suite::Ed25519), committee.first_signers(), Payload::Message(MESSAGE.to_vec()));
        let info = key[&PartyIndex::new(0)].info();
        // Commitments exchanged, share of the signature and nonce point computed.
        bench_runs(&mut group, id("ours/run", size), || {
            run_sessions(committee.signing_sessions(&key, &signers, &payload))
        });
        let issued = committee.issue(&key, &signers, &payload);
        let (first, one) = issued.first_key_value().expect("somebody signs");
        let check = || assert!(one.commitments.check(info, &payload, *first, &one.partial));
        group.bench_function(id("ours/check", size), |b| b.iter(check));
        let nonce = one.commitments.nonce_point();
        let partials: BTreeMap<_, _> = issued.iter().map(|(party, issued)| (*party, issued.partial.clone())).collect();
        let finish = || combine(info, &payload, &signers, &nonce, &partials).expect("honest partials");
        group.bench_function(id("ours/combine", size), |b| b.iter(finish));
        let signature = finish();
        let verify = || assert!(signature.verify(info.group_key(), &payload));
        group.bench_function(id("ours/verify", size), |b| b.iter(verify));
    }
}

fn library(criterion: &mut Criterion<benches::ThreadTime>) {
    let mut group = criterion.benchmark_group("eddsa");
    for size in SIZES {
        let mut rng = seeded(2);
        let (shares, public) =
            frost::keys::generate_with_dealer(size.1, size.0, frost::keys::IdentifierList::Default, &mut rng)
                .expect("a key");
        let keys: BTreeMap<Identifier, KeyPackage> = shares
            .into_iter()
            .take(usize::from(size.0))
            .map(|(name, share)| (name, KeyPackage::try_from(share).expect("a share")))
            .collect();
        let (name, key) = keys.first_key_value().expect("somebody signs");
        let mut commit = || frost::round1::commit(key.signing_share(), &mut rng);
        group.bench_function(id("frost/commit", size), |b| b.iter(&mut commit));
        let mut rng = seeded(3);
        let (nonces, commitments): (BTreeMap<_, _>, BTreeMap<_, _>) = keys
            .iter()
            .map(|(name, key)| {
                let (nonces, commitments) = frost::round1::commit(key.signing_share(), &mut rng);
                ((*name, nonces), (*name, commitments))
            })
            .unzip();
        let package = frost::SigningPackage::new(commitments, &MESSAGE);
        let sign = |name: &Identifier, key| frost::round2::sign(&package, &nonces[name], key).expect("a share");
        group.bench_function(id("frost/sign", size), |b| b.iter(|| sign(name, key)));
        let partials: BTreeMap<_, _> = keys.iter().map(|(name, key)| (*name, sign(name, key))).collect();
        let aggregate = || frost::aggregate(&package, &partials, &public).expect("a signature");
        group.bench_function(id("frost/aggregate", size), |b| b.iter(aggregate));
    }
}

/// What a single signer pays: the floor under everything above.
fn plain(criterion: &mut Criterion<benches::ThreadTime>) {
    let mut group = criterion.benchmark_group("eddsa");
    let key = ed25519_dalek::SigningKey::generate(&mut seeded(4));
    group.bench_function("dalek/sign", |b| b.iter(|| key.sign(&MESSAGE)));
    let signature = key.sign(&MESSAGE);
    let public = key.verifying_key();
    group.bench_function("dalek/verify", |b| b.iter(|| public.verify_strict(&MESSAGE, &signature)));
}

criterion_group! { name = all; config = criterion(); targets = ours, library, plain }
criterion_main!(all);
