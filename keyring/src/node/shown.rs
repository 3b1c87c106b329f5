//! What the node shows of its chains and of what it threw away; it only looks.

use std::collections::BTreeMap;

use chain_client::{Height, KeyringFacts};

use super::Node;
use crate::agreement::clock::Millis;

/// Why something a peer said was thrown away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Dropped {
    /// Nobody of the roster in force signed it so.
    Signature,
    /// By a process that is not known as that party.
    Instance,
    /// Its names are longer than allowed.
    Unbounded,
    /// About a request that the own endpoint does not show yet, and there was no room to keep it.
    Early,
}

/// A chain as the node sees it.
#[derive(Clone, Copy, Debug)]
pub struct ChainShown<'a> {
    /// The newest height that was heard of; 0 before the first.
    pub height: Height,
    /// When that was, in the node's own time.
    pub height_at: Millis,
    /// Measured time between blocks.
    pub block_ms: Millis,
    /// The keyring as the chain last showed it.
    pub keyring: Option<&'a KeyringFacts>,
    /// This party's account.
    pub account: &'a str,
}

impl Dropped {
    /// The word for metrics.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Signature => "signature",
            Self::Instance => "instance",
            Self::Unbounded => "unbounded",
            Self::Early => "early",
        }
    }
}

impl Node {
    /// A chain that it serves.
    #[must_use]
    pub fn chain(&self, chain: &str) -> Option<ChainShown<'_>> {
        self.chains.get(chain).map(|side| ChainShown {
            height: side.height,
            height_at: side.height_at,
            block_ms: side.block_ms,
            keyring: side.keyring.as_ref(),
            account: side.setup.pen.account(),
        })
    }

    /// What was thrown away since it began, by reason.
    #[must_use]
    pub const fn dropped(&self) -> &BTreeMap<Dropped, u64> {
        &self.dropped
    }

    /// Finished keys that this party's own lane should hold, by curve.
    #[must_use]
    pub const fn keys_per_lane(&self) -> &BTreeMap<mpc_core::Suite, usize> {
        &self.keys_per_lane
    }

    pub(super) fn drop_said(&mut self, why: Dropped, count: u64) {
        *self.dropped.entry(why).or_default() += count;
    }
}
