//! Sends signed bytes as they are, and finds what became of them. What a node says here is a hint; proof is the account's
//! nonce and the receipt at a final block.

use alloy_primitives::{B256, Bytes, keccak256};
use alloy_provider::Provider as _;

use super::node::Node;
use super::{EvmChain, EvmError};
use crate::submission::cut;

/// What a node said when given a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EvmHint {
    /// It is in the node's pool now.
    Taken,
    /// The node has these very bytes already.
    Known,
    /// The nonce is spent: by these bytes or by others.
    NonceTooLow,
    /// Another transaction waits under this nonce, and the price is not enough above its.
    Underpriced,
    /// The price is below what the node or the next block takes.
    FeeTooLow,
    /// The account cannot pay value, gas limit and price.
    NoFunds,
    /// Anything else, or no answer: it may have been taken or not. Send the same bytes again.
    Unclear {
        /// What was said, or went wrong, cut.
        reason: String,
    },
}

/// A transaction in a block, as one endpoint shows it. It counts when its block is final.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EvmReceipt {
    /// Its hash.
    pub hash: B256,
    /// The block.
    pub block: B256,
    /// The block's height.
    pub height: u64,
    /// Whether it went through; a reverted one has spent its nonce and its gas.
    pub succeeded: bool,
    /// Gas that it took.
    pub gas_used: u64,
    /// wei per gas that it paid.
    pub effective_gas_price: u128,
}

impl EvmChain {
    /// Hands a transaction to an endpoint, to the next one when it does not answer; each at most once. Sending the same
    /// bytes again is always safe.
    pub async fn send(&self, raw: &Bytes) -> EvmHint {
        match self.pool.round(&async |node: &Node| node.send(raw).await).await {
            Ok(hint) => hint,
            Err(error) => unclear(error),
        }
    }

    /// Hands a transaction to every endpoint: for one that a single node has taken and that does not land. The most
    /// hopeful of what they say.
    pub async fn send_everywhere(&self, raw: &Bytes) -> EvmHint {
        let said = self.pool.each(async |node: &Node| node.send(raw).await).await;
        let hints = said.into_iter().map(|said| said.unwrap_or_else(unclear));
        let hope = |hint: &EvmHint| match hint {
            EvmHint::Taken => 0,
            EvmHint::Known => 1,
            EvmHint::NonceTooLow => 2,
            EvmHint::Underpriced | EvmHint::FeeTooLow => 3,
            EvmHint::NoFunds => 4,
            EvmHint::Unclear { .. } => 5,
        };
        hints.min_by_key(hope).unwrap_or_else(|| EvmHint::Unclear { reason: "no endpoint is configured".to_owned() })
    }

    /// The transaction of that hash in a block; `None` while the endpoint that answers has none. Absence proves nothing.
    ///
    /// # Errors
    /// When no endpoint answers in the chain's form.
    pub async fn receipt(&self, hash: B256) -> Result<Option<EvmReceipt>, EvmError> {
        self.pool.ask(async |node: &Node| node.receipt(hash).await).await
    }

    /// The same of a final block, which the endpoint shows at the receipt's height: what became of it, for ever.
    ///
    /// # Errors
    /// When too few endpoints answer in the chain's form.
    pub async fn final_receipt(&self, hash: B256) -> Result<Option<EvmReceipt>, EvmError> {
        let ask = async |node: &Node| {
            let Some(receipt) = node.receipt(hash).await? else { return Ok(None) };
            if self.tips_of(node).await?.0.last_final.height < receipt.height {
                return Ok(None);
            }
            let there = node.block_there(self.settings().evidence, receipt.height.into()).await?.block.hash;
            if there != receipt.block {
                return Err(node.malformed(format!("a receipt of a block that is not the one at {}", receipt.height)));
            }
            Ok(Some(receipt))
        };
        self.pool.agreed(ask).await
    }
}

