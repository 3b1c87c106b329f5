//! Every hash domain of the daemon, in one list. Two different things never hash alike because no two tags are alike.
//!
//! A tagged hash is `SHA-256(len(tag) as u64 ‖ tag ‖ for each part: len(part) as u64 ‖ part)`: parts cannot slide into
//! each other, whatever their contents.

use sha2::{Digest as _, Sha256};

/// What a peer signs: the contents of one message and where its writer's journal stood.
pub const MESSAGE: &str = "keyring/message/v1";
/// The name of one proposal.
pub const PROPOSAL: &str = "keyring/proposal/v1";
/// The name of one answer within its decree.
pub const ANSWER: &str = "keyring/answer/v1";
/// What a party understood a request to be.
pub const REQUEST: &str = "keyring/request/v1";
/// The lane of signed statements between peers.
pub const AGREEMENT_LANE: &str = "keyring/lane/agreement/v1";
/// A signing run.
pub const SESSION_SIGN: &str = "keyring/session/sign/v1";
/// A key generation for the shelf.
pub const SESSION_KEY: &str = "keyring/session/key/v1";
/// The auxiliary data of a roster.
pub const SESSION_AUXILIARY: &str = "keyring/session/auxiliary/v1";
/// What a peer gives out for the next renewal of a lease.
pub const LEASE_TOKEN: &str = "keyring/lease/token/v1";
/// What a party proves its share over.
pub const STORED: &str = "keyring/stored/v1";
/// The event of a contract that asked.
pub const EVENT: &str = "keyring/event/v1";
/// The order in which parties take their turns at a decree.
pub const ORDER: &str = "keyring/order/v1";
/// The journal's head: the head before it and one batch.
pub const JOURNAL_HEAD: &str = "keyring/journal/head/v1";
/// Key of the journal's head, made from the data key: heads travel to peers and must not confirm guesses of secrets.
pub const JOURNAL_HEAD_KEY: &str = "keyring/journal/head-key/v1";
/// The place that a sealed record is bound to.
pub const SEALED_RECORD: &str = "keyring/store/record/v1";
/// What the wrapped data key is bound to.
pub const WRAPPED_KEY: &str = "keyring/store/wrapped-key/v1";
/// The roster as a whole.
pub const ROSTER: &str = "keyring/roster/v1";
/// What all parties of a roster agree to: epoch, threshold, names and node keys in order.
pub const ROSTER_TERMS: &str = "keyring/roster/terms/v1";
/// One party's entry before there is a roster, as it is sent to the others.
pub const ROSTER_CARD: &str = "keyring/roster/card/v1";
/// One party's entry in a roster, as that party signs it.
pub const ROSTER_ENTRY: &str = "keyring/roster/entry/v1";

/// SHA-256 over a tag and length-prefixed parts.
#[must_use]
pub fn hash(tag: &str, parts: &[&[u8]]) -> [u8; 32] {
    parts.iter().fold(Tagged::new(tag), |tagged, part| tagged.part(part)).finish()
}

/// The same hash, taken part by part: for what is too long or too secret to be gathered in one list.
#[derive(Clone)]
pub struct Tagged(Sha256);

impl Tagged {
    /// Begins a hash under `tag`.
    #[must_use]
    pub fn new(tag: &str) -> Self {
        Self(Sha256::new()).part(tag.as_bytes())
    }

    /// Adds a part.
    #[must_use]
    pub fn part(mut self, part: &[u8]) -> Self {
        self.0.update((part.len() as u64).to_be_bytes());
        self.0.update(part);
        self
    }

    /// Adds a number as a part of eight bytes, big endian.
    #[must_use]
    pub fn number(self, number: u64) -> Self {
        self.part(&number.to_be_bytes())
    }

    /// The hash.
    #[must_use]
    pub fn finish(self) -> [u8; 32] {
        self.0.finalize().into()
    }
}

#[cfg(test)]
mod tests {
    use super::hash;

    #[test]
    fn parts_do_not_slide_into_each_other() {
        assert_ne!(hash("t", &[b"ab", b"c"]), hash("t", &[b"a", b"bc"]));
        assert_ne!(hash("t", &[b"ab"]), hash("t", &[b"ab", b""]));
        assert_ne!(hash("ta", &[b"b"]), hash("t", &[b"ab"]));
    }
}
