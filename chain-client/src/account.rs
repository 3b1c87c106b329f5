//! A chain account that we hold the key of: its address, its signatures.
//!
//! Refuses to know transactions. The secret is wiped when dropped, never printed, never copied out.

use std::fmt;
use std::path::{Path, PathBuf};

use k256::ecdsa::signature::Signer as _;
use k256::ecdsa::{Signature, SigningKey};
use zeroize::Zeroizing;

use crate::wallet;

/// A secp256k1 account key.
///
/// # Security
/// Whoever holds these 32 bytes can spend the account and publish in the party's name.
pub struct PartyAccount {
    key: SigningKey,
    address: String,
}

impl fmt::Debug for PartyAccount {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "PartyAccount({})", self.address)
    }
}

/// A secret that is no account key. Never holds any of it.
#[derive(Debug, thiserror::Error)]
pub enum AccountError {
    /// Not 64 hex digits, or not in the curve's range.
    #[error("account key must be 64 hex digits of a number between 1 and the order of secp256k1")]
    Invalid,
    /// The file cannot be read.
    #[error("account key file {path} cannot be read")]
    File {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

impl PartyAccount {
    /// From 32 bytes, big-endian.
    ///
    /// # Errors
    /// When the number is 0 or not below the order of the group.
    pub fn from_bytes(secret: &Zeroizing<[u8; 32]>) -> Result<Self, AccountError> {
        let key = SigningKey::from_slice(secret.as_slice()).map_err(|_| AccountError::Invalid)?;
        let address = wallet::account_address(&public_key(&key));
        Ok(Self { key, address })
    }

    /// From 64 hex digits; white space around them is not looked at.
    ///
    /// # Errors
    /// When it is no such number.
    pub fn from_hex(secret: &str) -> Result<Self, AccountError> {
        let mut bytes = Zeroizing::new([0; 32]);
        hex::decode_to_slice(secret.trim(), bytes.as_mut_slice()).map_err(|_| AccountError::Invalid)?;
        Self::from_bytes(&bytes)
    }

    /// From a file that holds 64 hex digits.
    ///
    /// # Errors
    /// When the file cannot be read, or holds no such number.
    pub fn from_file(path: &Path) -> Result<Self, AccountError> {
        let text = std::fs::read_to_string(path)
            .map(Zeroizing::new)
            .map_err(|source| AccountError::File { path: path.to_owned(), source })?;
        Self::from_hex(&text)
    }

    /// The account's address, `zen1…`.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The compressed public key.
    #[must_use]
    pub fn public_key(&self) -> [u8; 33] {
        public_key(&self.key)
    }

    /// What accompanies an answer: the account's signature over the request's number, 8 bytes big-endian. Always 64
    /// bytes; the chain rejects the request of any other length (`docs/zrchain.md`, *Party signature*).
    #[must_use]
    pub fn party_signature(&self, request_number: u64) -> [u8; 64] {
        self.sign(&request_number.to_be_bytes())
    }

    /// `r‖s` over SHA-256 of a message, lower half, nonce by RFC 6979: the same bytes for the same message.
    pub(crate) fn sign(&self, message: &[u8]) -> [u8; 64] {
        let signature: Signature = self.key.sign(message);
        signature.normalize_s().unwrap_or(signature).to_bytes().into()
    }
}

fn public_key(key: &SigningKey) -> [u8; 33] {
    let point = key.verifying_key().to_encoded_point(true);
    let mut bytes = [0; 33];
    bytes.copy_from_slice(point.as_bytes());
    bytes
}
