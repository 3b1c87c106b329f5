//! The words of making stock together: shelf keys and auxiliary data. Stock signs nothing (law 1).

use mpc_core::{KeyId, Suite};
use serde::{Deserialize, Serialize};

use crate::tag;

/// `stored`: the sender's share of this key is durably stored, was read back, and is proved by a Schnorr proof.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stored {
    /// The key.
    pub key: KeyId,
    /// Whose lane it was made for.
    pub lane: mpc_core::PartyIndex,
    /// Public part of the key share: suite, group key, all `n` public shares ([`mpc_core::KeyInfo::encode`]).
    pub info: Vec<u8>,
    /// Digest of all `n` public shares; equal in the `n` statements of a certificate.
    pub shares: [u8; 32],
    /// Proof of possession of the sender's own share over [`Stored::context`].
    pub possession: Vec<u8>,
}

impl Stored {
    /// What the proof is bound to, besides the prover's index: epoch, key, lane, public shares.
    #[must_use]
    pub fn context(epoch: u64, key: KeyId, lane: mpc_core::PartyIndex, shares: &[u8; 32]) -> [u8; 32] {
        tag::hash(tag::STORED, &[&epoch.to_be_bytes(), key.as_bytes(), &lane.get().to_be_bytes(), shares])
    }
}

/// Talk about making stock. The session id is a function of these fields, so it never repeats while the counter does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum StockWord {
    /// The sender, whose lane it is, begins a key generation under its durable counter.
    BeginKey {
        /// Curve.
        suite: Suite,
        /// The sender's counter.
        counter: u64,
    },
    /// The first party begins the roster's auxiliary data.
    BeginAuxiliary {
        /// Its counter.
        counter: u64,
    },
    /// The sender has safe primes for a run of auxiliary data. Such a run spends the primes of all, so it begins only when
    /// all have said so.
    PrimesReady,
    /// The sender's part of that run failed: it is begun anew under the next counter.
    AuxiliaryFailed {
        /// Counter of the run.
        counter: u64,
    },
    /// The sender has stored the auxiliary data of that run.
    AuxiliaryStored {
        /// Counter of the run.
        counter: u64,
        /// Digest of the public part; equal on all.
        digest: [u8; 32],
    },
    /// The sender does not take part in that key generation: its bounds do not let it, or a peer is missing.
    Busy {
        /// The counter of [`StockWord::BeginKey`].
        counter: u64,
    },
    /// The certificate of a finished key is attached.
    Finished,
}
