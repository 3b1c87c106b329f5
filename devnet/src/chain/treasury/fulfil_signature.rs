//! Answering a signature request. The order of the checks is the chain's, traps included.
//!
//! Membership is looked at last, and only if the outcome is not REJECTED: any account can reject any open request,
//! outright or with junk. One wrong signature, one duplicate, one differing answer is final for everybody.

use std::sync::Arc;

use chain_client::proto::zrchain::treasury::{
    Key, KeyType, MsgFulfilSignatureRequest, MsgFulfilSignatureRequestResponse, PartySignature, SignRequest,
    SignRequestStatus, SignedDataWithId,
};

use super::fulfil_key::PARTY_SIGNATURE_BYTES;
use super::signature::{self, Stored};
use super::{deposit_refusal, fees, not_found};
use crate::chain::context::Context;
use crate::chain::event::Event;
use crate::chain::fault::TxFault;

/// The live chain's reasons for a wrong signature are longer than ours: it stores key, data and signature in them.
const LONGER_REASON_GAS: u64 = 5_000;

pub(crate) fn fulfil(
    context: &mut Context<'_>,
    message: &MsgFulfilSignatureRequest,
) -> Result<MsgFulfilSignatureRequestResponse, TxFault> {
    let request = context.sign_request(message.request_id)?.ok_or_else(|| not_found("request"))?;
    let key_id = request.key_ids.first().copied().unwrap_or(0);
    let key = context.key(key_id)?.ok_or_else(|| not_found(format!("key {key_id}")))?;
    if !matches!(request.status(), SignRequestStatus::Pending | SignRequestStatus::Partial) {
        return Err(TxFault::plain("request is not pending/partial, can't be updated"));
    }
    let mut request = Arc::unwrap_or_clone(request);
    let (id, fee) = (request.id, request.fee);
    let status = judge(context, &mut request, &key, message)?;
    request.status = status.into();
    context.put_sign_request(request)?;

    let Some(keyring) = context.active_keyring(&key.keyring_addr)? else {
        return Ok(MsgFulfilSignatureRequestResponse {});
    };
    if status != SignRequestStatus::Rejected && !keyring.parties.contains(&message.creator) {
        return Err(TxFault::plain("only one party of the keyring can fulfil signature request"));
    }
    fees::pay(context, &message.creator, &keyring, fee)?;
    let name = if status == SignRequestStatus::Rejected { "sign_request_rejected" } else { "sign_request_fulfilled" };
    context.raise(Event::request(name, id));
    Ok(MsgFulfilSignatureRequestResponse {})
}

/// Applies an answer to the request; the status that it then has.
fn judge(
    context: &mut Context<'_>,
    request: &mut SignRequest,
    key: &Key,
    message: &MsgFulfilSignatureRequest,
) -> Result<SignRequestStatus, TxFault> {
    if let Some(refusal) = deposit_refusal(context.rules, key, &request.creator) {
        return Ok(rejected(request, refusal));
    }
    match message.status() {
        SignRequestStatus::Rejected => {
            let reason = match message.reject_reason.as_str() {
                "" => "rejected with no reason provided",
                given => given,
            };
            reject_parent(context, request, reason)?;
            Ok(rejected(request, reason.to_owned()))
        }
        SignRequestStatus::Fulfilled | SignRequestStatus::Partial => answer(context, request, key, message),
        SignRequestStatus::Unspecified | SignRequestStatus::Pending => {
            // An unknown number reads as UNSPECIFIED here; the live chain prints the number.
            let status = message.status().as_str_name();
            let text = format!("invalid status field {status}, should be either fulfilled/partial/rejected");
            Err(TxFault::plain(text))
        }
    }
}

fn rejected(request: &mut SignRequest, reason: String) -> SignRequestStatus {
    request.reject_reason = reason;
    SignRequestStatus::Rejected
}

