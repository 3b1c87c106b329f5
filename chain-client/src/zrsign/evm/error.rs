//! What keeps us from reading an EVM chain, cut by what the caller can do.

use std::time::Duration;

use alloy_primitives::B256;

use crate::zrsign::range::Incomplete;

/// A question that got no usable answer. Each names the endpoint that was asked last.
#[derive(Debug, thiserror::Error)]
pub enum EvmError {
    /// Nobody answered in time. Ask again later.
    #[error("{endpoint} did not answer: {reason}")]
    Unreachable {
        /// The last one asked.
        endpoint: String,
        /// What went wrong.
        reason: String,
    },
    /// The endpoint asked for fewer calls, and is not asked at all for a while. Ask less often, or add an endpoint.
    #[error("{endpoint} asked for fewer calls and is left alone for {wait:?}")]
    Limited {
        /// The last one asked.
        endpoint: String,
        /// How long it still rests.
        wait: Duration,
    },
    /// The endpoint answers, and says no: a method, tag or state that it does not have. Another endpoint may help.
    #[error("{endpoint} refused ({code}): {reason}")]
    Refused {
        /// The last one asked.
        endpoint: String,
        /// JSON-RPC's code, or HTTP's status.
        code: i64,
        /// Its words, cut.
        reason: String,
    },
    /// The reply breaks the chain's form, or is of another chain or block. Tell a person, use another endpoint.
    #[error("{endpoint} sent a reply that cannot be trusted: {what}")]
    Malformed {
        /// The last one asked.
        endpoint: String,
        /// Which part, and why.
        what: String,
    },
    /// The reply is larger than the bound. Ask for less, or raise `reply_bytes_max`.
    #[error("{endpoint} sent more than the bound on replies (`contract.reply_bytes_max`)")]
    TooLarge {
        /// The last one asked.
        endpoint: String,
    },
    /// The endpoint has not come as far as the caller. Ask again later, or another endpoint.
    #[error("{endpoint} calls only block {height} final, {wanted} is needed")]
    Behind {
        /// The last one asked.
        endpoint: String,
        /// The last block that it calls final.
        height: u64,
        /// The block that is needed.
        wanted: u64,
    },
    /// Blocks that do not show all that they must. They are read again; if it stays so, tell a person.
    #[error("{endpoint} does not show the whole of a range: {why}")]
    Incomplete {
        /// Who showed them.
        endpoint: String,
        /// What is missing, or too much.
        #[source]
        why: Incomplete,
    },
    /// Fewer endpoints than `agree` say the same. Tell a person.
    #[error("{endpoint} says something else than {other} about final blocks")]
    Disagreement {
        /// One of them.
        endpoint: String,
        /// Another.
        other: String,
    },
    /// The endpoint showed a block as final and no longer calls it so, though the block still stands. Several nodes
    /// behind one address do that; so does an endpoint that lies. Ask again later, and tell a person if it stays so.
    #[error("{endpoint} calls only block {height} final, though it showed final blocks up to {shown}")]
    Retreated {
        /// Who retreats.
        endpoint: String,
        /// The last block that it calls final now.
        height: u64,
        /// The last one that it showed as final.
        shown: u64,
    },
    /// Where a final block stood is another one, or none: nothing that was read of this chain holds for sure. **Stop the
    /// chain** and tell a person.
    #[error("{endpoint} shows another chain below a final block: {expected} stood at height {height}, now {}", shown(*found))]
    Reorganised {
        /// Who shows it.
        endpoint: String,
        /// The height of the final block.
        height: u64,
        /// The block that was final.
        expected: B256,
        /// What is there now; `None`: this endpoint, which had it, has nothing at that height.
        found: Option<B256>,
    },
}

fn shown(found: Option<B256>) -> String {
    found.map_or_else(|| "none does".to_owned(), |hash| format!("{hash} does"))
}

impl EvmError {
    /// Who was asked last.
    #[must_use]
    pub fn endpoint(&self) -> &str {
        match self {
            Self::Unreachable { endpoint, .. }
            | Self::Limited { endpoint, .. }
            | Self::Refused { endpoint, .. }
            | Self::Malformed { endpoint, .. }
            | Self::TooLarge { endpoint }
            | Self::Behind { endpoint, .. }
            | Self::Incomplete { endpoint, .. }
            | Self::Disagreement { endpoint, .. }
            | Self::Retreated { endpoint, .. }
            | Self::Reorganised { endpoint, .. } => endpoint,
        }
    }

    /// Whether waiting a moment may help.
    pub(super) const fn is_passing(&self) -> bool {
        matches!(self, Self::Unreachable { .. })
    }

    /// Whether the endpoint is not well; one that says no is.
    pub(super) const fn is_failure(&self) -> bool {
        match self {
            Self::Unreachable { .. }
            | Self::Limited { .. }
            | Self::Malformed { .. }
            | Self::Incomplete { .. }
            | Self::Disagreement { .. }
            | Self::Retreated { .. }
            | Self::Reorganised { .. } => true,
            Self::Refused { .. } | Self::TooLarge { .. } | Self::Behind { .. } => false,
        }
    }
}
