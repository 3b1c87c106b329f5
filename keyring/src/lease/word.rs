//! What processes say to each other about who they are. Always in a signed envelope, which names the speaker's instance
//! and where its journal stands.

use serde::{Deserialize, Serialize};

/// Most chains that a word may name.
pub const CHAINS_MAX: usize = 16;
/// Longest chain name in a word, in bytes.
const CHAIN_BYTES_MAX: usize = 64;

/// Which life of a party a process is. Later lives are greater; no two processes should ever share one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Life {
    /// Raised by every restore from a backup.
    pub incarnation: u64,
    /// Raised by every start, durably, before the first word.
    pub boot: u64,
}

/// A process: its life, and a number that it drew at its start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Process {
    /// Its life.
    pub life: Life,
    /// Drawn at random by the process; two copies of one disk differ in it.
    pub instance: u64,
}

/// A place in a journal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// Batches written up to there.
    pub position: u64,
    /// The journal's hash there.
    pub hash: [u8; 32],
}

/// How far a party has seen a chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sight {
    /// The chain.
    pub chain: String,
    /// The newest height that its endpoint has shown it.
    pub height: u64,
    /// The hash of that block.
    pub hash: [u8; 32],
    /// The next sequence of its account there, as far as it has taken sequences; 0 before the first.
    pub sequence: u64,
}

/// How much of a chain the granting party knows of: what is at or below this is old for the new process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Known {
    /// The chain.
    pub chain: String,
    /// The newest height that the granting party has ever seen.
    pub height: u64,
    /// The highest next sequence that the other party has ever named for its own account.
    pub sequence: u64,
}

/// A word of the lease protocol.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum LeaseWord {
    /// The sender asks to be known as its party. Said again with the same nonce until it is answered.
    Hello {
        /// Its life.
        life: Life,
        /// Names this hello; fresh chance for each that is not a repetition.
        nonce: u64,
        /// What its journal held at the position that was asked for.
        held: Option<Held>,
        /// Names the restore that its incarnation began with; 0 for the first.
        restore: u64,
    },
    /// The sender's operator lets that party come back from a backup. Of more than half of the peers it makes that
    /// incarnation; each peer gives it to one restore of an incarnation only.
    Consent {
        /// The incarnation.
        incarnation: u64,
        /// The restore.
        restore: u64,
    },
    /// Show me your journal's hash at this position.
    Challenge {
        /// The hello's nonce.
        nonce: u64,
        /// The highest position at which the sender has seen the other's journal.
        position: u64,
    },
    /// The sender knows that process as its party from now on, for one lease.
    Granted {
        /// The hello's nonce.
        nonce: u64,
        /// The first renewal names it.
        token: u64,
        /// What the sender knows of each chain.
        known: Vec<Known>,
    },
    /// The sender does not know that process as its party.
    Refused {
        /// The nonce of the hello or renewal.
        nonce: u64,
        /// Why.
        reason: Refusal,
    },
    /// Again, for one lease. The heartbeat of a party.
    Renew {
        /// The last token got.
        token: u64,
        /// Fresh chance, but for a repetition.
        nonce: u64,
        /// How far the sender has seen each chain.
        sights: Vec<Sight>,
        /// Whether the sender may act for its party: one that may not is no help, and is not counted as here.
        acts: bool,
    },
    /// So it be.
    Renewed {
        /// The renewal's nonce.
        nonce: u64,
        /// The next renewal names it.
        token: u64,
        /// Another process asks to be known as this party.
        is_doubled: bool,
    },
    /// The sender does not know that token: it was started anew, perhaps.
    HelloAgain {
        /// The renewal's nonce.
        nonce: u64,
    },
    /// The sender ends, and does not act any more.
    Goodbye,
}

/// Why a process is not known as its party.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Refusal {
    /// Another process of this party was alive a moment ago. Ask again.
    StillAlive,
    /// Another process of this party is alive: it spoke after this one had asked. There are two.
    TwoAlive,
    /// A later life of this party was here.
    Outlived,
    /// Another process of the same life was here: two copies of one disk.
    Copied,
    /// The journal is shorter than it was: its disk was rolled back.
    RolledBack,
    /// The journal holds something else at a position that was seen before: its disk was rolled back and has gone on.
    Forked,
    /// Two live copies were seen: an operator must decide which one is to go on.
    Fenced,
    /// It comes back from a backup, and too few peers' operators have consented.
    NeedsConsent,
    /// It was started anew, and its journal no longer reaches back to what is remembered of it: an operator must decide
    /// whether its disk is the one that was there.
    OutOfReach,
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::StillAlive => "another process of this party was alive a moment ago",
            Self::TwoAlive => "another process of this party is alive",
            Self::Outlived => "a later start of this party was seen: this process runs from an older disk",
            Self::Copied => "another process of the same start was seen: two copies of one disk",
            Self::RolledBack => "the journal is shorter than it was: the disk was rolled back",
            Self::Forked => "the journal differs from what was seen before: the disk was rolled back and has gone on",
            Self::Fenced => "two live copies of this party were seen; an operator must decide (`peers unfence`)",
            Self::NeedsConsent => "it comes back from a backup; operators must consent (`peers consent`)",
            Self::OutOfReach => {
                "it was started anew, and its journal no longer reaches back to what is remembered of it; an operator must \
                 decide (`peers unfence`)"
            }
        })
    }
}

impl LeaseWord {
    /// Whether its lists and names keep their bounds.
    #[must_use]
    pub fn is_bounded(&self) -> bool {
        let short = |name: &String| name.len() <= CHAIN_BYTES_MAX;
        match self {
            Self::Granted { known, .. } => known.len() <= CHAINS_MAX && known.iter().all(|known| short(&known.chain)),
            Self::Renew { sights, .. } => sights.len() <= CHAINS_MAX && sights.iter().all(|sight| short(&sight.chain)),
            _ => true,
        }
    }
}
