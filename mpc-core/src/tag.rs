//! Every hash domain of this crate, in one list, and the one way to hash under them.
//!
//! A tagged hash is `SHA-256(len(tag) ‖ tag ‖ len(part) ‖ part ‖ …)`, lengths as 8 big-endian bytes: no two lists of parts, under no two
//! tags, give the same input.

use sha2::{Digest, Sha256, Sha512};

/// One hash domain. A tag is never reused for another meaning; a changed meaning gets a new version.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tag(&'static str);

/// Names a key by suite and group key.
pub(crate) const KEY_ID: Tag = Tag("mpc-core/key-id/1");
/// All public shares of a key with its threshold.
pub(crate) const SHARES: Tag = Tag("mpc-core/public-shares/1");
/// Challenge of the proof of possession of a share.
pub(crate) const POSSESSION: Tag = Tag("mpc-core/possession/1");
/// Nonce of that proof, hedged: secret, randomness and statement.
pub(crate) const POSSESSION_NONCE: Tag = Tag("mpc-core/possession-nonce/1");
/// The public parameters of all parties of an auxiliary run.
pub(crate) const AUXILIARY: Tag = Tag("mpc-core/auxiliary/1");
/// Everything that all parties of one run must agree on.
pub(crate) const RUN: Tag = Tag("mpc-core/run/1");
/// What is signed, as one value.
pub(crate) const PAYLOAD: Tag = Tag("mpc-core/payload/1");
/// The public data of a signing run that partial signatures are checked against.
pub(crate) const COMMITMENTS: Tag = Tag("mpc-core/commitments/1");
/// One received message, to tell a repetition from a contradiction.
pub(crate) const MESSAGE: Tag = Tag("mpc-core/message/1");

impl Tag {
    /// SHA-256 of `parts` under this tag.
    pub(crate) fn hash<'a>(self, parts: impl IntoIterator<Item = &'a [u8]>) -> [u8; 32] {
        self.absorb::<Sha256>(parts).finalize().into()
    }

    /// SHA-512 of `parts` under this tag: wide enough to be reduced to a scalar without bias.
    pub(crate) fn wide_hash<'a>(self, parts: impl IntoIterator<Item = &'a [u8]>) -> [u8; 64] {
        self.absorb::<Sha512>(parts).finalize().into()
    }

    fn absorb<'a, D: Digest>(self, parts: impl IntoIterator<Item = &'a [u8]>) -> D {
        let mut hash = D::new();
        for part in std::iter::once(self.0.as_bytes()).chain(parts) {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        hash
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_cannot_be_moved_across_their_borders() {
        let hash = |parts: &[&[u8]]| RUN.hash(parts.iter().copied());
        assert_ne!(hash(&[b"ab", b"c"]), hash(&[b"a", b"bc"]));
        assert_ne!(hash(&[b"ab"]), hash(&[b"ab", b""]));
        assert_ne!(hash(&[b"ab"]), PAYLOAD.hash([b"ab".as_slice()]));
    }
}
