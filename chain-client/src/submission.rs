//! A transaction on its way: signed bytes, what a node said of them, and what executing them gave.
//!
//! Refuses to conclude: a [`Hint`] is what one node said and never a proof; only a `Reading` past the
//! transaction's sequence is (`docs/zrchain.md`, *Fate of a transaction*).

use std::fmt;

use prost::{Message as _, Name};
use serde::{Deserialize, Serialize};

use crate::name::{Height, RequestId};
use crate::proto::cosmos::base::abci::v1beta1::TxMsgData;

/// Longest text kept of what a chain says; a Go stack trace is thousands of characters.
pub const TEXT_MAX: usize = 512;

/// SHA-256 of a transaction's bytes: its name.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TxHash(pub [u8; 32]);

impl fmt::Display for TxHash {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&hex::encode_upper(self.0))
    }
}

impl fmt::Debug for TxHash {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "TxHash({self})")
    }
}

/// A signed transaction: stored before it leaves, and only ever sent as it is.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SignedTx {
    /// The bytes to send.
    pub bytes: Vec<u8>,
    /// Their name.
    pub hash: TxHash,
    /// The account that signed.
    pub account: String,
    /// The sequence it spends.
    pub sequence: u64,
    /// The request it answers; `None` for one that spends its sequence on nothing, and for a user's.
    pub request: Option<RequestId>,
}

/// What a node said when given a transaction.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Hint {
    /// It is in the node's pool now.
    Taken,
    /// The node has these very bytes already, in its pool or committed (code 19).
    Known,
    /// The node would not take it.
    Refused {
        /// Whose code.
        codespace: String,
        /// The code: 32 wrong sequence, 13 fee too low, 5 no funds, 4 bad signature, 20 pool full, 11 out of gas.
        code: u32,
        /// The node's words, cut to [`TEXT_MAX`].
        reason: String,
        /// The sequence that the node expects, where it says so.
        expected_sequence: Option<u64>,
    },
    /// No answer: it may have been taken or not. Send the same bytes again.
    Unknown {
        /// What went wrong, cut to [`TEXT_MAX`].
        reason: String,
    },
}

/// A transaction that stands in a block.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Receipt {
    /// In which block.
    pub height: Height,
    /// 0 for success. Success does not mean that the request was fulfilled: read it again.
    pub code: u32,
    /// Whose code.
    pub codespace: String,
    /// The chain's words, cut to [`TEXT_MAX`].
    pub log: String,
    /// Gas that it took.
    pub gas_used: u64,
    /// The encoded responses of its messages (`cosmos.base.abci.v1beta1.TxMsgData`).
    pub data: Vec<u8>,
}

impl Receipt {
    /// The first response of this type among the responses of the transaction's messages.
    #[must_use]
    pub fn response<M: Name + Default>(&self) -> Option<M> {
        let responses = TxMsgData::decode(self.data.as_slice()).ok()?.msg_responses;
        let found = responses.into_iter().find(|any| any.type_url == M::type_url())?;
        M::decode(found.value.as_slice()).ok()
    }
}

/// Cuts a text to [`TEXT_MAX`] bytes at a character's border.
#[must_use]
pub(crate) fn cut(mut text: String) -> String {
    if text.len() > TEXT_MAX {
        let end = (0..=TEXT_MAX).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0);
        text.truncate(end);
        text.push('…');
    }
    text
}
