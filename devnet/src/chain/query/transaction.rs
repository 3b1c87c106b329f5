//! The SDK's transaction service: broadcast, find, simulate.

use chain_client::proto::cosmos::base::abci::v1beta1::{GasInfo, Result as ExecutionResult, TxMsgData, TxResponse};
use chain_client::proto::cosmos::tx::v1beta1::{
    BroadcastMode, BroadcastTxRequest, BroadcastTxResponse, GetTxRequest, GetTxResponse, SimulateRequest,
    SimulateResponse, Tx,
};
use prost::Message;
use prost_types::Any;

use super::View;
use super::node::rfc3339;
use crate::chain::Chain;
use crate::chain::block::TxResult;
use crate::chain::event::Event;
use crate::chain::fault::QueryError;
use crate::chain::transaction::{Transaction, TxHash, hash_of, hash_text};

pub(crate) fn broadcast(chain: &mut Chain, request: &[u8]) -> Result<Vec<u8>, QueryError> {
    let request = BroadcastTxRequest::decode(request).map_err(|error| QueryError::invalid(error.to_string()))?;
    if request.tx_bytes.is_empty() {
        return Err(QueryError::invalid("invalid empty tx"));
    }
    let mut response = TxResponse { txhash: hash_text(&hash_of(&request.tx_bytes)), ..TxResponse::default() };
    match request.mode() {
        BroadcastMode::Sync => {
            let outcome = chain.check_tx(&request.tx_bytes);
            response.code = outcome.code;
            response.codespace = outcome.codespace.to_owned();
            response.raw_log = outcome.log;
        }
        // Answered before anybody has looked at the transaction.
        BroadcastMode::Async => {
            chain.check_tx(&request.tx_bytes);
        }
        BroadcastMode::Unspecified | BroadcastMode::Block => {
            return Err(QueryError::unknown("unsupported return type unspecified; supported types: sync, async"));
        }
    }
    Ok(BroadcastTxResponse { tx_response: Some(response) }.encode_to_vec())
}

pub(super) fn find(view: &View<'_>, request: GetTxRequest) -> Result<GetTxResponse, QueryError> {
    if request.hash.is_empty() {
        return Err(QueryError::invalid("tx hash cannot be empty"));
    }
    let hash = hex::decode(&request.hash).map_err(|error| QueryError::unknown(format!("encoding/hex: {error}")))?;
    let missing = || QueryError::not_found(format!("tx not found: {}", request.hash));
    let hash: TxHash = hash.try_into().map_err(|_| missing())?;
    let (height, place) = view.chain.index.get(&hash).copied().ok_or_else(missing)?;
    // An endpoint that lags has not seen the block yet.
    if height > view.height {
        return Err(missing());
    }
    let block = view.chain.blocks.get(&height).ok_or_else(missing)?;
    let transaction = block.transactions.get(place).ok_or_else(missing)?;
    let result = block.outcome.transactions.get(place).ok_or_else(missing)?;
    let tx = Tx {
        body: Some(transaction.body.clone()),
        auth_info: Some(transaction.auth.clone()),
        signatures: transaction.raw.signatures.clone(),
    };
    let mut response = render(result, transaction);
    response.height = i64::try_from(height).unwrap_or(i64::MAX);
    response.timestamp = rfc3339(block.outcome.time);
    Ok(GetTxResponse { tx: Some(tx), tx_response: Some(response) })
}

fn render(result: &TxResult, transaction: &Transaction) -> TxResponse {
    TxResponse {
        txhash: result.hash_text(),
        codespace: result.codespace.to_owned(),
        code: result.code,
        data: hex::encode_upper(data(&result.responses)),
        raw_log: result.log.clone(),
        gas_wanted: i64::try_from(result.gas_wanted).unwrap_or(i64::MAX),
        gas_used: i64::try_from(result.gas_used).unwrap_or(i64::MAX),
        tx: Some(Any { type_url: "/cosmos.tx.v1beta1.Tx".to_owned(), value: transaction.bytes.clone() }),
        events: result.events.iter().map(Event::to_proto).collect(),
        ..TxResponse::default()
    }
}

/// The data of a result: its messages' responses, packed.
pub(crate) fn data(responses: &[Any]) -> Vec<u8> {
    TxMsgData { msg_responses: responses.to_vec(), ..TxMsgData::default() }.encode_to_vec()
}

pub(super) fn simulate(view: &View<'_>, request: SimulateRequest) -> Result<SimulateResponse, QueryError> {
    #[allow(deprecated, reason = "a client may still send the decoded form")]
    let bytes = match (&request.tx, request.tx_bytes.is_empty()) {
        (Some(tx), true) => tx.encode_to_vec(),
        (None, true) => return Err(QueryError::invalid("empty txBytes is not allowed")),
        (_, false) => request.tx_bytes,
    };
    let outcome = view.chain.simulate(&bytes)?;
    let result = ExecutionResult {
        events: outcome.events.iter().map(Event::to_proto).collect(),
        msg_responses: outcome.responses,
        ..ExecutionResult::default()
    };
    let gas_info = GasInfo { gas_wanted: u64::MAX, gas_used: outcome.gas_used };
    Ok(SimulateResponse { gas_info: Some(gas_info), result: Some(result) })
}
