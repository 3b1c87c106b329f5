//! The node, its blocks and its only validator.

use std::time::Duration;

use chain_client::proto::cosmos::base::query::v1beta1::PageResponse;
use chain_client::proto::cosmos::base::tendermint::v1beta1::{
    Block as SdkBlock, GetBlockByHeightRequest, GetBlockByHeightResponse, GetLatestBlockRequest,
    GetLatestBlockResponse, GetLatestValidatorSetRequest, GetLatestValidatorSetResponse, GetNodeInfoRequest,
    GetNodeInfoResponse, GetSyncingRequest, GetSyncingResponse, Header as SdkHeader, Validator, VersionInfo,
};
use chain_client::proto::cosmos::crypto::ed25519::PubKey;
use chain_client::proto::tendermint::p2p::{DefaultNodeInfo, DefaultNodeInfoOther, ProtocolVersion};
use chain_client::proto::tendermint::types::{
    Block as CometBlock, BlockId, Commit, Data, EvidenceList, Header as CometHeader, PartSetHeader,
};
use chain_client::proto::tendermint::version::Consensus;
use sha2::{Digest, Sha256};

use super::{View, reply};
use crate::chain::block::{self, Block};
use crate::chain::fault::QueryError;
use crate::chain::message::packed;

/// Block protocol of CometBFT 0.38.
const BLOCK_PROTOCOL: u64 = 11;

pub(super) fn dispatch(view: &View<'_>, method: &str, request: &[u8]) -> Option<Result<Vec<u8>, QueryError>> {
    Some(match method {
        "GetNodeInfo" => reply(view, request, node_info),
        "GetSyncing" => reply(view, request, |_, _: GetSyncingRequest| Ok(GetSyncingResponse { syncing: false })),
        "GetLatestBlock" => reply(view, request, latest_block),
        "GetBlockByHeight" => reply(view, request, block_by_height),
        "GetLatestValidatorSet" => reply(view, request, validators),
        _ => return None,
    })
}

fn node_info(view: &View<'_>, _: GetNodeInfoRequest) -> Result<GetNodeInfoResponse, QueryError> {
    let info = DefaultNodeInfo {
        protocol_version: Some(ProtocolVersion { p2p: 8, block: BLOCK_PROTOCOL, app: 0 }),
        default_node_id: hex::encode(&Sha256::digest(view.chain.chain_id())[..20]),
        network: view.chain.chain_id().to_owned(),
        version: "0.38".to_owned(),
        moniker: "devnet".to_owned(),
        other: Some(DefaultNodeInfoOther { tx_index: "on".to_owned(), rpc_address: String::new() }),
        ..DefaultNodeInfo::default()
    };
    let version = VersionInfo {
        name: "devnet".to_owned(),
        app_name: "devnet".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        ..VersionInfo::default()
    };
    Ok(GetNodeInfoResponse { default_node_info: Some(info), application_version: Some(version) })
}

/// The only validator is a name, not a key: nobody signs these blocks.
fn validator_key() -> [u8; 32] {
    Sha256::digest("devnet validator").into()
}

fn validator_address() -> String {
    let hash = Sha256::digest(validator_key());
    let prefix = bech32::Hrp::parse_unchecked("zenvalcons");
    bech32::encode::<bech32::Bech32>(prefix, &hash[..20]).unwrap_or_default()
}

fn validators(view: &View<'_>, _: GetLatestValidatorSetRequest) -> Result<GetLatestValidatorSetResponse, QueryError> {
    let validator = Validator {
        address: validator_address(),
        pub_key: Some(packed(&PubKey { key: validator_key().to_vec() })),
        voting_power: 1_000_000,
        proposer_priority: 0,
    };
    let block_height = i64::try_from(view.height).unwrap_or(i64::MAX);
    let pagination = Some(PageResponse { next_key: Vec::new(), total: 1 });
    Ok(GetLatestValidatorSetResponse { block_height, validators: vec![validator], pagination })
}

