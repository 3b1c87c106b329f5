//! Answering an interchain-account request: a hole of the live chain, reproduced so that a keyring can be tested on it.
//!
//! The message is looked up among *signature* requests and checks neither sender nor status, so anybody can reject any
//! of them, FULFILLED ones included, and anybody with a valid signature can move a single-item request.

use std::sync::Arc;

use chain_client::proto::zrchain::treasury::{
    MsgFulfilIcaTransactionRequest, MsgFulfilIcaTransactionRequestResponse, PartySignature, SignRequestStatus,
    SignedDataWithId,
};

use super::fulfil_key::PARTY_SIGNATURE_BYTES;
use super::{not_found, signature};
use crate::chain::context::Context;
use crate::chain::event::Event;
use crate::chain::fault::TxFault;

pub(crate) fn fulfil(
    context: &mut Context<'_>,
    message: &MsgFulfilIcaTransactionRequest,
) -> Result<MsgFulfilIcaTransactionRequestResponse, TxFault> {
    let request = context.sign_request(message.request_id)?.ok_or_else(|| not_found("request"))?;
    let mut request = Arc::unwrap_or_clone(request);
    match message.status() {
        SignRequestStatus::Rejected => {
            request.status = SignRequestStatus::Rejected.into();
            request.reject_reason = message.reject_reason.clone();
        }
        SignRequestStatus::Fulfilled => {
            let key_id = request.key_ids.first().copied().unwrap_or(0);
            let key = context.key(key_id)?.ok_or_else(|| not_found(format!("key {key_id}")))?;
            let keyring = context.keyring(&key.keyring_addr)?;
            let keyring = keyring.ok_or_else(|| not_found(format!("keyring {}", key.keyring_addr)))?;
            let [data] = request.data_for_signing.as_slice() else {
                return Err(TxFault::plain("request has not exactly one item"));
            };
            if data.len() != 32 || message.keyring_party_signature.len() != PARTY_SIGNATURE_BYTES {
                return Err(TxFault::plain("item is not 32 bytes or party signature not 64"));
            }
            // On this path a BITCOIN answer is DER as sent.
            signature::verify(request.key_type(), &key.public_key, data, &message.signed_data)
                .map_err(|why| TxFault::plain(format!("signature verification failed: {why}")))?;
            if request.keyring_party_sigs.iter().any(|one| one.signature == message.keyring_party_signature) {
                return Err(TxFault::plain("party signature was already used"));
            }
            request.keyring_party_sigs.push(PartySignature {
                creator: message.creator.clone(),
                signature: message.keyring_party_signature.clone(),
            });
            let signed_data = message.signed_data.clone();
            request.signed_data.push(SignedDataWithId { sign_request_id: request.id, signed_data });
            let enough = request.keyring_party_sigs.len() >= keyring.party_threshold as usize;
            let status = if enough { SignRequestStatus::Fulfilled } else { SignRequestStatus::Partial };
            request.status = status.into();
        }
        _ => return Err(TxFault::plain("invalid status field, should be either fulfilled/rejected")),
    }
    let id = request.id;
    context.put_sign_request(request)?;
    context.raise(Event::request("ica_transaction_request_fulfilled", id));
    Ok(MsgFulfilIcaTransactionRequestResponse {})
}
