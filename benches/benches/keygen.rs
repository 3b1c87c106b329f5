//! Distributed key generation, both suites: what one party computes, ours (with wire format) beside the library's own.

#![allow(missing_docs, reason = "criterion's macros make public functions")]

use benches::{SIZES, bench_runs, criterion, id, run_library, run_sessions};
use cggmp24::{ExecutionId, generic_ec::Curve};
use criterion::{Criterion, criterion_group, criterion_main};
use mpc_core::{
    Suite, Transparent,
    testing::{Committee, seeded},
};

fn keygen(criterion: &mut Criterion<benches::ThreadTime>) {
    for suite in [Suite::Secp256k1, Suite::Ed25519] {
        let mut group = criterion.benchmark_group(format!("keygen/{suite}"));
        for (need, of) in SIZES {
            let mut committee = Committee::new(&Transparent, need, of, 1);
            bench_runs(&mut group, id("ours", (need, of)), || run_sessions(committee.keygen_sessions(suite)));
            bench_runs(&mut group, id("cggmp24-keygen", (need, of)), || match suite {
                Suite::Secp256k1 => library::<cggmp24::generic_ec::curves::Secp256k1>(need, of),
                Suite::Ed25519 => library::<cggmp24::generic_ec::curves::Ed25519>(need, of),
            });
        }
    }
}

fn library<E: Curve>(need: u16, of: u16) -> Vec<std::time::Duration> {
    let eid = ExecutionId::new(b"bench");
    let mut generators: Vec<_> = (0..of).map(|at| seeded(u64::from(at))).collect();
    let mut machines: Vec<Box<dyn round_based::state_machine::StateMachine<Output = _, Msg = _>>> = Vec::new();
    for (at, rng) in (0..of).zip(&mut generators) {
        machines.push(Box::new(
            cggmp24::keygen::<E>(eid, at, of).set_threshold(need).hd_wallet(false).into_state_machine(rng),
        ));
    }
    run_library(&mut machines).0
}

criterion_group! { name = all; config = criterion(); targets = keygen }
criterion_main!(all);
