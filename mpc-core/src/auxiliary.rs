//! Auxiliary data of the ECDSA engine: every party's Paillier modulus and ring-Pedersen parameters, proved to all others.
//!
//! Made once per roster epoch and used for every key of that roster; independent of the keys. Needs four safe primes of its own
//! ([`crate::primes`]) per party. Seconds of computation, four message rounds, 0.4 MB per peer.
//!
//! Source: Canetti et al. (ePrint 2021/060, revision of 2024), auxiliary info generation; echo of round 1 added by the library and kept.

#[path = "auxiliary/codec.rs"]
mod codec;
#[cfg(feature = "testing")]
#[path = "auxiliary/dealt.rs"]
pub(crate) mod dealt;

use std::fmt;

use cggmp24::{key_share::AuxInfo as LibraryAux, security_level::SecurityLevel128};
use rand_core::CryptoRngCore;

use crate::{
    abort::Abort,
    ecdsa::EcdsaEngine,
    party::{PartyIndex, Threshold},
    primes::Primes,
    session::{Refused, Session, SessionId},
    tag,
};

/// A security level of the library that we use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Level {
    Standard,
    #[cfg(feature = "testing")]
    Toy,
}

impl Level {
    pub(crate) const fn prime_bits(self) -> u32 {
        match self {
            Self::Standard => crate::primes::STANDARD_BITS,
            #[cfg(feature = "testing")]
            Self::Toy => crate::primes::TOY_BITS,
        }
    }
}

/// Parameters that protect nothing: moduli of 1040 bits and slack far below what the proofs need.
#[cfg(feature = "testing")]
#[derive(Clone, Debug)]
pub(crate) struct Toy;

#[cfg(feature = "testing")]
mod toy {
    use super::Toy;
    cggmp24::define_security_level!(Toy {
        kappa_bits: 256,
        rsa_prime_bitlen: 520,
        rsa_pubkey_bitlen: 1039,
        epsilon: 320,
        ell: 256,
        ell_prime: 640,
        m: 128,
    });
}

/// What an auxiliary run is begun with; made by [`begin`] only.
pub struct AuxInput {
    pub(crate) session: SessionId,
    pub(crate) me: PartyIndex,
    pub(crate) of: u16,
    pub(crate) primes: Primes,
}

/// Begins the run as `me` in a committee of `of`, all of which must take part. Consumes the primes: each set serves one run.
///
/// A wrong input makes a session that stops at once with [`Abort::Local`].
///
/// # Security
/// `session` must never have been used before, nor `primes` anywhere else.
pub fn begin(
    engine: &dyn EcdsaEngine,
    session: SessionId,
    me: PartyIndex,
    of: u16,
    primes: Primes,
    rng: &mut dyn CryptoRngCore,
) -> Box<dyn Session<Output = AuxInfo>> {
    if !(2..=Threshold::PARTIES_MAX).contains(&of) || me.get() >= of {
        return Refused::boxed(Abort::local(format!(
            "{me:?} of {of} cannot be: 2 to {} parties",
            Threshold::PARTIES_MAX
        )));
    }
    engine.auxiliary(AuxInput { session, me, of, primes }, rng)
}

/// One party's auxiliary data: its Paillier primes, and the public parameters of all.
///
/// Not `Clone`; `Debug` shows no number.
///
/// # Security
/// The primes are big integers of the library, which are **not** wiped when dropped; the encoded form is.
pub struct AuxInfo {
    party: PartyIndex,
    of: u16,
    body: Body,
}

enum Body {
    Standard(Box<LibraryAux<SecurityLevel128>>),
    #[cfg(feature = "testing")]
    Toy(Box<LibraryAux<Toy>>),
    #[cfg(feature = "testing")]
    Empty,
}

impl AuxInfo {
    /// Whose primes these are.
    pub fn party(&self) -> PartyIndex {
        self.party
    }

    /// The size of the committee it was made by.
    pub fn of(&self) -> u16 {
        self.of
    }

    /// A digest of the public parameters of all parties: equal at all honest parties of one run.
    pub fn digest(&self) -> [u8; 32] {
        let public = self.public_bytes();
        tag::AUXILIARY.hash([public.as_slice()])
    }

    pub(crate) fn standard(party: u16, of: u16, library: LibraryAux<SecurityLevel128>) -> Self {
        Self { party: PartyIndex::new(party), of, body: Body::Standard(Box::new(library)) }
    }

    pub(crate) fn as_standard(&self) -> Option<&LibraryAux<SecurityLevel128>> {
        match &self.body {
            Body::Standard(library) => Some(library),
            #[cfg(feature = "testing")]
            Body::Toy(_) | Body::Empty => None,
        }
    }
}

#[cfg(feature = "testing")]
impl AuxInfo {
    pub(crate) fn toy(party: u16, of: u16, library: LibraryAux<Toy>) -> Self {
        Self { party: PartyIndex::new(party), of, body: Body::Toy(Box::new(library)) }
    }

    pub(crate) fn empty(party: u16, of: u16) -> Self {
        Self { party: PartyIndex::new(party), of, body: Body::Empty }
    }

    pub(crate) fn as_toy(&self) -> Option<&LibraryAux<Toy>> {
        match &self.body {
            Body::Toy(library) => Some(library),
            Body::Standard(_) | Body::Empty => None,
        }
    }
}

impl fmt::Debug for AuxInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "auxiliary data of {:?} of {}, primes withheld", self.party, self.of)
    }
}
