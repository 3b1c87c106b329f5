//! What parties say to each other about agreement and stock, signed, versioned and bounded.
//!
//! An [`Envelope`] is a statement: who says what about which decree, and where that party's journal stood when it said
//! so. Its signature covers all of it. A [`Packet`] is an envelope with what must travel beside it but need not be
//! signed by this sender, because every piece proves itself: evidence, a certificate, the promises behind a proposal.
//! Several packets make one frame. Protocol rounds of a signing run do not pass here; they have lanes of their own.

use ed25519_dalek::{Signature, VerifyingKey};
use mpc_core::PartyIndex;
use serde::{Deserialize, Serialize};

use crate::decree::{Ballot, DecreeId, Proposal};
use crate::identity::NodeIdentity;
use crate::lease::{Held, LeaseWord};
use crate::stock::{StockWord, Stored};
use crate::tag;

/// Version of the peer protocol; frames of another version are refused.
pub const VERSION: u8 = 1;
/// Most packets in one frame.
pub const PACKETS_MAX: usize = 256;
/// Longest frame of packets, in bytes; a `propose` of 32 parties with its promises and evidence stays below a tenth of it.
pub const FRAME_BYTES_MAX: usize = 1 << 20;

/// A signer's part of an answer, as its join carries it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Share {
    /// The run it came from.
    pub session: mpc_core::SessionId,
    /// The partial signature.
    pub partial: Vec<u8>,
    /// The nonce point that all signers of the run must name alike.
    pub nonce_point: Vec<u8>,
    /// Digest of the run's public commitments.
    pub commitments: [u8; 32],
}

/// What can be said in a ballot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Statement {
    /// The leader of a later ballot asks for promises.
    Prepare,
    /// Nothing lower is joined or accepted any more; the highest accepted record, if there is one.
    Promise {
        /// Ballot and answer digest of that record.
        accepted: Option<(Ballot, [u8; 32])>,
    },
    /// The leader's one proposal of this ballot.
    Propose(Proposal),
    /// The sender supports this proposal and no other of the ballot.
    Join {
        /// [`Proposal::digest`].
        proposal: [u8; 32],
        /// From a signer of a run: its part.
        share: Option<Share>,
    },
    /// The sender holds `Q` joins and the answer, durably.
    Accept {
        /// [`crate::decree::answer_digest`].
        answer: [u8; 32],
    },
    /// The sender knows the decision; the certificate is attached.
    Decided {
        /// [`crate::decree::answer_digest`].
        answer: [u8; 32],
    },
    /// Has anybody decided?
    Ask,
    /// A hint: the sender cannot do its part of this ballot.
    Unable,
    /// A hint: the sender waits for a core.
    Queued,
    /// A hint: the sender is in this round of the run.
    Working(u16),
}

/// What is said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Content {
    /// About a decree.
    Decree {
        /// Which.
        decree: DecreeId,
        /// In which ballot.
        ballot: Ballot,
        /// What.
        statement: Statement,
    },
    /// `stored`: a share is safe here, proved.
    Stored(Stored),
    /// About making stock together.
    Stock(StockWord),
    /// About which process is this party; for that party alone. Nobody else can use it: a word passed on by a liar would
    /// look like a second copy of its speaker.
    Lease(PartyIndex, LeaseWord),
}

/// A signed statement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Envelope {
    /// [`VERSION`].
    pub version: u8,
    /// Roster epoch that `from` belongs to.
    pub epoch: u64,
    /// The speaker.
    pub from: PartyIndex,
    /// The process that spoke: drawn at its start. Two copies of one disk differ in it.
    pub instance: u64,
    /// What it says.
    pub content: Content,
    /// Its journal position when it spoke.
    pub position: u64,
    /// Its journal's head hash at that position.
    pub head: [u8; 32],
    /// Ed25519 by the speaker's node key over [`tag::MESSAGE`] and all of the above.
    #[serde(with = "serde_bytes")]
    pub signature: [u8; 64],
}

/// What proves an accepted record: its proposal, `Q` joins for it, the answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// The `propose` of that ballot.
    pub proposal: Envelope,
    /// `Q` joins for it, all signers among them if it is a run.
    pub joins: Vec<Envelope>,
    /// The answer.
    pub answer: Vec<u8>,
}

/// Proof of a decision: `Q` accepts of one ballot and digest, and the answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Certificate {
    /// The exact bytes.
    pub answer: Vec<u8>,
    /// `Q` accepts by different parties.
    pub accepts: Vec<Envelope>,
}

