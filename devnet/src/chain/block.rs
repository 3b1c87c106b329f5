//! Blocks: what was executed, what came of it, and the state it left.

use std::sync::Arc;
use std::time::Duration;

use prost::Message;
use prost_types::{Any, Timestamp};
use sha2::{Digest, Sha256};

use super::event::Event;
use super::state::State;
use super::transaction::{Transaction, TxHash, hash_text};
use super::treasury::redemption::SystemRequest;

/// What executing one transaction gave.
#[derive(Debug, Clone, PartialEq)]
pub struct TxResult {
    /// SHA-256 of its bytes.
    pub hash: TxHash,
    /// 0 if it was executed.
    pub code: u32,
    /// Empty with code 0.
    pub codespace: &'static str,
    /// Empty with code 0.
    pub log: String,
    /// One response per message; empty on failure.
    pub responses: Vec<Any>,
    /// The limit.
    pub gas_wanted: u64,
    /// What was used.
    pub gas_used: u64,
    /// What it raised.
    pub events: Vec<Event>,
}

impl TxResult {
    /// The hash as services print it.
    pub fn hash_text(&self) -> String {
        hash_text(&self.hash)
    }
}

/// What making a block gave.
#[derive(Debug, Clone, PartialEq)]
pub struct BlockOutcome {
    /// Its height.
    pub height: u64,
    /// Its time since the Unix epoch.
    pub time: Duration,
    /// Its hash.
    pub hash: [u8; 32],
    /// Its transactions' results, in order.
    pub transactions: Vec<TxResult>,
    /// What its start raised: expiries and the chain's own requests.
    pub events: Vec<Event>,
}

/// One committed height.
#[derive(Debug, Clone)]
pub(crate) struct Block {
    pub(crate) outcome: BlockOutcome,
    pub(crate) previous: [u8; 32],
    pub(crate) transactions: Vec<Arc<Transaction>>,
    pub(crate) system: Vec<SystemRequest>,
    pub(crate) state: State,
}

/// The hash of a block: its place, its inputs, what came of them, and all before it.
pub(crate) fn hash(chain_id: &str, previous: &[u8; 32], outcome: &BlockOutcome) -> [u8; 32] {
    let mut hasher = Sha256::new();
    let mut put = |bytes: &[u8]| {
        hasher.update((bytes.len() as u64).to_be_bytes());
        hasher.update(bytes);
    };
    put(chain_id.as_bytes());
    put(previous);
    put(&outcome.height.to_be_bytes());
    put(&outcome.time.as_nanos().to_be_bytes());
    for event in &outcome.events {
        put(&event.to_proto().encode_to_vec());
    }
    for result in &outcome.transactions {
        put(&result.hash);
        put(&result.code.to_be_bytes());
        put(&result.gas_used.to_be_bytes());
        for response in &result.responses {
            put(&response.encode_to_vec());
        }
        for event in &result.events {
            put(&event.to_proto().encode_to_vec());
        }
    }
    hasher.finalize().into()
}

pub(crate) fn timestamp(time: Duration) -> Timestamp {
    let seconds = i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
    Timestamp { seconds, nanos: time.subsec_nanos().cast_signed() }
}
