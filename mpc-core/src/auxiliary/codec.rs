//! Auxiliary data as bytes for the store, in our own fixed layout.
//!
//! ```text
//! version 1 | level 1 | of 2 | party 2 | p | q | of × (N, N̂, s, t)      (numbers: length 2, then big-endian bytes)
//! ```

use cggmp24::{
    backend::Integer,
    key_share::{AuxInfo as LibraryAux, DirtyAuxInfo, PedersenParams, Validate},
    security_level::{SecurityLevel, SecurityLevel128},
};
use zeroize::Zeroizing;

use super::{AuxInfo, Body};
use crate::{
    party::Threshold,
    share::{DecodeError, Reader},
};

const VERSION: u8 = 1;
const STANDARD: u8 = 1;
#[cfg(feature = "testing")]
const TOY: u8 = 101;
#[cfg(feature = "testing")]
const EMPTY: u8 = 102;
/// No number here is longer than a 3072-bit modulus, give or take a bit.
const NUMBER_LEN_MAX: usize = 512;

impl AuxInfo {
    /// The auxiliary data as bytes.
    ///
    /// # Security
    /// They contain the party's Paillier primes: seal them. The returned buffer wipes itself.
    pub fn encode(&self) -> Zeroizing<Vec<u8>> {
        let public = self.public_bytes();
        // Long enough for everything, so that it never grows and leaves copies behind.
        let mut bytes = Zeroizing::new(Vec::with_capacity(6 + 2 * (2 + NUMBER_LEN_MAX) + public.len()));
        bytes.extend_from_slice(&[VERSION, self.level_byte()]);
        bytes.extend_from_slice(&self.of.to_be_bytes());
        bytes.extend_from_slice(&self.party.get().to_be_bytes());
        match &self.body {
            Body::Standard(library) => write_secret(&mut bytes, library),
            #[cfg(feature = "testing")]
            Body::Toy(library) => write_secret(&mut bytes, library),
            #[cfg(feature = "testing")]
            Body::Empty => {}
        }
        bytes.extend_from_slice(&public);
        bytes
    }

    /// Auxiliary data from its bytes; checks sizes, and that the primes make this party's modulus.
    ///
    /// # Errors
    /// [`DecodeError`]; never panics on any input.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader(bytes);
        reader.version(VERSION)?;
        let level = reader.byte("level")?;
        let (of, party) = (reader.number("of")?, reader.number("party")?);
        if !(2..=Threshold::PARTIES_MAX).contains(&of) || party >= of {
            return Err(DecodeError::Malformed { field: "party" });
        }
        match level {
            STANDARD => Ok(Self::standard(party, of, read::<SecurityLevel128>(reader, party, of)?)),
            #[cfg(feature = "testing")]
            TOY => Ok(Self::toy(party, of, read::<super::Toy>(reader, party, of)?)),
            #[cfg(feature = "testing")]
            EMPTY => reader.end().map(|()| Self::empty(party, of)),
            _ => Err(DecodeError::Malformed { field: "level" }),
        }
    }

    fn level_byte(&self) -> u8 {
        match &self.body {
            Body::Standard(_) => STANDARD,
            #[cfg(feature = "testing")]
            Body::Toy(_) => TOY,
            #[cfg(feature = "testing")]
            Body::Empty => EMPTY,
        }
    }

    /// The public parameters of all parties, in order.
    pub(super) fn public_bytes(&self) -> Vec<u8> {
        match &self.body {
            Body::Standard(library) => public_bytes(library),
            #[cfg(feature = "testing")]
            Body::Toy(library) => public_bytes(library),
            #[cfg(feature = "testing")]
            Body::Empty => Vec::new(),
        }
    }
}

fn write_number(bytes: &mut Vec<u8>, number: &Integer) {
    let digits = Zeroizing::new(number.to_bytes_msf());
    // At most NUMBER_LEN_MAX by construction; the length that does not fit would not read back either.
    bytes.extend_from_slice(&u16::try_from(digits.len()).unwrap_or(u16::MAX).to_be_bytes());
    bytes.extend_from_slice(&digits);
}

fn write_secret<L: SecurityLevel>(bytes: &mut Vec<u8>, library: &LibraryAux<L>) {
    write_number(bytes, &library.p);
    write_number(bytes, &library.q);
}

fn public_bytes<L: SecurityLevel>(library: &LibraryAux<L>) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (modulus, params) in library.N.iter().zip(&library.pedersen_params) {
        for number in [modulus, &params.hat_N, &params.s, &params.t] {
            write_number(&mut bytes, number);
        }
    }
    bytes
}

fn read<L: SecurityLevel>(mut reader: Reader<'_>, party: u16, of: u16) -> Result<LibraryAux<L>, DecodeError> {
    let mut number = |field| {
        let len = usize::from(reader.number(field)?);
        if len > NUMBER_LEN_MAX {
            return Err(DecodeError::Malformed { field });
        }
        reader.take(len, field).map(Integer::from_bytes_msf)
    };
    let (p, q) = (number("p")?, number("q")?);
    let (mut moduli, mut pedersen_params) = (Vec::new(), Vec::new());
    for _ in 0..of {
        moduli.push(number("modulus")?);
        let (hat_modulus, s, t) = (number("ring-Pedersen modulus")?, number("s")?, number("t")?);
        pedersen_params.push(PedersenParams { hat_N: hat_modulus, s, t, multiexp: None, crt: None });
    }
    reader.end()?;
    if moduli.get(usize::from(party)) != Some(&(&p * &q)) {
        return Err(DecodeError::inconsistent("the primes do not make the party's modulus"));
    }
    DirtyAuxInfo { p, q, N: moduli, pedersen_params, security_level: std::marker::PhantomData }
        .validate()
        .map_err(|error| DecodeError::inconsistent(error.error()))
}
