use std::sync::atomic::AtomicUsize;

use rand_core::SeedableRng;

use super::*;

fn rng() -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(7)
}

#[test]
fn what_the_sieve_finds_is_a_safe_prime_of_the_exact_length() {
    let mut rng = rng();
    for bits in [128, 129, 160] {
        let prime =
            std::iter::repeat_with(|| sieve::search_window(bits, &|| false, &mut rng)).flatten().next().unwrap();
        let half = prime.clone() >> 1u32;
        let is_prime = |number: &Integer, rng: &mut ChaCha20Rng| {
            number.is_probably_prime(40, rng) != cggmp24::backend::IsPrime::No
        };
        assert!(is_prime(&prime, &mut rng) && is_prime(&half, &mut rng));
        assert_eq!(prime.significant_bits(), u64::from(bits));
    }
}

#[test]
fn a_search_on_two_threads_completes_a_set_and_reports_each_prime() {
    let found = AtomicUsize::new(0);
    let observe = |progress: Progress<'_>| {
        if matches!(progress, Progress::Found(_)) {
            found.fetch_add(1, Ordering::Relaxed);
        }
    };
    let primes = Search::new(128).run(2, &AtomicBool::new(false), &observe, &mut rng()).unwrap();
    assert_eq!((primes.bits(), found.into_inner()), (128, SET_LEN));
}

#[test]
fn a_cancelled_search_gives_back_what_it_found_and_is_resumed_from_stored_bytes() {
    let (cancel, stored) = (AtomicBool::new(false), Mutex::new(Vec::new()));
    let observe = |progress: Progress<'_>| {
        if let Progress::Found(prime) = progress {
            stored.lock().unwrap().push(prime.as_bytes().to_vec());
            cancel.store(true, Ordering::Relaxed);
        }
    };
    let stopped = Search::new(128).run(1, &cancel, &observe, &mut rng()).unwrap_err();
    assert_eq!(stopped.found().len(), 1);

    let stored: Vec<_> =
        stored.into_inner().unwrap().iter().map(|bytes| SafePrime::from_bytes(bytes).unwrap()).collect();
    let again = SafePrime::from_bytes(stored[0].as_bytes()).unwrap();
    let resumed = Search::resume(128, stored.into_iter().chain([again]));
    assert_eq!(resumed.found().len(), 1, "a prime counts once");
    let primes = resumed.run(1, &AtomicBool::new(false), &|_| {}, &mut rng()).unwrap();
    assert_eq!(primes.0[0], stopped.found[0]);
}

#[test]
fn a_set_survives_encoding_and_damaged_bytes_are_refused() {
    let primes = Search::new(128).run(1, &AtomicBool::new(false), &|_| {}, &mut rng()).unwrap();
    let bytes = primes.encode();
    assert_eq!(*Primes::decode(&bytes).unwrap().encode(), *bytes);
    for len in 0..bytes.len() {
        assert!(Primes::decode(&bytes[..len]).is_err());
    }
    assert!(Primes::decode(&[bytes.as_slice(), &[0]].concat()).is_err());
}

#[test]
fn a_set_with_a_repeated_prime_or_mixed_lengths_is_refused() {
    let prime = |last: u8, len: usize| SafePrime::from_bytes(&[vec![0x80; len], vec![last]].concat()).unwrap();
    assert!(Primes::try_from([prime(3, 9), prime(7, 9), prime(11, 9), prime(7, 9)]).is_err());
    assert!(Primes::try_from([prime(3, 9), prime(7, 9), prime(11, 9), prime(15, 10)]).is_err());
    assert!(Primes::try_from([prime(3, 9), prime(7, 9), prime(11, 9), prime(15, 9)]).is_ok());
}

#[test]
fn every_prepared_set_is_complete_and_no_prime_occurs_twice() {
    let mut seen = std::collections::BTreeSet::new();
    for index in 0..PREPARED_SETS {
        let primes = prepared(index).unwrap();
        assert_eq!(primes.bits(), STANDARD_BITS);
        assert!(primes.0.iter().all(|prime| seen.insert(prime.as_bytes().to_vec())));
        assert_eq!(toy(index).unwrap().bits(), TOY_BITS);
    }
}

/// How the data files were made: `cargo test -p mpc-core --features testing -- --ignored prepare`.
fn prepare(bits: u32, path: &str) {
    let mut rng = ChaCha20Rng::from_entropy();
    let mut file = Vec::new();
    for _ in 0..PREPARED_SETS {
        let primes = Search::new(bits).run(2, &AtomicBool::new(false), &|_| {}, &mut rng).unwrap();
        file.extend_from_slice(&primes.encode());
    }
    std::fs::write(format!("{}/src/primes/prepared/{path}", env!("CARGO_MANIFEST_DIR")), file).unwrap();
}

#[test]
#[ignore = "writes a committed data file"]
fn prepare_toy_primes() {
    prepare(TOY_BITS, "toy.bin");
}

#[test]
#[ignore = "writes a committed data file; minutes of computation"]
fn prepare_standard_primes() {
    prepare(STANDARD_BITS, "standard.bin");
}

#[test]
fn the_forecast_of_candidates_is_near_a_count() {
    let (bits, wanted, candidates) = (128, 100_u32, AtomicUsize::new(0));
    let count = || {
        candidates.fetch_add(1, Ordering::Relaxed);
        false
    };
    let mut rng = rng();
    for _ in 0..wanted {
        while sieve::search_window(bits, &count, &mut rng).is_none() {}
    }
    let met = f64::from(wanted) / candidates.into_inner() as f64;
    assert!((met / chance_of_candidate(bits) - 1.0).abs() < 0.25, "{met} against {}", chance_of_candidate(bits));
    let tests = 1.0 / chance_of_candidate(STANDARD_BITS);
    assert!((1_800.0..1_900.0).contains(&tests), "{tests}");
}
