//! Sealing: nothing reaches the medium in the clear, and no record opens in another's place.
//!
//! A random *data key* seals every record with XChaCha20-Poly1305 under a fresh random 24-byte nonce; the associated
//! data names store, column and key, so that a record moved to another place does not open. The data key itself is
//! wrapped by a key-encryption key: derived from a passphrase with Argon2id, whose parameters are stored beside it, or
//! read from a key file. An older value of the same record does open: rollback of a whole disk is found by peers, who
//! remember the journal's head.

use super::medium::Column;
use super::{OpenError, SCHEMA, StoreError};
use crate::clock::Randomness;
use crate::tag::{self, Tagged};
use argon2::{Algorithm, Argon2, Params, Version};
use chacha20poly1305::aead::{AeadInPlace, KeyInit};
use chacha20poly1305::{Tag, XChaCha20Poly1305, XNonce};
use serde::{Deserialize, Serialize};
use std::fmt;
use zeroize::Zeroizing;

const NONCE_BYTES: usize = 24;
const TAG_BYTES: usize = 16;
/// First byte of every sealed record.
const RECORD_VERSION: u8 = 1;
/// Shortest passphrase: below this no derivation helps.
const PASSPHRASE_BYTES_MIN: usize = 12;
/// Highest Argon2 memory a header may ask for: a damaged header must not exhaust the machine.
const ARGON2_MEMORY_KIB_MAX: u32 = 4 * 1024 * 1024;
const ARGON2_PASSES_MAX: u32 = 64;
const ARGON2_LANES_MAX: u32 = 16;

/// What opens a store.
pub enum Unlock {
    /// A passphrase, stretched by Argon2id.
    Passphrase(Zeroizing<Vec<u8>>),
    /// The 32 random bytes of a key file.
    KeyFile(Zeroizing<[u8; 32]>),
}

impl fmt::Debug for Unlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Passphrase(_) => "Passphrase(…)",
            Self::KeyFile(_) => "KeyFile(…)",
        })
    }
}

/// What guessing a passphrase costs. Used when a store is made and stored in its header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Argon2Cost {
    /// Memory, in KiB.
    pub memory_kib: u32,
    /// Passes over it.
    pub passes: u32,
    /// Lanes.
    pub lanes: u32,
}

impl Default for Argon2Cost {
    /// The second recommendation of RFC 9106 §4: 64 MiB, three passes, four lanes.
    fn default() -> Self {
        Self { memory_kib: 64 * 1024, passes: 3, lanes: 4 }
    }
}

/// How the key-encryption key is had.
#[derive(Debug, Serialize, Deserialize)]
enum Derivation {
    Passphrase { cost: Argon2Cost, salt: [u8; 16] },
    KeyFile,
}

/// The store's header: in the clear, bound as a whole to the wrapped data key.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Header {
    store: [u8; 32],
    derivation: Derivation,
    wrapped: Vec<u8>,
}

/// The open seal of one store.
pub(super) struct Seal {
    store: [u8; 32],
    cipher: XChaCha20Poly1305,
    head_key: Zeroizing<[u8; 32]>,
}

// === impl Header ===

impl Header {
    pub(super) fn encode(&self) -> Result<Vec<u8>, OpenError> {
        postcard::to_stdvec(self).map_err(|_| OpenError::Header { what: "it does not encode" })
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, OpenError> {
        let (header, rest) =
            postcard::take_from_bytes(bytes).map_err(|_| OpenError::Header { what: "it does not decode" })?;
        if rest.is_empty() { Ok(header) } else { Err(OpenError::Header { what: "bytes follow it" }) }
    }
}

// === impl Seal ===

impl Seal {
    /// Makes a new store's id and data key.
    pub(super) fn create(
        unlock: &Unlock,
        cost: Argon2Cost,
        rng: &mut dyn Randomness,
    ) -> Result<(Self, Header), OpenError> {
        let mut store = [0; 32];
        rng.fill_bytes(&mut store);
        let derivation = match unlock {
            Unlock::KeyFile(_) => Derivation::KeyFile,
            Unlock::Passphrase(phrase) if phrase.len() < PASSPHRASE_BYTES_MIN => {
                return Err(OpenError::WeakPassphrase { found: phrase.len(), least: PASSPHRASE_BYTES_MIN });
            }
            Unlock::Passphrase(_) => {
                let mut salt = [0; 16];
                rng.fill_bytes(&mut salt);
                Derivation::Passphrase { cost, salt }
            }
        };
        let mut data_key = Zeroizing::new([0; 32]);
        rng.fill_bytes(data_key.as_mut_slice());
        let wrapping = cipher(&*derive(unlock, &derivation)?);
        let wrapped = seal(&wrapping, &wrap_context(&store, &derivation)?, data_key.as_slice(), rng)
            .map_err(|_| OpenError::Header { what: "the data key does not seal" })?;
        Ok((Self::open_with(store, &data_key), Header { store, derivation, wrapped }))
    }

