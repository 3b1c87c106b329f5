//! Requests and keys, rendered as queries answer: enums by their names, a few fields left out as the live chain does.

use chain_client::proto::cosmos::base::query::v1beta1::PageResponse;
use chain_client::proto::zrchain::treasury::{
    Key, KeyAndWalletResponse, KeyReqResponse, KeyRequest, KeyRequestStatus, KeyResponse, KeyType, Params,
    QueryDctWalletsRequest, QueryDctWalletsResponse, QueryKeyByAddressRequest, QueryKeyByAddressResponse,
    QueryKeyByIdRequest, QueryKeyByIdResponse, QueryKeyRequestByIdRequest, QueryKeyRequestByIdResponse,
    QueryKeyRequestsRequest, QueryKeyRequestsResponse, QueryKeysRequest, QueryKeysResponse, QueryParamsRequest,
    QueryParamsResponse, QuerySignTransactionRequestByIdRequest, QuerySignTransactionRequestByIdResponse,
    QuerySignTransactionRequestsRequest, QuerySignTransactionRequestsResponse, QuerySignatureRequestByIdRequest,
    QuerySignatureRequestByIdResponse, QuerySignatureRequestsRequest, QuerySignatureRequestsResponse,
    QueryZenbtcWalletsRequest, QueryZenbtcWalletsResponse, QueryZrSignKeysRequest, QueryZrSignKeysResponse,
    SignReqResponse, SignRequest, SignRequestStatus, SignTransactionRequest, SignTransactionRequestsResponse,
    SignTxReqResponse, WalletType, ZenBtcMetadata, ZrSignKeyEntry,
};

use super::pagination::page;
use super::{View, reply};
use crate::chain::address::ACCOUNT_PREFIX;
use crate::chain::fault::QueryError;
use crate::chain::state::State;
use crate::chain::wallets;

/// Keys that a zrSign listing shows.
const ZRSIGN_KEYS: usize = 100;

pub(super) fn dispatch(view: &View<'_>, method: &str, request: &[u8]) -> Option<Result<Vec<u8>, QueryError>> {
    Some(match method {
        "Params" => reply(view, request, params),
        "KeyRequests" => reply(view, request, key_requests),
        "KeyRequestByID" => reply(view, request, key_request_by_id),
        "Keys" => reply(view, request, keys),
        "KeyByID" => reply(view, request, key_by_id),
        "KeyByAddress" => reply(view, request, key_by_address),
        "SignatureRequests" => reply(view, request, signature_requests),
        "SignatureRequestByID" => reply(view, request, signature_request_by_id),
        "SignTransactionRequests" => reply(view, request, sign_transaction_requests),
        "SignTransactionRequestByID" => reply(view, request, sign_transaction_request_by_id),
        "ZrSignKeys" => reply(view, request, zr_sign_keys),
        "ZenbtcWallets" => reply(view, request, zenbtc_wallets),
        "DctWallets" => reply(view, request, dct_wallets),
        _ => return None,
    })
}

fn params(view: &View<'_>, _: QueryParamsRequest) -> Result<QueryParamsResponse, QueryError> {
    let treasury = view.chain.rules.treasury.clone();
    let params = Params {
        mpc_keyring: treasury.mpc_keyring,
        zr_sign_address: treasury.zr_sign_address,
        keyring_commission: treasury.keyring_commission,
        keyring_commission_destination: treasury.keyring_commission_destination,
        min_gas_fee: treasury.min_gas_fee,
        default_btl: treasury.default_btl,
    };
    Ok(QueryParamsResponse { params: Some(params) })
}

