//! The words of agreement: what a decree is called, which ballots it has, what may be proposed in one.
//!
//! One decree per (chain, keyring, kind, request, item). It settles, once, on the exact bytes that answer that request.
//! This room only names things; [`crate::agreement`] moves them.

use std::fmt;

use mpc_core::{KeyId, PartyIndex, SessionId};
use serde::{Deserialize, Serialize};

use crate::tag;

/// Bytes of an event's name that a person is shown.
pub const EVENT_BYTES_SHOWN: usize = 6;

/// What a decree is about. Forward and discard decrees belong to later controllers and are not made yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Kind {
    /// Which key of the shelf answers a key request.
    Key,
    /// Which signature answers a signature request.
    Signature,
    /// Which key of the shelf authorises answers at a contract. Asked for by the roster, not by a chain.
    Controller,
    /// Which signature of the controller key admits a decided answer to a contract.
    Authorisation,
    /// Which transaction a simple one becomes: nonce, gas and price, as its destination showed them at one block.
    Completion,
}

impl Kind {
    /// The word used in logs, tables and metrics.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::Signature => "signature",
            Self::Controller => "controller",
            Self::Authorisation => "authorisation",
            Self::Completion => "completion",
        }
    }

    /// All of them.
    pub const ALL: [Self; 5] = [Self::Key, Self::Signature, Self::Controller, Self::Authorisation, Self::Completion];

    /// Whether such a decree settles on a key of the shelf.
    #[must_use]
    pub const fn names_a_key(self) -> bool {
        matches!(self, Self::Key | Self::Controller)
    }

    const fn byte(self) -> u8 {
        match self {
            Self::Key => 1,
            Self::Signature => 2,
            Self::Controller => 3,
            Self::Authorisation => 4,
            Self::Completion => 5,
        }
    }
}

/// The name of a decree. Ordered by chain, keyring, kind and number, so ties between requests break by request.
///
/// On an EVM chain numbers are given anew when blocks are, so there the event that asked is part of the name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct DecreeId {
    /// Chain id, for example `zenrock`; at most 64 bytes.
    pub chain: String,
    /// Keyring (or contract) address on that chain; at most 128 bytes.
    pub keyring: String,
    /// What is settled.
    pub kind: Kind,
    /// The chain's own number of the request; on a contract its trace number, for a key its index among its owner's.
    pub request: u64,
    /// On a contract: the name of the event that asked ([`crate::contract::Asked::decree`]). `None` where numbers are for ever.
    pub event: Option<[u8; 32]>,
    /// Which data item of the request; 0 on zrChain, where every item is a request of its own.
    pub item: u32,
}

impl DecreeId {
    /// Longest chain id that a peer may name.
    pub const CHAIN_BYTES_MAX: usize = 64;
    /// Longest keyring address that a peer may name.
    pub const KEYRING_BYTES_MAX: usize = 128;

    /// The database key: fields in order, text length-prefixed, numbers big-endian.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(32 + self.chain.len() + self.keyring.len());
        for text in [&self.chain, &self.keyring] {
            bytes.extend_from_slice(&(text.len() as u64).to_be_bytes());
            bytes.extend_from_slice(text.as_bytes());
        }
        bytes.push(self.kind.byte());
        bytes.extend_from_slice(&self.request.to_be_bytes());
        bytes.push(u8::from(self.event.is_some()));
        bytes.extend_from_slice(self.event.as_ref().map_or(&[], <[u8; 32]>::as_slice));
        bytes.extend_from_slice(&self.item.to_be_bytes());
        bytes
    }

    /// What the database keys of all decrees of a chain begin with.
    #[must_use]
    pub fn prefix_of_chain(chain: &str) -> Vec<u8> {
        [&(chain.len() as u64).to_be_bytes(), chain.as_bytes()].concat()
    }

    /// What the database keys of all events of a number begin with.
    #[must_use]
    pub fn prefix(&self) -> Vec<u8> {
        let mut bytes = Self { event: None, ..self.clone() }.to_bytes();
        bytes.truncate(bytes.len() - 1 - size_of::<u32>());
        bytes
    }

    /// Reads a database key back; `None` if it is none.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (chain, rest) = split_text(bytes)?;
        let (keyring, rest) = split_text(rest)?;
        let (kind, rest) = rest.split_first()?;
        let (request, rest) = rest.split_first_chunk::<8>()?;
        let kind = Kind::ALL.into_iter().find(|known| known.byte() == *kind)?;
        let (event, item) = match rest.split_first()? {
            (0, rest) => (None, rest),
            (1, rest) => rest.split_first_chunk::<32>().map(|(event, rest)| (Some(*event), rest))?,
            _ => return None,
        };
        Some(Self {
            chain,
            keyring,
            kind,
            request: u64::from_be_bytes(*request),
            event,
            item: u32::from_be_bytes(item.try_into().ok()?),
        })
    }

    /// Whether the texts keep their bounds; checked on everything that comes from a peer.
    #[must_use]
    pub fn is_bounded(&self) -> bool {
        self.chain.len() <= Self::CHAIN_BYTES_MAX && self.keyring.len() <= Self::KEYRING_BYTES_MAX
    }
}

fn split_text(bytes: &[u8]) -> Option<(String, &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<8>()?;
    let (text, rest) = rest.split_at_checked(usize::try_from(u64::from_be_bytes(*length)).ok()?)?;
    Some((String::from_utf8(text.to_vec()).ok()?, rest))
}

