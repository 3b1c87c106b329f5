//! Headers and receipts, held against what their hashes say.

use alloy_consensus::proofs::calculate_receipt_root;
use alloy_consensus::{Receipt, ReceiptWithBloom};
use alloy_network::{AnyNetwork, AnyReceiptEnvelope, Network};
use alloy_primitives::B256;
use alloy_provider::Provider as _;
use alloy_rpc_types_eth::BlockNumberOrTag;

use super::node::Node;
use super::{Evidence, EvmError};
use crate::zrsign::event::Log;
use crate::zrsign::name::LogPlace;
use crate::zrsign::range::{Header, Shown};

/// A block, as far as senders and followers need it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    /// Its height.
    pub height: u64,
    /// Its hash.
    pub hash: B256,
    /// Seconds since 1970, by the chain's own word.
    pub timestamp: u64,
    /// wei per gas that a transaction in it burned; `None` on chains without EIP-1559.
    pub base_fee: Option<u64>,
}

/// A block's header, for the caller and for the judge of ranges.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Checked {
    pub(super) block: Block,
    pub(super) header: Header,
}

impl Node {
    /// A block by its height or tag, `None` if the endpoint has none.
    pub(super) async fn block(&self, evidence: Evidence, which: BlockNumberOrTag) -> Result<Option<Checked>, EvmError> {
        let Some(reply) = self.call(self.provider.get_block_by_number(which)).await? else { return Ok(None) };
        let checked = checked(evidence, reply.0.inner.header).map_err(|what| self.malformed(what))?;
        match which {
            BlockNumberOrTag::Number(height) if height != checked.block.height => {
                Err(self.malformed(format!("asked for block {height}, got {}", checked.block.height)))
            }
            _ => Ok(Some(checked)),
        }
    }

    /// The same for blocks that must be there.
    pub(super) async fn block_there(&self, evidence: Evidence, which: BlockNumberOrTag) -> Result<Checked, EvmError> {
        let block = self.block(evidence, which).await?;
        block.ok_or_else(|| self.malformed(format!("it has no block {which}, though it must")))
    }

    /// All receipts of a block. That they are all is for the judge to say.
    pub(super) async fn receipts(&self, of: &Header) -> Result<Shown, EvmError> {
        let number = BlockNumberOrTag::Number(of.height);
        let reply = self.call(self.provider.get_block_receipts(number.into())).await?;
        let receipts = reply.ok_or_else(|| self.malformed(format!("it has no receipts of block {}", of.height)))?;
        shown(of, receipts).map_err(|what| self.malformed(format!("receipts of block {}: {what}", of.height)))
    }
}

type RpcHeader = <AnyNetwork as Network>::HeaderResponse;
type RpcReceipt = <AnyNetwork as Network>::ReceiptResponse;

fn checked(evidence: Evidence, shown: RpcHeader) -> Result<Checked, String> {
    let (hash, fields) = (shown.hash, shown.inner.clone());
    let header = Header {
        height: fields.number,
        hash,
        parent: fields.parent_hash,
        bloom: (evidence != Evidence::Agreement).then_some(fields.logs_bloom),
        receipts: (evidence == Evidence::Roots).then_some(fields.receipts_root),
    };
    let block = Block { height: fields.number, hash, timestamp: fields.timestamp, base_fee: fields.base_fee_per_gas };
    if evidence == Evidence::Roots {
        let height = fields.number;
        let computed = fields.try_into_header().map(|header| header.hash_slow()).ok();
        if computed != Some(hash) {
            return Err(format!("the hash of block {height} is not that of its fields (other chains: evidence)"));
        }
    }
    Ok(Checked { block, header })
}

/// The logs of a block's receipts, each at its place, with the root of the receipts.
fn shown(of: &Header, receipts: Vec<RpcReceipt>) -> Result<Shown, String> {
    let (mut logs, mut envelopes) = (Vec::new(), Vec::with_capacity(receipts.len()));
    for (index, receipt) in (0..).zip(receipts) {
        let receipt = receipt.into_inner();
        if (receipt.block_hash, receipt.block_number) != (Some(of.hash), Some(of.height)) {
            return Err("one is of another block".to_owned());
        }
        if receipt.transaction_index != Some(index) {
            return Err(format!("transaction {:?} where {index} comes next", receipt.transaction_index));
        }
        let AnyReceiptEnvelope { inner: ReceiptWithBloom { receipt: said, logs_bloom }, r#type } = receipt.inner;
        let mut own = Vec::with_capacity(said.logs.len());
        for log in said.logs {
            let at = LogPlace { height: of.height, block: of.hash, index: logs.len() as u64 };
            let place = (log.block_hash, log.block_number, log.transaction_hash, log.log_index, log.removed);
            let expected = (Some(at.block), Some(at.height), Some(receipt.transaction_hash), Some(at.index), false);
            if place != expected {
                return Err(format!("log {:?} where {} comes next", log.log_index, at.index));
            }
            let (topics, data) = (log.inner.topics().to_vec(), log.inner.data.data.clone());
            logs.push(Log { at, address: log.inner.address, topics, data });
            own.push(log.inner);
        }
        let receipt = Receipt { status: said.status, cumulative_gas_used: said.cumulative_gas_used, logs: own };
        envelopes.push(AnyReceiptEnvelope { inner: ReceiptWithBloom { receipt, logs_bloom }, r#type });
    }
    Ok(Shown { block: of.hash, root: calculate_receipt_root(&envelopes), logs })
}
