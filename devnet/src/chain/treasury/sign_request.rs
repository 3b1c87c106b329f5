//! Asking for signatures over digests or messages: one parent, and a child per item if there are several.

use std::sync::Arc;

use chain_client::proto::zrchain::identity::Workspace;
use chain_client::proto::zrchain::treasury::{
    Key, KeyType, MsgNewSignatureRequest, MsgNewSignatureRequestResponse, SignRequest, SignRequestStatus,
};
use prost_types::Any;

use super::{deposit_refusal, fees, inactive, not_found};
use crate::chain::context::Context;
use crate::chain::event::Event;
use crate::chain::fault::TxFault;
use crate::chain::message::packed;
use crate::chain::policy::{self, Outcome, Proposal};

/// An EdDSA item is shorter than this, hex digits.
const EDDSA_HEX_DIGITS: usize = 2_000;
/// What the chain reads to know that no module reserves a key.
const RESERVATION_GAS: u64 = 43_093;
/// What storing a request costs beside its records, and what a group adds. Fitted to a recorded chain.
const STORE_GAS: u64 = 1_018;
const GROUP_GAS: u64 = 4_927;

pub(crate) fn new(
    context: &mut Context<'_>,
    message: &MsgNewSignatureRequest,
) -> Result<MsgNewSignatureRequestResponse, TxFault> {
    if message.key_ids.is_empty() {
        return Err(TxFault::invalid_request("key ids cannot be empty"));
    }
    if message.data_for_signing.is_empty() {
        return Err(TxFault::invalid_request("data for signing cannot be empty"));
    }
    let keys = find_keys(context, &message.key_ids)?;
    check_items(keys.first().map_or(KeyType::Unspecified, |key| key.r#type()), &message.data_for_signing)?;
    let (first, workspace) = first_key(context, &keys)?;
    require_active(context, &first)?;
    data_items(&message.data_for_signing)?;
    check_reservations(context, &keys, &message.creator)?;
    let proposal = Proposal {
        msg: packed(message),
        creator: message.creator.clone(),
        workspace: workspace.address.clone(),
        policy_id: policy_of(&first, &workspace),
        btl: message.btl,
        data: Vec::new(),
    };
    let outcome = policy::propose_and_settle(context, proposal)?;
    Ok(MsgNewSignatureRequestResponse { sig_req_id: outcome.request_id })
}

pub(super) fn find_keys(context: &mut Context<'_>, ids: &[u64]) -> Result<Vec<Arc<Key>>, TxFault> {
    ids.iter().map(|id| context.key(*id)?.ok_or_else(|| not_found(format!("key {id}")))).collect()
}

/// The first key decides workspace, policy and keyring; the others are only looked up.
pub(super) fn first_key(context: &mut Context<'_>, keys: &[Arc<Key>]) -> Result<(Arc<Key>, Arc<Workspace>), TxFault> {
    let first = keys.first().cloned().ok_or_else(|| TxFault::invalid_request("key ids cannot be empty"))?;
    let workspace = context.workspace(&first.workspace_addr)?;
    let workspace = workspace.ok_or_else(|| not_found(format!("workspace {}", first.workspace_addr)))?;
    Ok((first, workspace))
}

pub(super) fn policy_of(key: &Key, workspace: &Workspace) -> u64 {
    if key.sign_policy_id > 0 { key.sign_policy_id } else { workspace.sign_policy_id }
}

pub(super) fn require_active(context: &mut Context<'_>, key: &Key) -> Result<(), TxFault> {
    match context.active_keyring(&key.keyring_addr)? {
        Some(_) => Ok(()),
        None => Err(inactive(&key.keyring_addr)),
    }
}

pub(super) fn check_reservations(context: &mut Context<'_>, keys: &[Arc<Key>], creator: &str) -> Result<(), TxFault> {
    for key in keys {
        context.meter.charge(RESERVATION_GAS, "ReadFlat")?;
        if context.rules.is_reserved(key.id) {
            return Err(TxFault::plain(format!("key {} is reserved for internal use", key.id)));
        }
        if let Some(refusal) = deposit_refusal(context.rules, key, creator) {
            return Err(TxFault::plain(refusal));
        }
    }
    Ok(())
}

/// Length rules of the items, by the type of the first key.
fn check_items(key_type: KeyType, list: &str) -> Result<(), TxFault> {
    if list.split(',').all(str::is_empty) {
        return Err(TxFault::plain("data for signing is blank"));
    }
    for item in list.split(',') {
        let digits = item.len();
        match key_type {
            KeyType::EcdsaSecp256k1 | KeyType::BitcoinSecp256k1 if digits != 64 => {
                return Err(TxFault::plain(format!(
                    "data for signing for ecdsa key should have a hex-encoded length of 64, not: {digits}"
                )));
            }
            KeyType::EddsaEd25519 if digits >= EDDSA_HEX_DIGITS => {
                return Err(TxFault::plain(format!(
                    "data for signing for eddsa key should have a hex-encoded length smaller than \
                     {EDDSA_HEX_DIGITS}, not: {digits}"
                )));
            }
            _ => {}
        }
    }
    Ok(())
}

/// The items of a comma-separated hex list.
pub(super) fn data_items(list: &str) -> Result<Vec<Vec<u8>>, TxFault> {
    list.split(',')
        .map(|item| hex::decode(item).map_err(|error| TxFault::plain(format!("encoding/hex: {error}"))))
        .collect()
}

/// What a signature request does once approved.
pub(crate) fn execute(context: &mut Context<'_>, message: &MsgNewSignatureRequest) -> Result<Outcome, TxFault> {
    let draft = Draft {
        creator: message.creator.clone(),
        key_ids: message.key_ids.clone(),
        data: data_items(&message.data_for_signing)?,
        cache_id: message.cache_id.clone(),
        metadata: None,
    };
    let request_id = store(context, draft)?;
    context.raise(Event::request("new_sign_request", request_id));
    Ok(Outcome { request_id, ..Outcome::default() })
}

/// What becomes a parent and, with several items, its children.
pub(super) struct Draft {
    pub(super) creator: String,
    pub(super) key_ids: Vec<u64>,
    pub(super) data: Vec<Vec<u8>>,
    pub(super) cache_id: Vec<u8>,
    pub(super) metadata: Option<Any>,
}

/// Escrows the fees and stores the request and its children; the id of the request.
pub(super) fn store(context: &mut Context<'_>, draft: Draft) -> Result<u64, TxFault> {
    if draft.key_ids.len() != draft.data.len() {
        return Err(TxFault::plain(format!(
            "number of key IDs ({}) does not match number of data elements ({})",
            draft.key_ids.len(),
            draft.data.len()
        )));
    }
    let keys = find_keys(context, &draft.key_ids)?;
    let (Some(first), Some(last)) = (keys.first(), keys.last()) else {
        return Err(TxFault::invalid_request("key ids cannot be empty"));
    };
    let keyring = context.keyring(&first.keyring_addr)?;
    let keyring = keyring.ok_or_else(|| not_found(format!("keyring {}", first.keyring_addr)))?;
    let fee = if context.rules.is_reserved(first.id) { 0 } else { keyring.sig_req_fee };
    for _ in &keys {
        fees::escrow(context, &draft.creator, fee)?;
        context.meter.charge(RESERVATION_GAS, "ReadFlat")?;
    }
    context.meter.charge(STORE_GAS, "ReadFlat")?;
    let parent_id = context.next_number(|state| &mut state.counters.sign_requests)?;
    let mut parent = SignRequest {
        id: parent_id,
        creator: draft.creator,
        key_type: last.r#type,
        key_ids: draft.key_ids,
        data_for_signing: draft.data,
        status: SignRequestStatus::Pending.into(),
        metadata: draft.metadata,
        cache_id: draft.cache_id,
        mpc_btl: context.rules.deadline(context.height),
        fee,
        ..SignRequest::default()
    };
    if parent.data_for_signing.len() > 1 {
        context.meter.charge(GROUP_GAS, "WritePerByte")?;
        for (key_id, data) in parent.key_ids.clone().into_iter().zip(parent.data_for_signing.clone()) {
            let id = context.next_number(|state| &mut state.counters.sign_requests)?;
            let child = SignRequest {
                id,
                key_ids: vec![key_id],
                data_for_signing: vec![data],
                metadata: None,
                parent_req_id: parent_id,
                child_req_ids: Vec::new(),
                ..parent.clone()
            };
            parent.child_req_ids.push(id);
            context.put_sign_request(child)?;
        }
    }
    context.put_sign_request(parent)?;
    Ok(parent_id)
}