/// An explicit rejection of a child rejects its parent, whatever the parent was.
fn reject_parent(context: &mut Context<'_>, child: &SignRequest, reason: &str) -> Result<(), TxFault> {
    if child.parent_req_id == 0 {
        return Ok(());
    }
    let Some(parent) = context.sign_request(child.parent_req_id)? else { return Ok(()) };
    let mut parent = Arc::unwrap_or_clone(parent);
    parent.status = SignRequestStatus::Rejected.into();
    parent.reject_reason = format!("Child request {} rejected with reason: {reason}", child.id);
    context.put_sign_request(parent)
}

fn answer(
    context: &mut Context<'_>,
    request: &mut SignRequest,
    key: &Key,
    message: &MsgFulfilSignatureRequest,
) -> Result<SignRequestStatus, TxFault> {
    if message.signed_data.is_empty() {
        return Ok(rejected(request, "missing signature data".to_owned()));
    }
    if request.keyring_party_sigs.iter().any(|one| one.creator == message.creator) {
        return Ok(rejected(request, format!("party {} already sent a fulfilment", message.creator)));
    }
    let length = message.keyring_party_signature.len();
    if length != PARTY_SIGNATURE_BYTES {
        return Ok(rejected(request, format!("invalid length of mpc party signature: {length}")));
    }
    let Some(keyring) = context.active_keyring(&key.keyring_addr)? else {
        return Ok(rejected(request, format!("keyring {} is nil or is inactive", key.keyring_addr)));
    };
    let signed = match kept(request, key, &message.signed_data) {
        Ok(signed) => signed,
        Err(Stored::Panic(what)) => return Err(TxFault::panic(&what)),
        Err(Stored::Refused(reason)) => {
            context.meter.charge(LONGER_REASON_GAS, "WritePerByte")?;
            return Ok(rejected(request, reason));
        }
        Err(Stored::Bytes(_)) => return Ok(rejected(request, String::new())),
    };
    request
        .keyring_party_sigs
        .push(PartySignature { creator: message.creator.clone(), signature: message.keyring_party_signature.clone() });
    match request.signed_data.first() {
        Some(before) if before.signed_data != signed => {
            let (expected, got) = (hex::encode(&before.signed_data), hex::encode(&signed));
            return Ok(rejected(request, format!("signed data mismatch, expected {expected}, got {got}")));
        }
        Some(_) => {}
        None => {
            request.signed_data.push(SignedDataWithId { sign_request_id: request.id, signed_data: signed.clone() });
        }
    }
    if request.keyring_party_sigs.len() < keyring.party_threshold as usize {
        return Ok(SignRequestStatus::Partial);
    }
    complete_parent(context, request, signed)?;
    Ok(SignRequestStatus::Fulfilled)
}

/// The bytes that the chain keeps of a valid answer. Several items, as a parent has, are not verified at all.
fn kept(request: &SignRequest, key: &Key, sent: &[u8]) -> Result<Vec<u8>, Stored> {
    let key_type = request.key_type();
    let signed = match signature::stored_form(key_type, sent) {
        Stored::Bytes(signed) => signed,
        other => return Err(other),
    };
    let [data] = request.data_for_signing.as_slice() else { return Ok(signed) };
    signature::verify(key_type, &key.public_key, data, &signed)
        .map_err(|why| Stored::Refused(format!("signature verification failed: {why}")))?;
    if key_type == KeyType::EcdsaSecp256k1 {
        return Ok(signature::with_recovery_id(&key.public_key, data, signed));
    }
    Ok(signed)
}

/// A child that is FULFILLED gives its signature to the parent, which is FULFILLED when it has one per item.
fn complete_parent(context: &mut Context<'_>, child: &SignRequest, signed: Vec<u8>) -> Result<(), TxFault> {
    if child.parent_req_id == 0 {
        return Ok(());
    }
    let Some(parent) = context.sign_request(child.parent_req_id)? else { return Ok(()) };
    let mut parent = Arc::unwrap_or_clone(parent);
    if !parent.signed_data.iter().any(|one| one.signed_data == signed) {
        parent.signed_data.push(SignedDataWithId { sign_request_id: child.id, signed_data: signed });
        parent.signed_data.sort_by_key(|one| one.sign_request_id);
    }
    if parent.signed_data.len() >= parent.data_for_signing.len() {
        parent.status = SignRequestStatus::Fulfilled.into();
    }
    context.put_sign_request(parent)
}