fn latest_block(view: &View<'_>, _: GetLatestBlockRequest) -> Result<GetLatestBlockResponse, QueryError> {
    let block = view.chain.blocks.get(&view.height);
    let block = block.ok_or_else(|| QueryError::unknown("no block has been made yet"))?;
    Ok(GetLatestBlockResponse {
        block_id: Some(block_id(block.outcome.hash)),
        block: Some(comet_block(view, block)),
        sdk_block: Some(sdk_block(view, block)),
    })
}

fn block_by_height(view: &View<'_>, request: GetBlockByHeightRequest) -> Result<GetBlockByHeightResponse, QueryError> {
    let height = u64::try_from(request.height).unwrap_or(0);
    if height == 0 {
        return Err(QueryError::invalid("height must be greater than 0"));
    }
    if height > view.height {
        let text = format!("requested block height {height} is bigger than the chain length {}", view.height);
        return Err(QueryError::invalid(text));
    }
    let block = view.chain.blocks.get(&height);
    let block = block.ok_or_else(|| QueryError::unknown(format!("block {height} is not kept any more")))?;
    Ok(GetBlockByHeightResponse {
        block_id: Some(block_id(block.outcome.hash)),
        block: Some(comet_block(view, block)),
        sdk_block: Some(sdk_block(view, block)),
    })
}

fn block_id(hash: [u8; 32]) -> BlockId {
    BlockId { hash: hash.to_vec(), part_set_header: Some(PartSetHeader { total: 1, hash: hash.to_vec() }) }
}

fn data(block: &Block) -> Data {
    Data { txs: block.transactions.iter().map(|transaction| transaction.bytes.clone()).collect() }
}

fn last_commit(block: &Block) -> Commit {
    let height = i64::try_from(block.outcome.height).unwrap_or(i64::MAX) - 1;
    Commit { height, round: 0, block_id: Some(block_id(block.previous)), signatures: Vec::new() }
}

fn sdk_block(view: &View<'_>, block: &Block) -> SdkBlock {
    let header = SdkHeader {
        version: Some(Consensus { block: BLOCK_PROTOCOL, app: 0 }),
        chain_id: view.chain.chain_id().to_owned(),
        height: i64::try_from(block.outcome.height).unwrap_or(i64::MAX),
        time: Some(block::timestamp(block.outcome.time)),
        last_block_id: Some(block_id(block.previous)),
        proposer_address: validator_address(),
        ..SdkHeader::default()
    };
    SdkBlock {
        header: Some(header),
        data: Some(data(block)),
        evidence: Some(EvidenceList {}),
        last_commit: Some(last_commit(block)),
    }
}

fn comet_block(view: &View<'_>, block: &Block) -> CometBlock {
    let header = CometHeader {
        version: Some(Consensus { block: BLOCK_PROTOCOL, app: 0 }),
        chain_id: view.chain.chain_id().to_owned(),
        height: i64::try_from(block.outcome.height).unwrap_or(i64::MAX),
        time: Some(block::timestamp(block.outcome.time)),
        last_block_id: Some(block_id(block.previous)),
        proposer_address: Sha256::digest(validator_key())[..20].to_vec(),
        ..CometHeader::default()
    };
    CometBlock {
        header: Some(header),
        data: Some(data(block)),
        evidence: Some(EvidenceList {}),
        last_commit: Some(last_commit(block)),
    }
}

/// A time since the Unix epoch as services print it, to the second.
pub(super) fn rfc3339(time: Duration) -> String {
    let (days, second) = (time.as_secs() / 86_400, time.as_secs() % 86_400);
    // Civil date from days since 1970-01-01, by eras of 400 years that begin in March.
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_printed_as_dates() {
        assert_eq!(rfc3339(Duration::ZERO), "1970-01-01T00:00:00Z");
        assert_eq!(rfc3339(Duration::from_secs(951_782_400)), "2000-02-29T00:00:00Z");
        assert_eq!(rfc3339(Duration::from_secs(1_795_132_799)), "2026-11-19T23:59:59Z");
    }
}