    /// Opens a store's seal, or says which key is missing.
    pub(super) fn open(unlock: &Unlock, header: &Header) -> Result<Self, OpenError> {
        let wrapping = cipher(&*derive(unlock, &header.derivation)?);
        let plain = open(&wrapping, &wrap_context(&header.store, &header.derivation)?, &header.wrapped)
            .map_err(|_| OpenError::WrongKey)?;
        let mut data_key = Zeroizing::new([0; 32]);
        if plain.len() != data_key.len() {
            return Err(OpenError::Header { what: "the data key has a wrong length" });
        }
        data_key.copy_from_slice(&plain);
        Ok(Self::open_with(header.store, &data_key))
    }

    fn open_with(store: [u8; 32], data_key: &Zeroizing<[u8; 32]>) -> Self {
        let head_key = Zeroizing::new(Tagged::new(tag::JOURNAL_HEAD_KEY).part(data_key.as_slice()).finish());
        Self { store, cipher: cipher(data_key), head_key }
    }

    /// Seals a value for one place.
    pub(super) fn seal(
        &self,
        column: Column,
        key: &[u8],
        value: &[u8],
        rng: &mut dyn Randomness,
    ) -> Result<Vec<u8>, StoreError> {
        seal(&self.cipher, &self.context(column, key), value, rng).map_err(|what| damaged(column, key, what))
    }

