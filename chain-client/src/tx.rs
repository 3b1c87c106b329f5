//! Signed bytes: a pure function of account, place and contents, so that they can be stored before they leave and
//! made again to the byte.
//!
//! Refuses to send anything. Nothing made here has a timeout height: one transaction that expires in the chain's pool
//! stops the chain for everybody (`docs/zrchain.md`, *No timeout height*).

use prost::{Message as _, Name};
use prost_types::Any;
use sha2::{Digest as _, Sha256};

use crate::account::PartyAccount;
use crate::answer::Answer;
use crate::fee::Charge;
use crate::name::{ChainId, RequestId, RequestKind};
use crate::proto::cosmos::bank::v1beta1::MsgSend;
use crate::proto::cosmos::base::v1beta1::Coin;
use crate::proto::cosmos::crypto::secp256k1::PubKey;
use crate::proto::cosmos::tx::signing::v1beta1::SignMode;
use crate::proto::cosmos::tx::v1beta1::{AuthInfo, Fee, ModeInfo, SignDoc, SignerInfo, TxBody, TxRaw, mode_info};
use crate::proto::zrchain::treasury::{
    KeyRequestStatus, MsgFulfilKeyRequest, MsgFulfilSignatureRequest, MsgNewKey, SignRequestStatus,
    msg_fulfil_key_request,
};
use crate::submission::{SignedTx, TxHash};
use crate::zrchain::DENOMINATION;

/// The place of a transaction: which chain, which account number, which sequence.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Seat {
    /// The chain.
    pub chain: ChainId,
    /// The account's number on it.
    pub account_number: u64,
    /// The sequence to spend.
    pub sequence: u64,
}

/// The one answer to a request.
///
/// # Security
/// At most one such transaction per request may ever reach the chain: a second one destroys the request. The caller
/// keeps request and sequence together for ever.
#[must_use]
pub fn answer(account: &PartyAccount, seat: &Seat, request: RequestId, answer: &Answer, charge: Charge) -> SignedTx {
    let creator = account.address().to_owned();
    let keyring_party_signature = account.party_signature(request.number).to_vec();
    let message = match request.kind {
        RequestKind::Key => any(&MsgFulfilKeyRequest {
            creator,
            request_id: request.number,
            status: KeyRequestStatus::Fulfilled.into(),
            keyring_party_signature,
            result: Some(msg_fulfil_key_request::Result::Key(MsgNewKey { public_key: answer.bytes().to_vec() })),
        }),
        RequestKind::Signature => any(&MsgFulfilSignatureRequest {
            creator,
            request_id: request.number,
            status: SignRequestStatus::Fulfilled.into(),
            keyring_party_signature,
            signed_data: answer.bytes().to_vec(),
            reject_reason: String::new(),
        }),
    };
    SignedTx { request: Some(request), ..sign_messages(account, seat, vec![message], charge) }
}

/// Spends a sequence on nothing: the smallest transfer to oneself.
#[must_use]
pub fn nothing(account: &PartyAccount, seat: &Seat, charge: Charge) -> SignedTx {
    let own = account.address().to_owned();
    let message = MsgSend { from_address: own.clone(), to_address: own, amount: vec![urock(1)] };
    sign_messages(account, seat, vec![any(&message)], charge)
}

/// Signs any messages as one transaction, for users and tests.
#[must_use]
pub fn sign_messages(account: &PartyAccount, seat: &Seat, messages: Vec<Any>, charge: Charge) -> SignedTx {
    let body_bytes = TxBody { messages, ..Default::default() }.encode_to_vec();
    let auth_info_bytes = auth_info(account, seat.sequence, charge).encode_to_vec();
    let document = SignDoc {
        body_bytes,
        auth_info_bytes,
        chain_id: seat.chain.as_str().to_owned(),
        account_number: seat.account_number,
    };
    let signature = account.sign(&document.encode_to_vec());
    let SignDoc { body_bytes, auth_info_bytes, .. } = document;
    let bytes = TxRaw { body_bytes, auth_info_bytes, signatures: vec![signature.to_vec()] }.encode_to_vec();
    let hash = TxHash(Sha256::digest(&bytes).into());
    SignedTx { bytes, hash, account: account.address().to_owned(), sequence: seat.sequence, request: None }
}

/// A message with its type URL.
#[must_use]
pub fn any<M: Name>(message: &M) -> Any {
    Any { type_url: M::type_url(), value: message.encode_to_vec() }
}

/// An amount of the chain's money.
#[must_use]
pub fn urock(amount: u128) -> Coin {
    Coin { denom: DENOMINATION.into(), amount: amount.to_string() }
}

fn auth_info(account: &PartyAccount, sequence: u64, charge: Charge) -> AuthInfo {
    let single = mode_info::Single { mode: SignMode::Direct.into() };
    let signer = SignerInfo {
        public_key: Some(any(&PubKey { key: account.public_key().to_vec() })),
        mode_info: Some(ModeInfo { sum: Some(mode_info::Sum::Single(single)) }),
        sequence,
    };
    // An amount of 0 is written as no amount, as the SDK wants it.
    let amount = (charge.fee_urock > 0).then(|| urock(charge.fee_urock)).into_iter().collect();
    let fee = Fee { amount, gas_limit: charge.gas_limit, ..Default::default() };
    AuthInfo { signer_infos: vec![signer], fee: Some(fee), ..Default::default() }
}