fn render_key_request(request: &KeyRequest) -> KeyReqResponse {
    KeyReqResponse {
        id: request.id,
        creator: request.creator.clone(),
        workspace_addr: request.workspace_addr.clone(),
        keyring_addr: request.keyring_addr.clone(),
        key_type: request.key_type().as_str_name().to_owned(),
        status: request.status().as_str_name().to_owned(),
        keyring_party_signatures: request.keyring_party_sigs.clone(),
        reject_reason: request.reject_reason.clone(),
        index: request.index,
        sign_policy_id: request.sign_policy_id,
        zenbtc_metadata: request.zenbtc_metadata.clone(),
        mpc_btl: 0,
        fee: 0,
        public_key: request.public_key.clone(),
    }
}

fn key_requests(view: &View<'_>, asked: QueryKeyRequestsRequest) -> Result<QueryKeyRequestsResponse, QueryError> {
    let (key_requests, next) = page(&view.state.key_requests, asked.pagination.as_ref(), |request| {
        let fits = (asked.keyring_addr.is_empty() || asked.keyring_addr == request.keyring_addr)
            && (asked.status() == KeyRequestStatus::Unspecified || asked.status == request.status)
            && (asked.workspace_addr.is_empty() || asked.workspace_addr == request.workspace_addr);
        fits.then(|| render_key_request(request))
    })?;
    Ok(QueryKeyRequestsResponse { key_requests, pagination: Some(next) })
}

fn key_request_by_id(
    view: &View<'_>,
    asked: QueryKeyRequestByIdRequest,
) -> Result<QueryKeyRequestByIdResponse, QueryError> {
    let request = view.state.key_requests.get(&asked.id);
    let request = request.ok_or_else(|| QueryError::unknown(format!("key request {} not found", asked.id)))?;
    // Only this answer tells the deadline; the list leaves it out.
    let rendered = KeyReqResponse { mpc_btl: request.mpc_btl, ..render_key_request(request) };
    Ok(QueryKeyRequestByIdResponse { key_request: Some(rendered) })
}

fn render_key(key: &Key) -> KeyResponse {
    KeyResponse {
        id: key.id,
        workspace_addr: key.workspace_addr.clone(),
        keyring_addr: key.keyring_addr.clone(),
        r#type: key.r#type().as_str_name().to_owned(),
        public_key: key.public_key.clone(),
        index: key.index,
        sign_policy_id: key.sign_policy_id,
        zenbtc_metadata: key.zenbtc_metadata.clone(),
    }
}

fn render_with_wallets(key: &Key, wallet_type: WalletType, prefixes: &[String]) -> KeyAndWalletResponse {
    KeyAndWalletResponse { key: Some(render_key(key)), wallets: wallets::of_key(key, wallet_type, prefixes) }
}