/// What travels beside an envelope and proves itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attachment {
    /// Beside a promise that reports a record, and beside a proposal that adopts one.
    pub evidence: Option<Evidence>,
    /// Beside a proposal of a later ballot: the `Q` promises it rests on.
    pub promises: Vec<Envelope>,
    /// Beside `decided`.
    pub certificate: Option<Certificate>,
    /// Beside whatever names a key: the `n` statements that it is stored.
    pub stored: Vec<Envelope>,
    /// Beside the hello of a restored party: its peers' consents.
    pub consents: Vec<Envelope>,
}

/// An envelope and its attachment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Packet {
    /// The statement.
    pub envelope: Envelope,
    /// What goes with it.
    pub attachment: Attachment,
}

/// Why bytes from a peer are no frame. All are the sender's fault.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// Longer than [`FRAME_BYTES_MAX`].
    #[error("frame of {0} bytes, more than allowed")]
    TooLong(usize),
    /// Not an encoding of packets.
    #[error("frame does not decode")]
    Malformed(#[source] postcard::Error),
    /// More than [`PACKETS_MAX`] packets.
    #[error("frame of {0} packets, more than allowed")]
    TooMany(usize),
}

/// The frame that carries these packets.
///
/// # Errors
/// When the packets do not fit a frame; the caller splits them.
pub fn encode_frame(packets: &[Packet]) -> Result<Vec<u8>, FrameError> {
    if packets.len() > PACKETS_MAX {
        return Err(FrameError::TooMany(packets.len()));
    }
    let bytes = postcard::to_stdvec(packets).map_err(FrameError::Malformed)?;
    if bytes.len() > FRAME_BYTES_MAX { Err(FrameError::TooLong(bytes.len())) } else { Ok(bytes) }
}

/// The packets of a frame, unchecked but for shape and bounds.
///
/// # Errors
/// [`FrameError`]: the frame is dropped and counted against its sender.
pub fn decode_frame(bytes: &[u8]) -> Result<Vec<Packet>, FrameError> {
    if bytes.len() > FRAME_BYTES_MAX {
        return Err(FrameError::TooLong(bytes.len()));
    }
    let packets: Vec<Packet> = postcard::from_bytes(bytes).map_err(FrameError::Malformed)?;
    if packets.len() > PACKETS_MAX { Err(FrameError::TooMany(packets.len())) } else { Ok(packets) }
}

impl Packet {
    /// Bytes that it takes in a frame.
    #[must_use]
    pub fn encoded_len(&self) -> usize {
        // What was decoded encodes; were it otherwise, it would count as too long for every bound.
        postcard::to_stdvec(self).map_or(usize::MAX, |bytes| bytes.len())
    }
}

impl Envelope {
    /// Signs a statement with the node key.
    #[must_use]
    pub fn sign(
        identity: &NodeIdentity,
        epoch: u64,
        (from, instance): (PartyIndex, u64),
        content: Content,
        position: u64,
        head: [u8; 32],
    ) -> Self {
        let signature = [0; 64];
        let mut envelope = Self { version: VERSION, epoch, from, instance, content, position, head, signature };
        envelope.signature = identity.sign(&envelope.signed_hash());
        envelope
    }

    /// Whether `key` signed exactly this.
    #[must_use]
    pub fn is_signed_by(&self, key: &VerifyingKey) -> bool {
        key.verify_strict(&self.signed_hash(), &Signature::from_bytes(&self.signature)).is_ok()
    }

    fn signed_hash(&self) -> [u8; 32] {
        let speaker = (self.version, self.epoch, self.from, self.instance);
        let body = postcard::to_stdvec(&(speaker, &self.content, self.position, self.head)).unwrap_or_default();
        tag::hash(tag::MESSAGE, &[&body])
    }

    /// Where the speaker's journal stood.
    #[must_use]
    pub const fn journal(&self) -> Held {
        Held { position: self.position, hash: self.head }
    }

    /// The decree part, if this is about one.
    #[must_use]
    pub fn about_decree(&self) -> Option<(&DecreeId, Ballot, &Statement)> {
        match &self.content {
            Content::Decree { decree, ballot, statement } => Some((decree, *ballot, statement)),
            Content::Stored(_) | Content::Stock(_) | Content::Lease(..) => None,
        }
    }
}
