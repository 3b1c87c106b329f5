//! Answering a key request. The order of the checks is the chain's, traps included.
//!
//! A chain-reject is a transaction that succeeds and leaves the request REJECTED, with no event and no refund. Activity
//! of the keyring and length of the party signature are looked at before membership and status: any account can turn
//! any key request into REJECTED, even a FULFILLED one.

use std::sync::Arc;

use chain_client::proto::zrchain::identity::Keyring;
use chain_client::proto::zrchain::treasury::{
    Key, KeyRequest, KeyRequestStatus, KeyType, MsgFulfilKeyRequest, MsgFulfilKeyRequestResponse, PartySignature,
    msg_fulfil_key_request,
};

use super::{fees, not_found};
use crate::chain::context::Context;
use crate::chain::event::Event;
use crate::chain::fault::TxFault;

pub(crate) const PARTY_SIGNATURE_BYTES: usize = 64;

pub(crate) fn fulfil(
    context: &mut Context<'_>,
    message: &MsgFulfilKeyRequest,
) -> Result<MsgFulfilKeyRequestResponse, TxFault> {
    let request = context.key_request(message.request_id)?;
    let request = request.ok_or_else(|| not_found(format!("request {}", message.request_id)))?;
    let request = Arc::unwrap_or_clone(request);
    let Some(keyring) = context.active_keyring(&request.keyring_addr)? else {
        let reason = format!("keyring {} is nil or is inactive", request.keyring_addr);
        return chain_reject(context, request, reason);
    };
    let length = message.keyring_party_signature.len();
    if length != PARTY_SIGNATURE_BYTES {
        let reason = format!("invalid mpc party signature, should be {PARTY_SIGNATURE_BYTES} bytes, is {length}");
        return chain_reject(context, request, reason);
    }
    if !keyring.parties.contains(&message.creator) {
        return Err(TxFault::plain("only one party of the keyring can fulfil key request"));
    }
    if !matches!(request.status(), KeyRequestStatus::Pending | KeyRequestStatus::Partial) {
        let status = request.status().as_str_name();
        return Err(TxFault::plain(format!("request {status} is not pending/partial, can't be updated")));
    }
    match message.status() {
        KeyRequestStatus::Rejected => reject(context, request, message),
        KeyRequestStatus::Fulfilled => accept(context, request, &keyring, message),
        _ => Err(TxFault::plain("invalid status field, should be either fulfilled/rejected")),
    }
}

fn chain_reject(
    context: &mut Context<'_>,
    mut request: KeyRequest,
    reason: String,
) -> Result<MsgFulfilKeyRequestResponse, TxFault> {
    request.status = KeyRequestStatus::Rejected.into();
    request.reject_reason = reason;
    context.put_key_request(request)?;
    Ok(MsgFulfilKeyRequestResponse {})
}

/// A party rejects: the fee goes back, and one party suffices.
fn reject(
    context: &mut Context<'_>,
    mut request: KeyRequest,
    message: &MsgFulfilKeyRequest,
) -> Result<MsgFulfilKeyRequestResponse, TxFault> {
    request.status = KeyRequestStatus::Rejected.into();
    request.reject_reason = match &message.result {
        Some(msg_fulfil_key_request::Result::RejectReason(reason)) => reason.clone(),
        _ => "rejected with no reason provided".to_owned(),
    };
    let (id, creator, fee) = (request.id, request.creator.clone(), request.fee);
    context.put_key_request(request)?;
    fees::refund(context, &creator, fee)?;
    context.raise(Event::request("key_request_rejected", id));
    Ok(MsgFulfilKeyRequestResponse {})
}

fn accept(
    context: &mut Context<'_>,
    mut request: KeyRequest,
    keyring: &Keyring,
    message: &MsgFulfilKeyRequest,
) -> Result<MsgFulfilKeyRequestResponse, TxFault> {
    if request.keyring_party_sigs.iter().any(|one| one.creator == message.creator) {
        let reason = format!("party {} already sent a fulfilment", message.creator);
        return chain_reject(context, request, reason);
    }
    let public_key = match &message.result {
        Some(msg_fulfil_key_request::Result::Key(key)) => key.public_key.as_slice(),
        _ => &[],
    };
    if public_key.is_empty() {
        return chain_reject(context, request, "invalid or missing public key".to_owned());
    }
    if !request.public_key.is_empty() && request.public_key != public_key {
        let (expected, got) = (hex::encode(&request.public_key), hex::encode(public_key));
        return chain_reject(context, request, format!("public key mismatch, expected {expected}, got {got}"));
    }
    if !is_shaped(request.key_type(), public_key) {
        let reason = format!("invalid {} public key {}", request.key_type().as_str_name(), hex::encode(public_key));
        return chain_reject(context, request, reason);
    }
    request
        .keyring_party_sigs
        .push(PartySignature { creator: message.creator.clone(), signature: message.keyring_party_signature.clone() });
    let (id, fee) = (request.id, request.fee);
    // Read again for its threshold.
    context.keyring(&request.keyring_addr)?;
    if request.keyring_party_sigs.len() >= keyring.party_threshold as usize {
        request.status = KeyRequestStatus::Fulfilled.into();
        context.put_key(Key {
            id,
            workspace_addr: request.workspace_addr.clone(),
            keyring_addr: request.keyring_addr.clone(),
            r#type: request.key_type,
            public_key: public_key.to_vec(),
            index: request.index,
            sign_policy_id: request.sign_policy_id,
            zenbtc_metadata: request.zenbtc_metadata.clone(),
        })?;
    } else {
        request.status = KeyRequestStatus::Partial.into();
        request.public_key = public_key.to_vec();
    }
    context.put_key_request(request)?;
    fees::pay(context, &message.creator, keyring, fee)?;
    context.raise(Event::request("key_request_fulfilled", id));
    Ok(MsgFulfilKeyRequestResponse {})
}

/// Length, first byte and leading zeros; whether it is a point of the curve is nobody's question.
fn is_shaped(key_type: KeyType, key: &[u8]) -> bool {
    match key_type {
        KeyType::EcdsaSecp256k1 | KeyType::BitcoinSecp256k1 => {
            matches!(key.len(), 33 | 65) && matches!(key[0], 2 | 3) && key[1..6] != [0; 5]
        }
        KeyType::EddsaEd25519 => key.len() == 32 && key[..5] != [0; 5],
        KeyType::Unspecified => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shape_of_a_key_is_length_prefix_and_zeros() {
        let shaped = |kind, bytes: &[u8]| is_shaped(kind, bytes);
        let mut key = [7; 33];
        key[0] = 2;
        assert!(shaped(KeyType::EcdsaSecp256k1, &key));
        key[1..5].fill(0);
        assert!(shaped(KeyType::BitcoinSecp256k1, &key), "four zeros are allowed");
        key[5] = 0;
        assert!(!shaped(KeyType::EcdsaSecp256k1, &key), "five are not");
        let mut long = [7; 65];
        long[0] = 4;
        assert!(!shaped(KeyType::EcdsaSecp256k1, &long), "uncompressed");
        long[0] = 3;
        assert!(shaped(KeyType::EcdsaSecp256k1, &long), "useless, and taken");
        assert!(shaped(KeyType::EddsaEd25519, &[1; 32]));
        assert!(!shaped(KeyType::EddsaEd25519, &[1; 33]));
        assert!(!shaped(KeyType::EddsaEd25519, &[0; 32]));
        assert!(!shaped(KeyType::Unspecified, &[2; 33]));
    }
}