    /// Opens a record in its place.
    pub(super) fn open_record(
        &self,
        column: Column,
        key: &[u8],
        sealed: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, StoreError> {
        open(&self.cipher, &self.context(column, key), sealed).map_err(|what| damaged(column, key, what))
    }

    /// Begins the digest of the next head. Keyed: heads travel to peers, and a peer who knows all of a batch but one
    /// value must not be able to try values against them.
    pub(super) fn head_digest(&self) -> Tagged {
        Tagged::new(tag::JOURNAL_HEAD).part(self.head_key.as_slice()).part(&self.store)
    }

    fn context(&self, column: Column, key: &[u8]) -> [u8; 32] {
        Tagged::new(tag::SEALED_RECORD).part(&self.store).part(column.name().as_bytes()).part(key).finish()
    }
}

// === the cipher ===

fn cipher(key: &[u8; 32]) -> XChaCha20Poly1305 {
    XChaCha20Poly1305::new(key.into())
}

/// version ‖ nonce ‖ tag ‖ ciphertext.
fn seal(
    cipher: &XChaCha20Poly1305,
    context: &[u8; 32],
    plain: &[u8],
    rng: &mut dyn Randomness,
) -> Result<Vec<u8>, &'static str> {
    let mut nonce = [0; NONCE_BYTES];
    rng.fill_bytes(&mut nonce);
    // Encrypted in place in its final buffer, so that no copy of the plain value is left in freed memory.
    let body = 1 + NONCE_BYTES + TAG_BYTES;
    let mut sealed = Vec::with_capacity(body + plain.len());
    sealed.push(RECORD_VERSION);
    sealed.extend_from_slice(&nonce);
    sealed.extend_from_slice(&[0; TAG_BYTES]);
    sealed.extend_from_slice(plain);
    let tag = cipher
        .encrypt_in_place_detached(XNonce::from_slice(&nonce), context, &mut sealed[body..])
        .map_err(|_| "it does not seal")?;
    sealed[1 + NONCE_BYTES..body].copy_from_slice(&tag);
    Ok(sealed)
}

fn open(cipher: &XChaCha20Poly1305, context: &[u8; 32], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, &'static str> {
    let Some((&RECORD_VERSION, rest)) = sealed.split_first() else {
        return Err("it has no known version");
    };
    let (Some((nonce, rest)), true) = (rest.split_at_checked(NONCE_BYTES), rest.len() >= NONCE_BYTES + TAG_BYTES)
    else {
        return Err("it is cut short");
    };
    let (tag, body) = rest.split_at(TAG_BYTES);
    let mut plain = Zeroizing::new(body.to_vec());
    cipher
        .decrypt_in_place_detached(XNonce::from_slice(nonce), context, &mut plain, Tag::from_slice(tag))
        .map_err(|_| "it does not open")?;
    Ok(plain)
}

fn derive(unlock: &Unlock, derivation: &Derivation) -> Result<Zeroizing<[u8; 32]>, OpenError> {
    match (unlock, derivation) {
        (Unlock::KeyFile(key), Derivation::KeyFile) => Ok(key.clone()),
        (Unlock::Passphrase(phrase), Derivation::Passphrase { cost, salt }) => stretch(phrase, *cost, salt),
        (_, Derivation::KeyFile) => Err(OpenError::WrongKind { needs: "key file" }),
        (_, Derivation::Passphrase { .. }) => Err(OpenError::WrongKind { needs: "passphrase" }),
    }
}

fn stretch(phrase: &[u8], cost: Argon2Cost, salt: &[u8; 16]) -> Result<Zeroizing<[u8; 32]>, OpenError> {
    let out_of_bounds = OpenError::Header { what: "its Argon2 parameters are out of bounds" };
    if cost.memory_kib > ARGON2_MEMORY_KIB_MAX || cost.passes > ARGON2_PASSES_MAX || cost.lanes > ARGON2_LANES_MAX {
        return Err(out_of_bounds);
    }
    let Ok(params) = Params::new(cost.memory_kib, cost.passes, cost.lanes, Some(32)) else {
        return Err(out_of_bounds);
    };
    let mut key = Zeroizing::new([0; 32]);
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into(phrase, salt, key.as_mut_slice())
        .map_err(|_| OpenError::Header { what: "the passphrase cannot be stretched with its parameters" })?;
    Ok(key)
}

fn wrap_context(store: &[u8; 32], derivation: &Derivation) -> Result<[u8; 32], OpenError> {
    let derivation =
        postcard::to_stdvec(derivation).map_err(|_| OpenError::Header { what: "its derivation does not encode" })?;
    Ok(Tagged::new(tag::WRAPPED_KEY).number(u64::from(SCHEMA)).part(store).part(&derivation).finish())
}

fn damaged(column: Column, key: &[u8], what: &'static str) -> StoreError {
    StoreError::Damaged { place: format!("{}/{}", column.name(), hex::encode(key)), what }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Table;
    use rand::SeedableRng;
    use rand_chacha::ChaCha20Rng;

    fn sealed() -> (Seal, Vec<u8>) {
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        let unlock = Unlock::KeyFile(Zeroizing::new([9; 32]));
        let (seal, _) = Seal::create(&unlock, Argon2Cost::default(), &mut rng).unwrap();
        let record = seal.seal(Column::Table(Table::Share), b"k", b"the plain value", &mut rng).unwrap();
        (seal, record)
    }

    #[test]
    fn a_record_opens_only_in_its_own_place() {
        let (seal, record) = sealed();
        assert_eq!(&**seal.open_record(Column::Table(Table::Share), b"k", &record).unwrap(), b"the plain value");
        assert!(seal.open_record(Column::Table(Table::Share), b"l", &record).is_err());
        assert!(seal.open_record(Column::Table(Table::Key), b"k", &record).is_err());
    }

    #[test]
    fn a_record_with_any_byte_changed_or_missing_does_not_open() {
        let (seal, record) = sealed();
        for place in 0..record.len() {
            let mut changed = record.clone();
            changed[place] ^= 1;
            assert!(seal.open_record(Column::Table(Table::Share), b"k", &changed).is_err(), "byte {place}");
            assert!(seal.open_record(Column::Table(Table::Share), b"k", &record[..place]).is_err(), "cut {place}");
        }
    }

    #[test]
    fn a_header_that_asks_for_absurd_memory_is_refused_before_it_is_tried() {
        let absurd = Argon2Cost { memory_kib: u32::MAX, passes: 1, lanes: 1 };
        assert!(matches!(stretch(b"long enough phrase", absurd, &[0; 16]), Err(OpenError::Header { .. })));
    }

    #[test]
    fn weaker_parameters_in_the_header_do_not_open_the_data_key() {
        let mut rng = ChaCha20Rng::seed_from_u64(2);
        let unlock = Unlock::Passphrase(Zeroizing::new(b"correct horse battery".to_vec()));
        let cheap = Argon2Cost { memory_kib: 64, passes: 1, lanes: 1 };
        let (_, mut header) = Seal::create(&unlock, cheap, &mut rng).unwrap();
        assert!(Seal::open(&unlock, &header).is_ok());
        header.derivation = Derivation::Passphrase { cost: Argon2Cost { memory_kib: 32, ..cheap }, salt: [0; 16] };
        assert!(matches!(Seal::open(&unlock, &header), Err(OpenError::WrongKey)));
    }
}
