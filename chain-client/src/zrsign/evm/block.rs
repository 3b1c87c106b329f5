//! Headers and receipts, held against what their hashes say.

use alloy_consensus::proofs::ordered_trie_root_with_encoder;
use alloy_consensus::{Receipt, ReceiptWithBloom};
use alloy_eips::eip2718::Encodable2718 as _;
use alloy_network::{AnyNetwork, AnyReceiptEnvelope, Network};
use alloy_primitives::{B256, U64};
use alloy_provider::Provider as _;
use alloy_rlp::Encodable as _;
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
    /// Gas that all transactions in it could take together, and so any of them.
    pub gas_limit: u64,
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
    let block = Block {
        height: fields.number,
        hash,
        timestamp: fields.timestamp,
        base_fee: fields.base_fee_per_gas,
        gas_limit: fields.gas_limit,
    };
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
    let (mut logs, mut encoded) = (Vec::new(), Vec::with_capacity(receipts.len()));
    for (index, receipt) in (0..).zip(receipts) {
        let more = deposit(&receipt)?;
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
        let envelope = AnyReceiptEnvelope { inner: ReceiptWithBloom { receipt, logs_bloom }, r#type };
        encoded.push(longer(envelope.encoded_2718(), more)?);
    }
    let root = ordered_trie_root_with_encoder(&encoded, |bytes, out| out.extend_from_slice(bytes));
    Ok(Shown { block: of.hash, root, logs })
}

/// A transaction that a chain of the OP stack takes over from its parent chain.
const DEPOSIT: u8 = 0x7e;

/// What the receipt of a deposit has beside the four fields of all receipts: nonce and version, since the fork that
/// brought the version. Endpoints show the nonce of older ones as well, but there it is not part of the root.
fn deposit(receipt: &RpcReceipt) -> Result<Option<[u64; 2]>, String> {
    if receipt.0.inner.inner.r#type != DEPOSIT {
        return Ok(None);
    }
    let field = |name: &str| match receipt.0.other.get_deserialized::<U64>(name) {
        None => Ok(None),
        Some(Ok(number)) => Ok(Some(number.to::<u64>())),
        Some(Err(_)) => Err(format!("{name} is no number")),
    };
    match (field("depositNonce")?, field("depositReceiptVersion")?) {
        (_, None) => Ok(None),
        (Some(nonce), Some(version)) => Ok(Some([nonce, version])),
        (None, Some(_)) => Err("a deposit with a version has no nonce".to_owned()),
    }
}

/// A typed receipt with more fields at the end of its list.
fn longer(receipt: Vec<u8>, more: Option<[u64; 2]>) -> Result<Vec<u8>, String> {
    let (Some(more), Some((kind, mut list))) = (more, receipt.split_first()) else { return Ok(receipt) };
    let fields = alloy_rlp::Header::decode_bytes(&mut list, true).map_err(|error| error.to_string())?;
    let mut fields = fields.to_vec();
    more.iter().for_each(|field| field.encode(&mut fields));
    let mut out = vec![*kind];
    alloy_rlp::Header { list: true, payload_length: fields.len() }.encode(&mut out);
    out.extend(fields);
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_consensus::proofs::ordered_trie_root_encoded;
    use alloy_primitives::{Bloom, hex};
    use serde_json::{Value, json};

    fn header() -> Header {
        let (hash, parent) = (B256::repeat_byte(1), B256::repeat_byte(2));
        Header { height: 7, hash, parent, bloom: Some(Bloom::ZERO), receipts: Some(B256::ZERO) }
    }

    /// The receipt of a deposit in Goerli's OP chain, as an endpoint shows it, here in our block.
    fn receipt() -> Value {
        json!({
            "type": "0x7e", "status": "0x1", "cumulativeGasUsed": "0xb741", "logs": [], "logsBloom": Bloom::ZERO,
            "transactionHash": "0xb0d6ee650637911394396d81172bd1c637d568ed1fbddab0daddfca399c58b53",
            "transactionIndex": "0x0", "blockHash": B256::repeat_byte(1), "blockNumber": "0x7", "gasUsed": "0xb741",
            "effectiveGasPrice": "0x0", "from": "0xdeaddeaddeaddeaddeaddeaddeaddeaddead0001",
            "to": "0x4200000000000000000000000000000000000015", "contractAddress": null,
            "depositNonce": "0x3d3bbf"
        })
    }

    fn root(receipt: &Value) -> Result<B256, String> {
        shown(&header(), vec![serde_json::from_value(receipt.clone()).unwrap()]).map(|shown| shown.root)
    }

    /// Of the bytes that OP nodes hash, before and since the version.
    #[test]
    fn deposits_are_hashed_as_their_chain_hashes_them() {
        let bloom = "00".repeat(256);
        let older = hex::decode(format!("7ef901080182b741b90100{bloom}c0")).unwrap();
        assert_eq!(root(&receipt()).unwrap(), ordered_trie_root_encoded(&[older]));
        let mut versioned = receipt();
        versioned["depositReceiptVersion"] = json!("0x1");
        let newer = hex::decode(format!("7ef9010d0182b741b90100{bloom}c0833d3bbf01")).unwrap();
        assert_eq!(root(&versioned).unwrap(), ordered_trie_root_encoded(&[newer]));
    }

    #[test]
    fn fields_of_deposits_count_for_deposits_only() {
        let mut other = receipt();
        other["type"] = json!("0x2");
        let plain = root(&other).unwrap();
        other["depositReceiptVersion"] = json!("0x1");
        assert_eq!(root(&other).unwrap(), plain);
        let mut odd = receipt();
        odd["depositReceiptVersion"] = json!("one");
        assert_eq!(root(&odd).unwrap_err(), "depositReceiptVersion is no number");
        let mut odd = receipt();
        odd["depositReceiptVersion"] = json!("0x1");
        odd["depositNonce"] = Value::Null;
        root(&odd).unwrap_err();
    }
}