fn keys(view: &View<'_>, asked: QueryKeysRequest) -> Result<QueryKeysResponse, QueryError> {
    let wallet_type = asked.wallet_type();
    let needed = wallets::key_type(wallet_type);
    let (keys, next) = page(&view.state.keys, asked.pagination.as_ref(), |key| {
        let fits = (asked.workspace_addr.is_empty() || asked.workspace_addr == key.workspace_addr)
            && needed.is_none_or(|needed| needed == key.r#type());
        fits.then(|| render_with_wallets(key, wallet_type, &asked.prefixes))
    })?;
    Ok(QueryKeysResponse { keys, pagination: Some(next) })
}

fn key_by_id(view: &View<'_>, asked: QueryKeyByIdRequest) -> Result<QueryKeyByIdResponse, QueryError> {
    let key = view.state.keys.get(&asked.id);
    let key = key.ok_or_else(|| {
        QueryError::unknown(format!("codespace treasury code 1503: not found: key {} not found", asked.id))
    })?;
    let wallets = wallets::of_key(key, asked.wallet_type(), &asked.prefixes);
    Ok(QueryKeyByIdResponse { key: Some(render_key(key)), wallets })
}

/// Scans keys in order; one that has no such wallet ends the search with an error.
fn key_by_address(view: &View<'_>, asked: QueryKeyByAddressRequest) -> Result<QueryKeyByAddressResponse, QueryError> {
    let wallet_type = asked.wallet_type();
    for key in view.state.keys.values() {
        let fits = (asked.keyring_addr.is_empty() || asked.keyring_addr == key.keyring_addr)
            && (asked.key_type() == KeyType::Unspecified || asked.key_type() == key.r#type());
        if !fits {
            continue;
        }
        let address = wallets::address(key, wallet_type, ACCOUNT_PREFIX).map_err(QueryError::unknown)?;
        if address == asked.address {
            let response = Some(render_with_wallets(key, wallet_type, &asked.prefixes));
            return Ok(QueryKeyByAddressResponse { response });
        }
    }
    Ok(QueryKeyByAddressResponse { response: None })
}

fn render_sign_request(request: &SignRequest) -> SignReqResponse {
    SignReqResponse {
        id: request.id,
        creator: request.creator.clone(),
        key_ids: request.key_ids.clone(),
        key_type: request.key_type().as_str_name().to_owned(),
        data_for_signing: request.data_for_signing.clone(),
        status: request.status().as_str_name().to_owned(),
        signed_data: request.signed_data.clone(),
        keyring_party_sigs: request.keyring_party_sigs.clone(),
        reject_reason: request.reject_reason.clone(),
        metadata: request.metadata.clone(),
        parent_req_id: request.parent_req_id,
        child_req_ids: request.child_req_ids.clone(),
        cache_id: request.cache_id.clone(),
        mpc_btl: request.mpc_btl,
        fee: 0,
        zenbtc_tx_bytes: request.zenbtc_tx_bytes.clone(),
    }
}

fn signature_requests(
    view: &View<'_>,
    asked: QuerySignatureRequestsRequest,
) -> Result<QuerySignatureRequestsResponse, QueryError> {
    let (sign_requests, next) = page(&view.state.sign_requests, asked.pagination.as_ref(), |request| {
        let key = view.state.keys.get(request.key_ids.first()?)?;
        let fits = (asked.status() == SignRequestStatus::Unspecified || asked.status == request.status)
            && (asked.keyring_addr.is_empty() || asked.keyring_addr == key.keyring_addr);
        fits.then(|| render_sign_request(request))
    })?;
    Ok(QuerySignatureRequestsResponse { sign_requests, pagination: Some(next) })
}

fn signature_request_by_id(
    view: &View<'_>,
    asked: QuerySignatureRequestByIdRequest,
) -> Result<QuerySignatureRequestByIdResponse, QueryError> {
    let request = view.state.sign_requests.get(&asked.id);
    let request = request.ok_or_else(|| {
        QueryError::unknown(format!("codespace treasury code 1503: not found: sign request {} not found", asked.id))
    })?;
    Ok(QuerySignatureRequestByIdResponse { sign_request: Some(render_sign_request(request)) })
}

fn render_sign_transaction(request: &SignTransactionRequest) -> SignTxReqResponse {
    SignTxReqResponse {
        id: request.id,
        creator: request.creator.clone(),
        wallet_type: request.wallet_type().as_str_name().to_owned(),
        unsigned_transaction: request.unsigned_transaction.clone(),
        sign_request_id: request.sign_request_id,
        no_broadcast: request.no_broadcast,
        key_ids: request.key_ids.clone(),
        ..SignTxReqResponse::default()
    }
}

fn sign_transaction_requests(
    view: &View<'_>,
    asked: QuerySignTransactionRequestsRequest,
) -> Result<QuerySignTransactionRequestsResponse, QueryError> {
    let (sign_transaction_requests, next) =
        page(&view.state.sign_transactions, asked.pagination.as_ref(), |transaction| {
            let request = view.state.sign_requests.get(&transaction.sign_request_id)?;
            let fits = (asked.key_id == 0 || transaction.key_ids.contains(&asked.key_id))
                && (asked.wallet_type() == WalletType::Unspecified || asked.wallet_type == transaction.wallet_type)
                && (asked.status() == SignRequestStatus::Unspecified || asked.status == request.status);
            fits.then(|| SignTransactionRequestsResponse {
                sign_transaction_requests: Some(render_sign_transaction(transaction)),
                sign_request: Some(SignReqResponse { mpc_btl: 0, ..render_sign_request(request) }),
            })
        })?;
    Ok(QuerySignTransactionRequestsResponse { sign_transaction_requests, pagination: Some(next) })
}

fn sign_transaction_request_by_id(
    view: &View<'_>,
    asked: QuerySignTransactionRequestByIdRequest,
) -> Result<QuerySignTransactionRequestByIdResponse, QueryError> {
    let request = view.state.sign_transactions.get(&asked.id);
    let request = request.ok_or_else(|| {
        let text = format!("codespace treasury code 1503: not found: sign transaction request {} not found", asked.id);
        QueryError::unknown(text)
    })?;
    Ok(QuerySignTransactionRequestByIdResponse { sign_transaction_request: Some(render_sign_transaction(request)) })
}

/// Keys in the zrSign children of an owner's workspaces; an owner without any has an empty list.
fn zr_sign_keys(view: &View<'_>, asked: QueryZrSignKeysRequest) -> Result<QueryZrSignKeysResponse, QueryError> {
    let mut entries = Vec::new();
    let parents = view.state.workspaces_of_creator.get(&asked.address).into_iter().flat_map(|set| set.iter());
    let parents = parents.filter_map(|address| view.state.workspaces.get(address));
    for parent in parents {
        for child in &parent.child_workspaces {
            let Some(child) = view.state.workspaces.get(child) else { continue };
            let Some(wallet_type) = wallets::of_zrsign(&child.alias) else { continue };
            if !asked.wallet_type.is_empty() && asked.wallet_type != child.alias {
                continue;
            }
            for id in State::ids(&view.state.keys_of_workspace, &child.address) {
                let Some(key) = view.state.keys.get(&id) else { continue };
                let Ok(address) = wallets::address(key, wallet_type, ACCOUNT_PREFIX) else { continue };
                entries.push(ZrSignKeyEntry { wallet_type: child.alias.clone(), address, index: key.index, id });
            }
        }
    }
    entries.sort_by_key(|entry| entry.id);
    entries.truncate(ZRSIGN_KEYS);
    let pagination = Some(PageResponse { next_key: Vec::new(), total: entries.len() as u64 });
    Ok(QueryZrSignKeysResponse { keys: entries, pagination })
}

fn deposit_matches(metadata: &ZenBtcMetadata, recipient: &str, chain_type: WalletType) -> bool {
    (recipient.is_empty() || metadata.recipient_addr == recipient)
        && (chain_type == WalletType::Unspecified || metadata.chain_type() == chain_type)
}

fn zenbtc_wallets(view: &View<'_>, asked: QueryZenbtcWalletsRequest) -> Result<QueryZenbtcWalletsResponse, QueryError> {
    let (zenbtc_wallets, next) = page(&view.state.keys, asked.pagination.as_ref(), |key| {
        let metadata = key.zenbtc_metadata.as_ref()?;
        deposit_matches(metadata, &asked.recipient_addr, asked.chain_type())
            .then(|| render_with_wallets(key, WalletType::Unspecified, &[]))
    })?;
    Ok(QueryZenbtcWalletsResponse { zenbtc_wallets, pagination: Some(next) })
}

fn dct_wallets(view: &View<'_>, asked: QueryDctWalletsRequest) -> Result<QueryDctWalletsResponse, QueryError> {
    let (dct_wallets, next) = page(&view.state.keys, asked.pagination.as_ref(), |key| {
        let metadata = key.zenbtc_metadata.as_ref().filter(|metadata| metadata.asset == asked.asset_type)?;
        deposit_matches(metadata, &asked.recipient_addr, asked.wallet_type())
            .then(|| render_with_wallets(key, WalletType::Unspecified, &[]))
    })?;
    Ok(QueryDctWalletsResponse { dct_wallets, pagination: Some(next) })
}
