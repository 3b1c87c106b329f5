//! The node's Ed25519 key: it signs every message of this party, its roster entry, and (as libp2p identity) its links.
//!
//! One seed serves both the signatures here and `transport`'s handshake: their domains cannot meet, since everything
//! signed here is a tagged digest and the handshake signs its own prefix.

use crate::clock::Randomness;
use crate::config;
use crate::files;
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use std::fmt;
use std::path::Path;
use zeroize::Zeroizing;

/// This node's signing key. Never cloned, wiped when dropped.
pub struct NodeIdentity {
    key: SigningKey,
}

/// Why an identity could not be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IdentityError {
    /// The secret is neither 32 bytes nor 64 hexadecimal digits.
    #[error("a node identity is 32 bytes or 64 hexadecimal digits; this one has {found} bytes")]
    Length {
        /// Bytes found.
        found: usize,
    },
    /// The file cannot be written. An existing one is never overwritten.
    #[error("cannot write the node identity to {path}")]
    Write {
        /// Where.
        path: std::path::PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
}

impl NodeIdentity {
    /// The identity of a seed.
    pub fn from_seed(seed: &Zeroizing<[u8; 32]>) -> Self {
        Self { key: SigningKey::from_bytes(seed) }
    }

    /// The identity in a secret as people keep it: 32 bytes, or 64 hexadecimal digits with or without a line end.
    ///
    /// # Errors
    /// [`IdentityError::Length`].
    pub fn from_secret(secret: &[u8]) -> Result<Self, IdentityError> {
        let seed = config::key_from(secret).ok_or(IdentityError::Length { found: secret.len() })?;
        Ok(Self::from_seed(&seed))
    }

    /// A new identity.
    pub fn generate(rng: &mut dyn Randomness) -> Self {
        let mut seed = Zeroizing::new([0; 32]);
        rng.fill_bytes(seed.as_mut_slice());
        Self::from_seed(&seed)
    }

    /// Writes the seed to a new file of mode 0600 and syncs it.
    ///
    /// # Errors
    /// [`IdentityError::Write`], also when the file exists.
    pub fn save_new(&self, path: &Path) -> Result<(), IdentityError> {
        let seed = self.seed();
        files::write_new(path, seed.as_slice(), files::PRIVATE)
            .map_err(|source| IdentityError::Write { path: path.to_owned(), source })
    }

    /// The seed, to feed the link layer's key.
    ///
    /// # Security
    /// Whoever holds it is this node.
    pub fn seed(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.key.to_bytes())
    }

    /// The public key by which peers know this node.
    pub fn public(&self) -> [u8; 32] {
        self.key.verifying_key().to_bytes()
    }

    /// Signs a message, by custom a tagged digest.
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.key.sign(message).to_bytes()
    }
}

impl fmt::Debug for NodeIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NodeIdentity({})", hex::encode(self.public()))
    }
}

/// Does `signature` over `message` verify under `public`? Strict: no small-order keys, no second form of a signature.
pub fn verify(public: &[u8; 32], message: &[u8], signature: &[u8; 64]) -> bool {
    VerifyingKey::from_bytes(public)
        .is_ok_and(|key| key.verify_strict(message, &Signature::from_bytes(signature)).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use rand_chacha::ChaCha20Rng;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_signature_verifies_for_its_key_and_message_only() {
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        let (alice, bob) = (NodeIdentity::generate(&mut rng), NodeIdentity::generate(&mut rng));
        let signature = alice.sign(b"one");
        assert!(verify(&alice.public(), b"one", &signature));
        assert!(!verify(&alice.public(), b"two", &signature));
        assert!(!verify(&bob.public(), b"one", &signature));
    }

    #[test]
    fn a_key_of_small_order_verifies_nothing() {
        let mut identity_point = [0; 32];
        identity_point[0] = 1;
        let mut signature = [0; 64];
        signature[0] = 1;
        assert!(!verify(&identity_point, b"anything", &signature));
    }

    #[test]
    fn a_saved_identity_is_private_comes_back_and_is_never_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("identity");
        let saved = NodeIdentity::generate(&mut ChaCha20Rng::seed_from_u64(2));
        saved.save_new(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let bytes = std::fs::read(&path).unwrap();
        assert_eq!(NodeIdentity::from_secret(&bytes).unwrap().public(), saved.public());
        let text = format!("{}\n", hex::encode(&bytes));
        assert_eq!(NodeIdentity::from_secret(text.as_bytes()).unwrap().public(), saved.public());
        assert!(saved.save_new(&path).is_err());
    }

    #[test]
    fn the_seed_is_not_in_the_debug_form() {
        let identity = NodeIdentity::from_seed(&Zeroizing::new([0xAB; 32]));
        assert!(!format!("{identity:?}").contains("abababab"));
    }
}
