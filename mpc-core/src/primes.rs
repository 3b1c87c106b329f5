//! Safe primes for the auxiliary data: found once per party, ahead of need, on all the cores one cares to give.
//!
//! Four primes of 1536 bits take some eight seconds of computation; the library's own search takes about eight times as long. Each prime
//! is found on its own, so a search that is stopped (or a process that dies) keeps what it stored: see [`Search::resume`].
//! Refuses to know where primes are kept and when there is time to look for more.

#[cfg(feature = "prepared-primes")]
mod prepared;
mod sieve;

use std::{
    fmt,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use cggmp24::backend::Integer;
use rand_chacha::ChaCha20Rng;
use rand_core::CryptoRngCore;
use zeroize::Zeroizing;

#[cfg(feature = "testing")]
pub use prepared::toy;
#[cfg(feature = "prepared-primes")]
pub use prepared::{PREPARED_SETS, prepared};

use crate::{
    session::own_randomness,
    share::{DecodeError, Reader},
};

/// Bits of a safe prime for the standard engine.
pub const STANDARD_BITS: u32 = 1536;
/// Bits of a safe prime for toy engines: the least, rounded up, that the proofs' own range checks let pass.
#[cfg(feature = "testing")]
pub const TOY_BITS: u32 = 520;

/// Primes that one auxiliary run consumes.
pub const SET_LEN: usize = 4;

const VERSION: u8 = 1;
/// Longest prime that a stored set may hold.
const PRIME_LEN_MAX: usize = 512;

/// A prime `p = 2q + 1` with `q` prime. Secret: it is wiped when dropped.
#[derive(PartialEq, Eq)]
pub struct SafePrime(Zeroizing<Vec<u8>>);

impl SafePrime {
    /// The prime's big-endian bytes, to be sealed and stored.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// A prime from its stored bytes.
    ///
    /// Checks the form (odd, and odd again when halved, no leading zeros), not the primality: a number that is none fails the proofs of
    /// the auxiliary run.
    ///
    /// # Errors
    /// [`DecodeError::Malformed`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, DecodeError> {
        let well_formed = bytes.len() <= PRIME_LEN_MAX
            && bytes.first().is_some_and(|first| *first != 0)
            && bytes.last().is_some_and(|last| last & 3 == 3);
        if well_formed {
            Ok(Self(Zeroizing::new(bytes.to_vec())))
        } else {
            Err(DecodeError::Malformed { field: "safe prime" })
        }
    }

    /// The number of bits.
    pub fn bits(&self) -> u32 {
        self.0.first().map_or(0, |first| u32::try_from(self.0.len() * 8).unwrap_or(u32::MAX) - first.leading_zeros())
    }

    fn from_integer(prime: &Integer) -> Self {
        Self(Zeroizing::new(prime.to_bytes_msf()))
    }
}

impl fmt::Debug for SafePrime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "safe prime of {} bits, withheld", self.bits())
    }
}

/// Four distinct safe primes of one length: what a party brings to an auxiliary run. Not `Clone`; wiped when dropped.
#[derive(Debug)]
pub struct Primes([SafePrime; SET_LEN]);

impl TryFrom<[SafePrime; SET_LEN]> for Primes {
    type Error = DecodeError;

    fn try_from(primes: [SafePrime; SET_LEN]) -> Result<Self, DecodeError> {
        let [first, rest @ ..] = &primes;
        if rest.iter().any(|prime| prime.bits() != first.bits()) {
            return Err(DecodeError::inconsistent("safe primes differ in length"));
        }
        for (at, prime) in primes.iter().enumerate() {
            if primes.iter().skip(at + 1).any(|other| other == prime) {
                return Err(DecodeError::inconsistent("a safe prime occurs twice"));
            }
        }
        Ok(Self(primes))
    }
}

impl Primes {
    /// Bits of each prime.
    pub fn bits(&self) -> u32 {
        self.0.iter().map(SafePrime::bits).min().unwrap_or_default()
    }

    /// The set as bytes: version 1, then four times length 2 and big-endian bytes.
    ///
    /// # Security
    /// Seal these bytes. The returned buffer wipes itself.
    pub fn encode(&self) -> Zeroizing<Vec<u8>> {
        let len = self.0.iter().map(|prime| 2 + prime.0.len()).sum::<usize>();
        let mut bytes = Zeroizing::new(Vec::with_capacity(1 + len));
        bytes.push(VERSION);
        for prime in &self.0 {
            bytes.extend_from_slice(&u16::try_from(prime.0.len()).unwrap_or(u16::MAX).to_be_bytes());
            bytes.extend_from_slice(&prime.0);
        }
        bytes
    }

