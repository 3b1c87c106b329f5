//! The proof that a party holds its share: made once per key and party, checked by all.

#![allow(missing_docs, reason = "criterion's macros make public functions")]

use benches::{SIZES, criterion, id};
use criterion::{Criterion, criterion_group, criterion_main};
use mpc_core::{
    PartyIndex, Suite, Transparent,
    testing::{Committee, seeded},
};

fn possession(criterion: &mut Criterion<benches::ThreadTime>) {
    for suite in [Suite::Secp256k1, Suite::Ed25519] {
        let mut group = criterion.benchmark_group(format!("possession/{suite}"));
        for (need, of) in SIZES {
            let key = Committee::new(&Transparent, need, of, 1).keygen(suite);
            let party = PartyIndex::new(0);
            let share = &key[&party];
            let mut rng = seeded(1);
            group.bench_function(id("prove", (need, of)), |b| b.iter(|| share.prove(b"context", &mut rng)));
            let proof = share.prove(b"context", &mut rng);
            let verify = || assert!(share.info().verify_possession(party, b"context", &proof));
            group.bench_function(id("verify", (need, of)), |b| b.iter(verify));
        }
    }
}

criterion_group! { name = all; config = criterion(); targets = possession }
criterion_main!(all);
