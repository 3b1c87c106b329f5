//! A sieve over q and 2q + 1 at once, in a random window.
//!
//! A candidate is struck out if a small prime divides it or its double plus one; what remains gets one cheap Fermat test to base 2 for
//! each of the two, and only what passes both gets the full tests. A fresh random window for every prime: taking the next prime after a random
//! start prefers primes behind long gaps a little, which costs a fraction of a bit of entropy and nothing else.

use std::sync::OnceLock;

use cggmp24::backend::{Integer, IsPrime};
use rand_core::{CryptoRng, RngCore};

/// Small primes up to here strike out candidates.
pub(super) const SMALL_MAX: usize = 1 << 20;
/// Odd candidates in one window.
const WINDOW: u32 = 1 << 18;
/// Miller-Rabin rounds of the final test.
const ROUNDS: u32 = 40;

/// Looks through one random window of candidates for a safe prime of exactly `bits` bits; `None` if it holds none, or `stopped` said so,
/// which is asked once before each candidate is tested.
pub(super) fn search_window(
    bits: u32,
    stopped: &dyn Fn() -> bool,
    rng: &mut (impl RngCore + CryptoRng),
) -> Option<Integer> {
    let start = random_start(bits, rng);
    let struck = strike_out(&start);
    let two = Integer::from(2u32);
    for offset in (0..WINDOW).filter(|offset| !struck.get(*offset as usize).copied().unwrap_or(true)) {
        if stopped() {
            return None;
        }
        let q = &start + &Integer::from(2 * offset);
        if !passes_fermat(&two, &q) {
            continue;
        }
        let p = (q.clone() << 1u32) + 1u32;
        if passes_fermat(&two, &p) && is_prime(&q, rng) && is_prime(&p, rng) && p.significant_bits() == u64::from(bits)
        {
            return Some(p);
        }
    }
    None
}

/// An odd number of `bits - 1` bits.
fn random_start(bits: u32, rng: &mut impl RngCore) -> Integer {
    let mut start = Integer::random_bits(bits - 1, rng);
    start.set_bit(bits - 2, true);
    start.set_bit(0, true);
    start
}

/// For every `i`, whether `start + 2i` or its double plus one has a small odd prime divisor.
fn strike_out(start: &Integer) -> Vec<bool> {
    let mut struck = vec![false; WINDOW as usize];
    for &prime in small_primes() {
        let modulus = u64::from(prime);
        let remainder = u64::from(start.mod_u(prime));
        let half = modulus.div_ceil(2);
        // q = start + 2i is divisible where q = 0, and 2q + 1 where q = (prime - 1) / 2; halving modulo an odd prime is times (prime + 1) / 2.
        for target in [0, (modulus - 1) / 2] {
            let first = (target + modulus - remainder) % modulus * half % modulus;
            let candidates = struck.iter_mut().skip(usize::try_from(first).unwrap_or(usize::MAX));
            candidates.step_by(prime as usize).for_each(|candidate| *candidate = true);
        }
    }
    struck
}

/// The odd primes below [`SMALL_MAX`], by the sieve of Eratosthenes, once per process.
fn small_primes() -> &'static [u32] {
    static PRIMES: OnceLock<Vec<u32>> = OnceLock::new();
    PRIMES.get_or_init(|| {
        let mut composite = vec![false; SMALL_MAX];
        let mut primes = Vec::new();
        for number in (3..SMALL_MAX).step_by(2) {
            if composite.get(number) == Some(&true) {
                continue;
            }
            primes.extend(u32::try_from(number));
            for multiple in (number * number..SMALL_MAX).step_by(2 * number) {
                if let Some(entry) = composite.get_mut(multiple) {
                    *entry = true;
                }
            }
        }
        primes
    })
}

/// 2^(n-1) = 1 modulo n: true for primes, and for next to nothing else.
fn passes_fermat(two: &Integer, number: &Integer) -> bool {
    two.pow_mod_ref(&(number - 1u32), number).is_some_and(|power| power.is_one())
}

fn is_prime(number: &Integer, rng: &mut impl RngCore) -> bool {
    !matches!(number.is_probably_prime(ROUNDS, rng), IsPrime::No)
}
