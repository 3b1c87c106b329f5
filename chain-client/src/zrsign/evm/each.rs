//! Every endpoint asked for itself: what a check compares, where a reader takes one word or so many that agree.

use alloy_primitives::B256;

use super::node::Node;
use super::{EvmChain, EvmError, Tips};

impl EvmChain {
    /// The ends of the chain as each endpoint shows them, side by side, each asked once; in the order of configuration.
    /// One that serves another chain says so.
    pub async fn tips_of_each(&self) -> Vec<Result<Tips, EvmError>> {
        self.pool.each(async |node: &Node| Ok(self.tips_of(node).await?.0)).await
    }

    /// The hash of the block at a height as each endpoint shows it; `None` where one has none.
    pub async fn hash_of_each(&self, height: u64) -> Vec<Result<Option<B256>, EvmError>> {
        let ask =
            async |node: &Node| Ok(node.block(self.evidence(), height.into()).await?.map(|found| found.block.hash));
        self.pool.each(ask).await
    }
}