    /// A set from its bytes.
    ///
    /// # Errors
    /// [`DecodeError`]; never panics on any input.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader(bytes);
        reader.version(VERSION)?;
        let mut prime = || {
            let len = usize::from(reader.number("length")?);
            SafePrime::from_bytes(reader.take(len, "safe prime")?)
        };
        let primes = [prime()?, prime()?, prime()?, prime()?];
        reader.end()?;
        Self::try_from(primes)
    }

    /// The library's numbers. These copies are not wiped.
    pub(crate) fn to_integers(&self) -> [Integer; SET_LEN] {
        self.0.each_ref().map(|prime| Integer::from_bytes_msf(&prime.0))
    }
}

/// The chance that a candidate which the sieve has left is a safe prime of so many bits. For forecasts only.
///
/// Source: the conjecture of Hardy and Littlewood (1923, conjecture B applied to q and 2q + 1) for the density of such q, and Mertens' third
/// theorem (1874) for what a sieve up to `z` leaves: `(e^γ · ln z)² / (ln q · ln 2q)`, γ being Euler's constant.
#[must_use]
pub fn chance_of_candidate(bits: u32) -> f64 {
    const EULER: f64 = 0.577_215_664_9;
    let ln_q = f64::from(bits.saturating_sub(1).max(1)) * std::f64::consts::LN_2;
    let sieved = EULER.exp() * (sieve::SMALL_MAX as f64).ln();
    (sieved * sieved / (ln_q * (ln_q + std::f64::consts::LN_2))).min(1.0)
}

/// What a search tells its observer, from any of its threads.
#[derive(Debug)]
pub enum Progress<'a> {
    /// A candidate that the sieve has left is about to be tested; [`chance_of_candidate`] says how many a prime takes.
    Candidate,
    /// A prime was found: store it now, and nothing of the work is lost.
    Found(&'a SafePrime),
}

/// A search for one set of primes that can be stopped and taken up again.
///
/// Blocking and hungry: give it threads of its own, at low priority.
#[derive(Debug)]
pub struct Search {
    bits: u32,
    found: Vec<SafePrime>,
}

impl Search {
    /// A new search for primes of `bits` bits: [`crate::EcdsaEngine::prime_bits`].
    pub fn new(bits: u32) -> Self {
        Self { bits, found: Vec::new() }
    }

    /// A search that has `found` already; those of another length and repetitions are dropped, as are more than four.
    pub fn resume(bits: u32, found: impl IntoIterator<Item = SafePrime>) -> Self {
        let mut search = Self::new(bits);
        for prime in found {
            search.keep(prime);
        }
        search
    }

    /// What has been found so far.
    pub fn found(&self) -> &[SafePrime] {
        &self.found
    }

    /// Searches on `workers` threads until the set is complete, or `cancel` is set; cancelling takes a fraction of a second.
    ///
    /// # Errors
    /// Gives itself back, with what it has found, when cancelled.
    pub fn run(
        mut self,
        workers: usize,
        cancel: &AtomicBool,
        observe: &(dyn Fn(Progress<'_>) + Sync),
        rng: &mut dyn CryptoRngCore,
    ) -> Result<Primes, Self> {
        let bits = self.bits;
        let enough = AtomicBool::new(self.found.len() >= SET_LEN);
        let stopped = || cancel.load(Ordering::Relaxed) || enough.load(Ordering::Relaxed);
        let shared = Mutex::new(&mut self);
        let generators: Vec<ChaCha20Rng> = (0..workers.max(1)).map(|_| own_randomness(rng)).collect();
        std::thread::scope(|scope| {
            for mut rng in generators {
                let (shared, stopped, enough) = (&shared, &stopped, &enough);
                scope.spawn(move || {
                    while !stopped() {
                        let next = || {
                            let stop = stopped();
                            if !stop {
                                observe(Progress::Candidate);
                            }
                            stop
                        };
                        let Some(prime) = sieve::search_window(bits, &next, &mut rng) else { continue };
                        let prime = SafePrime::from_integer(&prime);
                        let mut search = shared.lock().unwrap_or_else(PoisonError::into_inner);
                        if search.found.len() < SET_LEN {
                            observe(Progress::Found(&prime));
                            search.keep(prime);
                        }
                        enough.store(search.found.len() >= SET_LEN, Ordering::Relaxed);
                    }
                });
            }
        });
        let Self { bits, found } = self;
        let found = match <[SafePrime; SET_LEN]>::try_from(found) {
            Ok(primes) => primes,
            Err(found) => return Err(Self { bits, found }),
        };
        // Kept primes are distinct and of one length, so this never fails; should it, the search begins anew.
        Primes::try_from(found).map_err(|_| Self::new(bits))
    }

    fn keep(&mut self, prime: SafePrime) {
        if self.found.len() < SET_LEN && prime.bits() == self.bits && !self.found.contains(&prime) {
            self.found.push(prime);
        }
    }
}

#[cfg(test)]
#[allow(clippy::indexing_slicing, reason = "tests index what they made")]
mod tests;