impl Node {
    async fn receipt(&self, hash: B256) -> Result<Option<EvmReceipt>, EvmError> {
        let reply = self.call(self.provider.get_transaction_receipt(hash)).await?;
        let Some(receipt) = reply.map(|receipt| receipt.into_inner()) else { return Ok(None) };
        if receipt.transaction_hash != hash {
            return Err(self.malformed("asked for one transaction, got another"));
        }
        let (Some(block), Some(height)) = (receipt.block_hash, receipt.block_number) else { return Ok(None) };
        Ok(Some(EvmReceipt {
            hash,
            block,
            height,
            succeeded: receipt.inner.status(),
            gas_used: receipt.gas_used,
            effective_gas_price: receipt.effective_gas_price,
        }))
    }

    async fn send(&self, raw: &Bytes) -> Result<EvmHint, EvmError> {
        let call = self.provider.client().request::<_, B256>("eth_sendRawTransaction", (raw.clone(),));
        match self.call(call).await {
            Ok(hash) if hash == keccak256(raw) => Ok(EvmHint::Taken),
            Ok(_) => Err(self.malformed("it took a transaction, but names another one")),
            Err(EvmError::Refused { reason, .. }) => Ok(hint(reason)),
            Err(error) => Err(error),
        }
    }
}

fn unclear(error: EvmError) -> EvmHint {
    EvmHint::Unclear { reason: cut(error.to_string()) }
}

/// The first that fits, in the words of geth, reth, Erigon, Nethermind, Besu and anvil. There are no codes for this.
const WORDS: [(&str, EvmHint); 20] = [
    ("already known", EvmHint::Known),
    ("alreadyknown", EvmHint::Known),
    ("known transaction", EvmHint::Known),
    ("already imported", EvmHint::Known),
    ("nonce too low", EvmHint::NonceTooLow),
    ("nonce is too low", EvmHint::NonceTooLow),
    ("oldnonce", EvmHint::NonceTooLow),
    ("old nonce", EvmHint::NonceTooLow),
    ("replacement", EvmHint::Underpriced),
    ("could not replace", EvmHint::Underpriced),
    ("underpriced", EvmHint::FeeTooLow),
    ("feetoolow", EvmHint::FeeTooLow),
    ("less than block base fee", EvmHint::FeeTooLow),
    ("lower than the minimum", EvmHint::FeeTooLow),
    ("price below", EvmHint::FeeTooLow),
    ("price too low", EvmHint::FeeTooLow),
    ("fee too low", EvmHint::FeeTooLow),
    ("insufficient funds", EvmHint::NoFunds),
    ("insufficientfunds", EvmHint::NoFunds),
    ("exceeds account balance", EvmHint::NoFunds),
];

fn hint(reason: String) -> EvmHint {
    // "unknown transaction type" is not a known transaction.
    let said = reason.to_lowercase().replace("unknown", "");
    let known = WORDS.into_iter().find(|(words, _)| said.contains(words));
    known.map_or(EvmHint::Unclear { reason }, |(_, hint)| hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_nodes_become_hints() {
        let said = [
            ("already known", EvmHint::Known),
            ("transaction already imported", EvmHint::Known),
            ("Known transaction", EvmHint::Known),
            ("nonce too low: next nonce 5, tx nonce 4", EvmHint::NonceTooLow),
            ("OldNonce", EvmHint::NonceTooLow),
            ("replacement transaction underpriced", EvmHint::Underpriced),
            ("ReplacementNotAllowed", EvmHint::Underpriced),
            ("transaction underpriced: tip needed 1, tip permitted 0", EvmHint::FeeTooLow),
            ("max fee per gas less than block base fee: address 0x1", EvmHint::FeeTooLow),
            ("FeeTooLow, MaxFeePerGas too low", EvmHint::FeeTooLow),
            ("Gas price below configured minimum gas price", EvmHint::FeeTooLow),
            ("insufficient funds for gas * price + value: address 0x1", EvmHint::NoFunds),
            ("Upfront cost exceeds account balance", EvmHint::NoFunds),
        ];
        for (words, expected) in said {
            assert_eq!(hint(words.to_owned()), expected, "{words}");
        }
        for words in ["txpool is full", "unknown transaction type", "intrinsic gas too low"] {
            assert_eq!(hint(words.to_owned()), EvmHint::Unclear { reason: words.to_owned() });
        }
    }
}
