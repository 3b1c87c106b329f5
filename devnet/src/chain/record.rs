//! The inputs of one block, for a log: enough to make the same block again.

use std::sync::Arc;
use std::time::Duration;

use chain_client::proto::zrchain::treasury::WalletType;
use prost::{Message, Oneof};
use prost_types::Any;

use super::Chain;
use super::transaction::Transaction;
use super::treasury::redemption::SystemRequest;

/// What went into one block.
#[derive(Clone, PartialEq, Message)]
pub struct BlockRecord {
    #[prost(uint64, tag = "1")]
    height: u64,
    #[prost(uint64, tag = "2")]
    time_seconds: u64,
    #[prost(uint32, tag = "3")]
    time_nanoseconds: u32,
    #[prost(bytes = "vec", repeated, tag = "4")]
    transactions: Vec<Vec<u8>>,
    #[prost(message, repeated, tag = "5")]
    system: Vec<StoredRequest>,
    /// Hash of the block that this made.
    #[prost(bytes = "vec", tag = "6")]
    hash: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
struct StoredRequest {
    #[prost(oneof = "StoredKind", tags = "1, 2")]
    kind: Option<StoredKind>,
}

#[derive(Clone, PartialEq, Oneof)]
enum StoredKind {
    #[prost(message, tag = "1")]
    Redemption(StoredRedemption),
    #[prost(message, tag = "2")]
    Transaction(StoredTransaction),
}

#[derive(Clone, PartialEq, Message)]
struct StoredRedemption {
    #[prost(string, tag = "1")]
    creator: String,
    #[prost(uint64, repeated, tag = "2")]
    key_ids: Vec<u64>,
    #[prost(bytes = "vec", repeated, tag = "3")]
    digests: Vec<Vec<u8>>,
    #[prost(bytes = "vec", tag = "4")]
    cache_id: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
struct StoredTransaction {
    #[prost(string, tag = "1")]
    creator: String,
    #[prost(uint64, tag = "2")]
    key_id: u64,
    #[prost(enumeration = "WalletType", tag = "3")]
    wallet_type: i32,
    #[prost(bytes = "vec", tag = "4")]
    unsigned_transaction: Vec<u8>,
    #[prost(message, optional, tag = "5")]
    metadata: Option<Any>,
    #[prost(bool, tag = "6")]
    no_broadcast: bool,
}

impl BlockRecord {
    /// Height of the block.
    pub fn height(&self) -> u64 {
        self.height
    }
}

impl Chain {
    /// The inputs of a block that is still kept.
    pub fn record(&self, height: u64) -> Option<BlockRecord> {
        let block = self.blocks.get(&height)?;
        Some(BlockRecord {
            height,
            time_seconds: block.outcome.time.as_secs(),
            time_nanoseconds: block.outcome.time.subsec_nanos(),
            transactions: block.transactions.iter().map(|transaction| transaction.bytes.clone()).collect(),
            system: block.system.iter().map(store).collect(),
            hash: block.outcome.hash.to_vec(),
        })
    }

    /// Makes a recorded block again, on top of the one before it.
    ///
    /// # Errors
    /// The record does not follow, or gives another block than it did.
    pub fn replay(&mut self, record: BlockRecord) -> Result<(), String> {
        if record.height != self.height + 1 {
            return Err(format!("block {} does not follow height {}", record.height, self.height));
        }
        self.forget_waiting();
        for bytes in &record.transactions {
            let transaction = Transaction::decode(bytes).map_err(|fault| fault.to_string())?;
            self.mempool.push(Arc::new(transaction), self.rules.bounds.seen_transactions);
        }
        self.system = record.system.into_iter().filter_map(restore).collect();
        let time = Duration::new(record.time_seconds, record.time_nanoseconds);
        let outcome = self.make_block(time).map_err(|stalled| stalled.to_string())?;
        if outcome.hash.as_slice() != record.hash {
            return Err("the block made from the record has another hash".to_owned());
        }
        Ok(())
    }
}

fn store(request: &SystemRequest) -> StoredRequest {
    let kind = match request.clone() {
        SystemRequest::Redemption { creator, key_ids, digests, cache_id } => {
            StoredKind::Redemption(StoredRedemption { creator, key_ids, digests, cache_id })
        }
        SystemRequest::SignTransaction {
            creator,
            key_id,
            wallet_type,
            unsigned_transaction,
            metadata,
            no_broadcast,
        } => StoredKind::Transaction(StoredTransaction {
            creator,
            key_id,
            wallet_type: wallet_type.into(),
            unsigned_transaction,
            metadata,
            no_broadcast,
        }),
    };
    StoredRequest { kind: Some(kind) }
}

fn restore(stored: StoredRequest) -> Option<SystemRequest> {
    Some(match stored.kind? {
        StoredKind::Redemption(StoredRedemption { creator, key_ids, digests, cache_id }) => {
            SystemRequest::Redemption { creator, key_ids, digests, cache_id }
        }
        StoredKind::Transaction(stored) => SystemRequest::SignTransaction {
            wallet_type: stored.wallet_type(),
            creator: stored.creator,
            key_id: stored.key_id,
            unsigned_transaction: stored.unsigned_transaction,
            metadata: stored.metadata,
            no_broadcast: stored.no_broadcast,
        },
    })
}