impl fmt::Display for DecreeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.chain, self.kind.word(), self.request)?;
        if let Some(event) = &self.event {
            write!(f, "@{}", hex::encode(&event[..EVENT_BYTES_SHOWN]))?;
        }
        if self.item > 0 { write!(f, ".{}", self.item) } else { Ok(()) }
    }
}

/// A numbered attempt and the party that leads it. Higher attempts beat lower ones; ties break by leader, so two parties
/// never share a ballot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Ballot {
    /// 0 belongs to the first leader alone and is the only one that skips `prepare`.
    pub attempt: u32,
    /// Who may propose in it.
    pub leader: PartyIndex,
}

impl fmt::Display for Ballot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.attempt, self.leader)
    }
}

/// What a leader puts forward.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Value {
    /// A signing run that begins after the digest was fixed. Exactly `t` signers, ascending.
    Run {
        /// Who signs.
        signers: Vec<PartyIndex>,
        /// The run; a function of epoch, decree, ballot and signers, so it never repeats.
        session: SessionId,
        /// The auxiliary data that an ECDSA run uses; none for EdDSA.
        auxiliary: Option<[u8; 32]>,
    },
    /// A finished key from the leader's lane of the shelf.
    Key {
        /// The key.
        key: KeyId,
        /// Its public bytes as the chain will show them: 33 (compressed secp256k1) or 32 (Ed25519).
        public: Vec<u8>,
    },
    /// The answer of the highest accepted ballot that `Q` promises reported.
    Adopt {
        /// The exact bytes.
        answer: Vec<u8>,
    },
    /// A simple transaction, completed by what its destination shows at one final block.
    Transaction {
        /// The block's height on the destination.
        height: u64,
        /// The block.
        block: [u8; 32],
        /// The transaction: nine items, unsigned.
        bytes: Vec<u8>,
    },
}

/// One proposal of one ballot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proposal {
    /// What its leader understood the request to be; every joiner compares it with its own reading.
    pub request: [u8; 32],
    /// What is proposed.
    pub value: Value,
}

impl Proposal {
    /// The proposal's name in joins, bound to decree and ballot.
    #[must_use]
    pub fn digest(&self, decree: &DecreeId, ballot: Ballot) -> [u8; 32] {
        // postcard of these plain types cannot fail; an empty encoding would still be bound to decree and ballot.
        let body = postcard::to_stdvec(self).unwrap_or_default();
        tag::hash(tag::PROPOSAL, &[&decree.to_bytes(), &ballot_bytes(ballot), &body])
    }
}

/// The name of an answer within its decree.
#[must_use]
pub fn answer_digest(decree: &DecreeId, answer: &[u8]) -> [u8; 32] {
    tag::hash(tag::ANSWER, &[&decree.to_bytes(), answer])
}

/// The signing session of a ballot; never repeats because a ballot has one proposal.
#[must_use]
pub fn signing_session(epoch: u64, decree: &DecreeId, ballot: Ballot, signers: &[PartyIndex]) -> SessionId {
    let signers: Vec<u8> = signers.iter().flat_map(|party| party.get().to_be_bytes()).collect();
    SessionId::new(tag::hash(
        tag::SESSION_SIGN,
        &[&epoch.to_be_bytes(), &decree.to_bytes(), &ballot_bytes(ballot), &signers],
    ))
}

fn ballot_bytes(ballot: Ballot) -> [u8; 6] {
    let (attempt, leader) = (ballot.attempt.to_be_bytes(), ballot.leader.get().to_be_bytes());
    [attempt[0], attempt[1], attempt[2], attempt[3], leader[0], leader[1]]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_key_reads_back_and_sorts_by_number() {
        for (kind, event) in [(Kind::Signature, None), (Kind::Key, Some([7; 32]))] {
            let id = |request| DecreeId {
                chain: "zenrock".into(),
                keyring: "keyring1".into(),
                kind,
                request,
                event,
                item: 3,
            };
            assert_eq!(DecreeId::from_bytes(&id(300).to_bytes()), Some(id(300)));
            assert!(id(255).to_bytes() < id(256).to_bytes());
            assert!(
                id(300).to_bytes().starts_with(&id(300).prefix()) && !id(300).to_bytes().starts_with(&id(301).prefix())
            );
            assert!(id(1).to_bytes().starts_with(&DecreeId::prefix_of_chain("zenrock")));
            assert!(!id(1).to_bytes().starts_with(&DecreeId::prefix_of_chain("zenroc")));
            let bytes = id(1).to_bytes();
            (0..bytes.len()).for_each(|cut| assert_eq!(DecreeId::from_bytes(&bytes[..cut]), None));
            assert_eq!(DecreeId::from_bytes(&[bytes, vec![0]].concat()), None);
        }
    }

    #[test]
    fn a_person_is_shown_which_event_asked() {
        let id = DecreeId {
            chain: "eip155:1".into(),
            keyring: "0x".into(),
            kind: Kind::Key,
            request: 0,
            event: Some([0xab; 32]),
            item: 0,
        };
        assert_eq!(id.to_string(), "eip155:1/key/0@abababababab");
        assert_eq!(DecreeId { event: None, item: 2, ..id }.to_string(), "eip155:1/key/0.2");
    }
}
