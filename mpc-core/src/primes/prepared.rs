//! Safe primes that stand in this repository for everybody to read. **Never for money.**
//!
//! The development chain and the tests take them so that nobody waits for a search. Only built with feature `prepared-primes`, which a
//! release daemon must not have.

use super::{DecodeError, Primes};

/// Sets of [`prepared`].
pub const PREPARED_SETS: usize = 16;

/// One encoded set after the other.
static STANDARD: &[u8] = include_bytes!("prepared/standard.bin");
#[cfg(feature = "testing")]
static TOY: &[u8] = include_bytes!("prepared/toy.bin");

/// The prepared set of 1536-bit primes number `index`, of [`PREPARED_SETS`]; a greater number wraps round.
///
/// # Errors
/// [`DecodeError`] only if the data file is damaged.
///
/// # Security
/// Public numbers: whoever uses them gives every key share of the roster away.
pub fn prepared(index: usize) -> Result<Primes, DecodeError> {
    nth_set(STANDARD, PREPARED_SETS, index)
}

/// The prepared set of toy primes number `index`, of [`PREPARED_SETS`]; a greater number wraps round.
///
/// # Errors
/// [`DecodeError`] only if the data file is damaged.
#[cfg(feature = "testing")]
pub fn toy(index: usize) -> Result<Primes, DecodeError> {
    nth_set(TOY, PREPARED_SETS, index)
}

fn nth_set(file: &[u8], sets: usize, index: usize) -> Result<Primes, DecodeError> {
    let len = file.len() / sets;
    let start = (index % sets) * len;
    Primes::decode(file.get(start..start + len).ok_or(DecodeError::Malformed { field: "prepared primes" })?)
}
