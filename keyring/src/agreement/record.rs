//! What one decree must remember across a crash, and how it is written down.

use mpc_core::SessionId;
use serde::{Deserialize, Serialize};

use crate::decree::{Ballot, Proposal};
use crate::message::{Certificate, Evidence, Share};

/// The durable part of a decree at one party. Written whole, in the same write as everything decided together with it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Nothing lower is joined or accepted any more.
    pub promised: Option<Ballot>,
    /// The highest ballot in which this party proposed, and what: one proposal per ballot, also across restarts.
    pub proposed: Option<(Ballot, Proposal)>,
    /// The highest run entered. A session is entered once, ever.
    pub entered: Option<(Ballot, SessionId)>,
    /// The highest join. For a signer this is also its burn: no other partial of that session exists.
    pub joined: Option<Joined>,
    /// The highest accepted record.
    pub accepted: Option<Accepted>,
    /// The decision, once known. Final.
    pub decided: Option<Certificate>,
}

/// A join as remembered: sent again as it is, never computed again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Joined {
    /// In which ballot.
    pub ballot: Ballot,
    /// Which proposal.
    pub proposal: [u8; 32],
    /// This party's part, if it signed.
    pub share: Option<Share>,
}

/// An accepted record: the answer and what proves that it may be accepted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accepted {
    /// In which ballot.
    pub ballot: Ballot,
    /// Digest of the answer.
    pub answer: [u8; 32],
    /// The proposal, the joins, the answer itself.
    pub evidence: Evidence,
}

impl Record {
    /// The stored form.
    ///
    /// # Errors
    /// Never for records made here; the codec's own error otherwise.
    pub fn encode(&self) -> Result<Vec<u8>, postcard::Error> {
        postcard::to_stdvec(self)
    }

    /// Reads the stored form.
    ///
    /// # Errors
    /// When the bytes are not such a record: the store is damaged or newer than this program.
    pub fn decode(bytes: &[u8]) -> Result<Self, postcard::Error> {
        postcard::from_bytes(bytes)
    }

    /// Whether `ballot` is at or above what was promised.
    #[must_use]
    pub fn allows(&self, ballot: Ballot) -> bool {
        self.promised.is_none_or(|promised| ballot >= promised)
    }

    /// Raises the promise; never lowers it.
    pub fn promise(&mut self, ballot: Ballot) {
        self.promised = self.promised.max(Some(ballot));
    }
}
