//! zrSign: one trusted connector account asks for keys and signatures on behalf of owners on other chains.

use std::sync::Arc;

use chain_client::proto::zrchain::identity::Workspace;
use chain_client::proto::zrchain::treasury::{
    Key, KeyRequest, KeyRequestStatus, KeyType, MsgNewKeyRequest, MsgNewKeyRequestResponse,
    MsgNewZrSignSignatureRequest, MsgNewZrSignSignatureRequestResponse, SignTransactionRequest,
};

use super::sign_request::{self, Draft};
use super::{not_found, sign_transaction};
use crate::chain::context::Context;
use crate::chain::event::Event;
use crate::chain::fault::TxFault;
use crate::chain::identity::workspace;
use crate::chain::state::State;

/// Counts of keys and requests stop here.
const COUNTED: usize = 100;
/// What looking for an owner's workspace costs, and what each workspace that exists adds. Fitted to a recorded chain.
const SEARCH_GAS: u64 = 31_800;
const WORKSPACE_GAS: u64 = 3_760;

/// The key type behind an external wallet number.
pub(crate) fn key_type(wallet: u64) -> Option<KeyType> {
    match wallet {
        0 | 1 => Some(KeyType::BitcoinSecp256k1),
        60 => Some(KeyType::EcdsaSecp256k1),
        501 => Some(KeyType::EddsaEd25519),
        _ => None,
    }
}

pub(super) fn new_key(
    context: &mut Context<'_>,
    message: &MsgNewKeyRequest,
) -> Result<MsgNewKeyRequestResponse, TxFault> {
    let key_type = key_type(message.ext_key_type)
        .ok_or_else(|| TxFault::plain("covert wallet type to key type: unknown wallet type"))?;
    let alias = message.ext_key_type.to_string();
    let workspace_addr = ensure_child(context, &message.ext_requester, &alias)?;
    let index = next_index(context.state, &workspace_addr);
    let keyring_addr = context.rules.treasury.mpc_keyring.clone();
    let keyring = context.keyring(&keyring_addr)?.ok_or_else(|| not_found(format!("keyring {keyring_addr}")))?;
    let request = KeyRequest {
        creator: message.ext_requester.clone(),
        workspace_addr,
        keyring_addr,
        key_type: key_type.into(),
        index,
        fee: keyring.key_req_fee,
        ..KeyRequest::default()
    };
    let key_req_id = super::key_request::store(context, request)?;
    Ok(MsgNewKeyRequestResponse { key_req_id })
}

/// Keys of the workspace and key requests that are not FULFILLED: a rejected one consumes its index for good.
fn next_index(state: &State, workspace: &str) -> u64 {
    let keys = State::ids(&state.keys_of_workspace, workspace).take(COUNTED).count();
    let waiting = State::ids(&state.key_requests_of_workspace, workspace)
        .filter_map(|id| state.key_requests.get(&id))
        .filter(|request| request.status() != KeyRequestStatus::Fulfilled)
        .take(COUNTED)
        .count();
    (keys + waiting) as u64
}

/// The owner's workspace that has children, else the first.
fn parent_of(state: &State, owner: &str) -> Option<Arc<Workspace>> {
    let all = state.workspaces_of_creator.get(owner)?.iter().filter_map(|address| state.workspaces.get(address));
    let all: Vec<_> = all.collect();
    all.iter().find(|one| !one.child_workspaces.is_empty()).or(all.first()).map(|one| Arc::clone(one))
}

fn child_of(state: &State, parent: &Workspace, alias: &str) -> Option<String> {
    let children = parent.child_workspaces.iter().filter_map(|address| state.workspaces.get(address));
    children.filter(|child| child.alias == alias).map(|child| child.address.clone()).next()
}

fn ensure_child(context: &mut Context<'_>, owner: &str, alias: &str) -> Result<String, TxFault> {
    // A live chain reads every workspace there is, more than once.
    let all = context.state.workspaces.size() as u64;
    context.meter.charge(SEARCH_GAS.saturating_add(all.saturating_mul(WORKSPACE_GAS)), "IterNextFlat")?;
    let parent = match parent_of(context.state, owner) {
        Some(parent) => parent,
        None => {
            let fresh = Workspace { creator: owner.to_owned(), owners: vec![owner.to_owned()], ..Workspace::default() };
            let address = workspace::create(context, fresh)?;
            workspace::find(context, &address)?
        }
    };
    match child_of(context.state, &parent, alias) {
        Some(child) => Ok(child),
        None => workspace::make_child(context, &parent, owner.to_owned(), alias.to_owned()),
    }
}

pub(crate) fn new_signature(
    context: &mut Context<'_>,
    message: &MsgNewZrSignSignatureRequest,
) -> Result<MsgNewZrSignSignatureRequestResponse, TxFault> {
    context.read_treasury_parameters()?;
    if message.creator != context.rules.treasury.zr_sign_address {
        return Err(TxFault::plain("creator is not zrsign"));
    }
    let key = find_key(context, message)?;
    let mut draft = Draft {
        creator: message.creator.clone(),
        key_ids: vec![key.id],
        data: Vec::new(),
        cache_id: message.cache_id.clone(),
        metadata: message.metadata.clone(),
    };
    if !message.tx {
        draft.data = sign_request::data_items(&message.data)?;
        draft.metadata = None;
        let req_id = sign_request::store(context, draft)?;
        context.raise(Event::request("new_sign_request", req_id));
        return Ok(MsgNewZrSignSignatureRequestResponse { req_id });
    }
    let unsigned = hex::decode(&message.data).map_err(|error| TxFault::plain(format!("encoding/hex: {error}")))?;
    let parsed = sign_transaction::parse(&key, message.wallet_type(), &unsigned, message.metadata.as_ref())?;
    draft.data = parsed.data;
    let transaction = SignTransactionRequest {
        creator: message.creator.clone(),
        wallet_type: message.wallet_type,
        unsigned_transaction: unsigned,
        no_broadcast: message.no_broadcast,
        ..SignTransactionRequest::default()
    };
    let outcome = sign_transaction::store(context, transaction, draft)?;
    Ok(MsgNewZrSignSignatureRequestResponse { req_id: outcome.request_id })
}

/// Exactly one key with that wallet type and index must exist.
fn find_key(context: &mut Context<'_>, message: &MsgNewZrSignSignatureRequest) -> Result<Arc<Key>, TxFault> {
    let missing = || TxFault::plain(format!("key index not found: {}", message.key_type));
    let alias = message.key_type.to_string();
    context.meter.charge(15_000, "ReadFlat")?;
    let parent = parent_of(context.state, &message.address).ok_or_else(missing)?;
    let child = child_of(context.state, &parent, &alias).ok_or_else(missing)?;
    let ids = State::ids(&context.state.keys_of_workspace, &child);
    let found = ids.filter_map(|id| context.state.keys.get(&id)).filter(|key| key.index == message.wallet_index);
    let found: Vec<_> = found.map(|key| key.id).take(2).collect();
    match found[..] {
        [id] => context.key(id)?.ok_or_else(missing),
        [] => Err(missing()),
        _ => Err(TxFault::plain(format!("more than one key of index {}", message.wallet_index))),
    }
}
