//! Requests as the chain shows them, in the words of a keyring.
//!
//! Refuses to judge: whether a request is ours, allowed or in time is the keyring's business. A parent of several
//! items is its own kind of [`Ask`], so that code that answers signatures cannot take one by mistake: the chain
//! would keep whatever blob it is given as final (`docs/zrchain.md`, *Groups*).

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::name::{Height, KeyType, RequestId};

/// Where a request stands. Any text but the four names of the chain is no status at all.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum Status {
    /// Nobody has answered.
    Pending,
    /// Some parties have answered, fewer than the keyring's threshold.
    Partial,
    /// Enough parties have answered alike.
    Fulfilled,
    /// Closed without answer: rejected, expired or spoilt.
    Rejected,
}

impl Status {
    /// Whether an answer can still count.
    #[must_use]
    pub const fn is_open(self) -> bool {
        matches!(self, Self::Pending | Self::Partial)
    }
}

/// What is asked for.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Ask {
    /// A new key.
    Key {
        /// Of this type.
        key_type: KeyType,
        /// The keyring that shall make it.
        keyring: String,
        /// The workspace that will own it.
        workspace: String,
    },
    /// One signature by one key.
    Signature {
        /// The chain's id of the key; its keyring and workspace stand on the key.
        key: u64,
        /// The type the *request* declares. In a group this is the type of the group's last key, so it can differ from
        /// the key's own; such a request can never be answered.
        key_type: KeyType,
        /// A digest (32 bytes, if it can ever be answered) for secp256k1 keys, a whole message for Ed25519 keys.
        payload: Vec<u8>,
    },
    /// A parent: several items, answered through its children. Never answered itself.
    Group {
        /// The key of each item.
        keys: Vec<u64>,
        /// How many items.
        items: usize,
        /// The children, one per item, in the order of the items.
        children: Vec<RequestId>,
    },
}

/// One request, as one endpoint showed it at one height.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Request {
    /// Its name.
    pub id: RequestId,
    /// Who asked: usually an account, for zrSign keys any text.
    pub creator: String,
    /// What is asked for.
    pub ask: Ask,
    /// Last height at which an answer counts; `None` for a request that never expires (only old or genesis data).
    pub deadline: Option<Height>,
    /// The group this is an item of.
    pub parent: Option<RequestId>,
    /// Where it stands.
    pub status: Status,
    /// Accounts of the parties that have answered.
    pub answered_by: BTreeSet<String>,
    /// What the chain shows as answer, in the chain's own form (DER for Bitcoin signatures): none or one, more only
    /// after somebody misused an interchain-account message. A key made by a single answer is shown by its key only.
    pub shown: Vec<Vec<u8>>,
    /// Why it was rejected; cut to a bound.
    pub reject_reason: String,
    /// About how many bytes the chain stores for it; what an answer costs grows with this.
    pub record_bytes: u64,
}

impl Request {
    /// Whether this is a group's parent, which is never answered.
    #[must_use]
    pub const fn is_parent(&self) -> bool {
        matches!(self.ask, Ask::Group { .. })
    }
}

/// What became of a request, as one endpoint showed it at one height.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Standing {
    /// An answer can still count.
    Open {
        /// Who has answered.
        answered_by: BTreeSet<String>,
        /// What the chain shows so far, in its own form.
        shown: Vec<Vec<u8>>,
    },
    /// Answered for good.
    Fulfilled {
        /// Who has answered.
        answered_by: BTreeSet<String>,
        /// What the chain shows, in its own form; for a key, that of the key's own record.
        shown: Vec<Vec<u8>>,
    },
    /// Closed without answer.
    Rejected {
        /// Who had answered before.
        answered_by: BTreeSet<String>,
        /// Why.
        reason: String,
        /// The public key of a key record with this id: anybody can turn a fulfilled key request into a rejected one
        /// while its key lives.
        key: Option<Vec<u8>>,
    },
    /// The chain does not know the request.
    Gone,
}

impl Standing {
    /// Whether an answer can still count.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        matches!(self, Self::Open { .. })
    }

    /// Whether this account's answer stands on the request.
    #[must_use]
    pub fn names(&self, account: &str) -> bool {
        match self {
            Self::Open { answered_by, .. }
            | Self::Fulfilled { answered_by, .. }
            | Self::Rejected { answered_by, .. } => answered_by.contains(account),
            Self::Gone => false,
        }
    }
}

/// From which ids on a scan has to look: everything below is closed or past its deadline, for good.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Serialize, Deserialize)]
pub struct LowWater {
    /// Lowest key request of interest.
    pub key: u64,
    /// Lowest signature request of interest.
    pub signature: u64,
}
