//! Who a node is: an Ed25519 key pair, of which the public half is its name.
//!
//! libp2p names nodes by a multihash of the same key; that form stays inside this crate.

use std::fmt;

use ed25519_dalek::VerifyingKey;
use libp2p::identity::{Keypair, PublicKey, ed25519};
use zeroize::Zeroizing;

/// A node's name: its 32-byte Ed25519 public key.
///
/// Any 32 bytes make a `PeerId`; whether they are a point of the curve is checked by [`PeerBook`](crate::PeerBook), the
/// only way in. `Display` shows the first four bytes, `{:x}` all of them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerId([u8; 32]);

impl PeerId {
    /// Names a node by its public key.
    #[must_use]
    pub const fn new(public_key: [u8; 32]) -> Self {
        Self(public_key)
    }

    /// The public key.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Whether the bytes are a public key, and not of small order: for such keys a signature is easily made up.
    pub(crate) fn is_safe_key(&self) -> bool {
        self.to_libp2p().is_some() && VerifyingKey::from_bytes(&self.0).is_ok_and(|key| !key.is_weak())
    }

    /// libp2p's name for the same node, or `None` if the bytes are not a public key.
    pub(crate) fn to_libp2p(self) -> Option<libp2p::PeerId> {
        let key = ed25519::PublicKey::try_from_bytes(&self.0).ok()?;
        Some(PublicKey::from(key).to_peer_id())
    }
}

impl From<[u8; 32]> for PeerId {
    fn from(public_key: [u8; 32]) -> Self {
        Self(public_key)
    }
}

impl fmt::Display for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(&self.0[..4]))
    }
}

impl fmt::LowerHex for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PeerId({self:x})")
    }
}

/// A node's secret: the 32-byte Ed25519 seed. Wiped when dropped, never shown, not `Clone`.
///
/// # Security
/// Whoever has the seed is the node. libp2p keeps its own copies of the expanded key for the life of the process.
pub struct NodeKey(Zeroizing<[u8; 32]>);

impl NodeKey {
    /// Takes a seed (RFC 8032, section 5.1.5: the private key before hashing).
    #[must_use]
    pub fn from_seed(seed: Zeroizing<[u8; 32]>) -> Self {
        Self(seed)
    }

    /// The node's public name.
    #[must_use]
    pub fn peer_id(&self) -> PeerId {
        PeerId(self.ed25519().public().to_bytes())
    }

    pub(crate) fn to_libp2p(&self) -> Keypair {
        self.ed25519().into()
    }

    fn ed25519(&self) -> ed25519::Keypair {
        let mut seed = Zeroizing::new(*self.0);
        // `try_from_bytes` refuses other lengths only; every 32 bytes are a seed.
        let secret = ed25519::SecretKey::try_from_bytes(&mut *seed).expect("a seed has 32 bytes");
        secret.into()
    }
}

impl fmt::Debug for NodeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NodeKey({}, seed hidden)", self.peer_id())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 8032, section 7.1, test 1.
    const SEED: &str = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60";
    const PUBLIC: &str = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";

    fn key() -> NodeKey {
        let mut seed = [0; 32];
        hex::decode_to_slice(SEED, &mut seed).unwrap();
        NodeKey::from_seed(Zeroizing::new(seed))
    }

    #[test]
    fn a_node_is_named_by_the_public_half_of_its_seed() {
        assert_eq!(format!("{:x}", key().peer_id()), PUBLIC);
        assert_eq!(key().peer_id().to_string(), "d75a9801");
        assert_eq!(key().peer_id().to_libp2p(), Some(key().to_libp2p().public().to_peer_id()));
    }

    #[test]
    fn debug_output_never_shows_the_seed() {
        assert_eq!(format!("{:?}", key()), "NodeKey(d75a9801, seed hidden)");
    }

    #[test]
    fn bytes_that_are_no_point_have_no_libp2p_name() {
        let no_point = (0..=255u8).map(|byte| PeerId::new([byte; 32])).find(|peer| peer.to_libp2p().is_none());
        assert!(no_point.is_some());
    }
}
