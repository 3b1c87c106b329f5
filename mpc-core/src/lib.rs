//! Threshold protocols as machines: bytes in, bytes out. No clock, no socket, no chain; randomness is given at birth.
//!
//! A committee of `n` parties makes keys that nobody ever holds whole ([`keygen`]), and any `t` of them sign ([`signing`]): ECDSA over
//! secp256k1 by an [`EcdsaEngine`], Ed25519 by FROST. Every protocol is a [`Session`] that its caller drives; a failed run names who
//! broke it where that can be known ([`Abort`]). ECDSA needs auxiliary data, made once per roster ([`aux`]), from safe primes ([`primes`]).
//!
//! The crate owes its caller values that are valid by construction, and no panic on any bytes from outside. It asks for session ids that
//! never repeat, for authenticated and encrypted links, and that a partial signature is stored before it is sent. Secrets are wiped when
//! dropped where the libraries allow it: curve scalars and encoded forms are, the big integers of Paillier encryption are not.
//!
//! Where the protocols come from and where we depart from the papers: `docs/PAPER.md`.

#![cfg_attr(test, allow(clippy::unwrap_used))]
#![cfg_attr(
    not(test),
    warn(
        clippy::indexing_slicing,
        clippy::cast_possible_truncation,
        clippy::cast_possible_wrap,
        clippy::cast_sign_loss
    )
)]

#[cfg(all(feature = "backend-gmp", feature = "backend-num-bigint"))]
compile_error!(
    "choose one big-number backend: `backend-gmp` or `backend-num-bigint`, with default features off for the latter"
);
#[cfg(not(any(feature = "backend-gmp", feature = "backend-num-bigint")))]
compile_error!("choose a big-number backend: `backend-gmp` or `backend-num-bigint`");

mod abort;
// A file named `aux` cannot be checked out on every system.
#[path = "auxiliary.rs"]
pub mod aux;
mod blame;
mod ecdsa;
mod eddsa;
mod exchange;
pub mod keygen;
mod machine;
mod party;
mod possession;
pub mod primes;
mod session;
mod share;
mod signature;
pub mod signing;
mod suite;
mod tag;
#[cfg(feature = "testing")]
pub mod testing;
mod wire;

#[cfg(feature = "testing")]
pub use ecdsa::Transparent;
pub use {
    abort::Abort,
    aux::{AuxInfo, AuxInput},
    ecdsa::{Cggmp24, EcdsaEngine, PresignInput, Presigned},
    party::{CommitteeError, PartyIndex, SignerSet, Threshold},
    possession::Possession,
    primes::Primes,
    session::{Recipient, Session, SessionId, Step},
    share::{DecodeError, KeyId, KeyInfo, KeyShare},
    signature::{CombineError, Signature, combine},
    signing::{Commitments, Issued, NoncePoint, Partial, Payload, Ready, SigningInput},
    suite::Suite,
    wire::MESSAGE_LEN_MAX,
};

/// Whether toy parameters are compiled in. A daemon meant for money refuses to be built with them.
pub const TESTING: bool = cfg!(feature = "testing");

/// Whether the safe primes that anybody can read are compiled in. A daemon meant for money refuses to be built with them.
pub const PREPARED_PRIMES: bool = cfg!(feature = "prepared-primes");

/// Which big-number backend is compiled in, for logs and measurements.
pub const BACKEND: &str = if cfg!(feature = "backend-gmp") { "gmp" } else { "num-bigint" };
