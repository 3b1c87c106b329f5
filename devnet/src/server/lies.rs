//! Replies of an endpoint that lies: about account sequences, about the hashes of blocks, or about the newest height.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use chain_client::proto::cosmos::auth::v1beta1::{BaseAccount, QueryAccountResponse};
use chain_client::proto::cosmos::base::tendermint::v1beta1::{GetBlockByHeightResponse, GetLatestBlockResponse};
use prost::Message as _;

use crate::faults::{Faults, Sequences};

const ACCOUNT: &str = "/cosmos.auth.v1beta1.Query/Account";
const LATEST_BLOCK: &str = "/cosmos.base.tendermint.v1beta1.Service/GetLatestBlock";
const BLOCK_BY_HEIGHT: &str = "/cosmos.base.tendermint.v1beta1.Service/GetBlockByHeight";

/// How many blocks ahead of the truth an endpoint shows its newest block; none at first. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct HeadLie(Arc<AtomicI64>);

impl HeadLie {
    /// From now on it is so many blocks ahead.
    pub fn set(&self, blocks: i64) {
        self.0.store(blocks, Ordering::Relaxed);
    }
}

/// The reply as this endpoint gives it. What cannot be decoded stays as it is: it was made here.
pub(super) fn twisted(path: &str, reply: Vec<u8>, faults: &Faults, lie: &HeadLie) -> Vec<u8> {
    let ahead = lie.0.load(Ordering::Relaxed);
    match path {
        LATEST_BLOCK if ahead != 0 => head(&reply, ahead).unwrap_or(reply),
        ACCOUNT if faults.sequences != Sequences::True => account(&reply, faults.sequences).unwrap_or(reply),
        LATEST_BLOCK | BLOCK_BY_HEIGHT if faults.forks_from.is_some() => {
            block(path, &reply, faults.forks_from.unwrap_or(u64::MAX)).unwrap_or(reply)
        }
        _ => reply,
    }
}

fn account(reply: &[u8], sequences: Sequences) -> Option<Vec<u8>> {
    let mut reply = QueryAccountResponse::decode(reply).ok()?;
    let any = reply.account.as_mut()?;
    let mut account = BaseAccount::decode(any.value.as_slice()).ok()?;
    account.sequence = sequences.told(account.sequence);
    any.value = account.encode_to_vec();
    Some(reply.encode_to_vec())
}

fn head(reply: &[u8], ahead: i64) -> Option<Vec<u8>> {
    let mut reply = GetLatestBlockResponse::decode(reply).ok()?;
    let header = reply.sdk_block.as_mut()?.header.as_mut()?;
    header.height = header.height.saturating_add(ahead);
    Some(reply.encode_to_vec())
}

fn block(path: &str, reply: &[u8], from: u64) -> Option<Vec<u8>> {
    if path == LATEST_BLOCK {
        let mut reply = GetLatestBlockResponse::decode(reply).ok()?;
        let height = reply.sdk_block.as_ref()?.header.as_ref()?.height;
        change(&mut reply.block_id.as_mut()?.hash, height, from);
        return Some(reply.encode_to_vec());
    }
    let mut reply = GetBlockByHeightResponse::decode(reply).ok()?;
    let height = reply.sdk_block.as_ref()?.header.as_ref()?.height;
    change(&mut reply.block_id.as_mut()?.hash, height, from);
    Some(reply.encode_to_vec())
}

fn change(hash: &mut [u8], height: i64, from: u64) {
    if u64::try_from(height).is_ok_and(|height| height >= from) {
        hash.iter_mut().for_each(|byte| *byte ^= 0xFF);
    }
}
