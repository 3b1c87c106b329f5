//! Asking for the signatures of a foreign transaction: parsed here, signed as the digests that the parsing gives.

use std::sync::Arc;

use chain_client::proto::zrchain::policy::KeyValue;
use chain_client::proto::zrchain::treasury::{
    Key, KeyType, MetadataEthereum, MetadataSolana, MsgNewSignTransactionRequest, MsgNewSignTransactionRequestResponse,
    SignTransactionRequest, WalletType,
};
use prost::{Message, Name};
use prost_types::Any;

use super::sign_request::{self, Draft};
use crate::chain::context::Context;
use crate::chain::event::Event;
use crate::chain::fault::TxFault;
use crate::chain::message::packed;
use crate::chain::policy::{self, Outcome, Proposal};
use crate::chain::unsigned::{self, Parsed, Refusal};

const DATA: &str = "DataForSigning";
const VALUE: &str = "TXVALUE";

pub(crate) fn new(
    context: &mut Context<'_>,
    message: &MsgNewSignTransactionRequest,
) -> Result<MsgNewSignTransactionRequestResponse, TxFault> {
    if message.key_ids.is_empty() {
        return Err(TxFault::invalid_request("key ids cannot be empty"));
    }
    if message.unsigned_transaction.is_empty() {
        return Err(TxFault::invalid_request("unsigned transaction cannot be empty"));
    }
    let keys = sign_request::find_keys(context, &message.key_ids)?;
    let (first, workspace) = sign_request::first_key(context, &keys)?;
    sign_request::require_active(context, &first)?;
    let unsigned = &message.unsigned_transaction;
    let parsed = parse(&first, message.wallet_type(), unsigned, message.metadata.as_ref())?;
    sign_request::check_reservations(context, &keys, &message.creator)?;
    let list = parsed.data.iter().map(hex::encode).collect::<Vec<_>>().join(",");
    let data = vec![
        KeyValue { key: VALUE.to_owned(), value: parsed.value.into_bytes() },
        KeyValue { key: DATA.to_owned(), value: list.into_bytes() },
    ];
    let proposal = Proposal {
        msg: packed(message),
        creator: message.creator.clone(),
        workspace: workspace.address.clone(),
        policy_id: sign_request::policy_of(&first, &workspace),
        btl: message.btl,
        data,
    };
    let outcome = policy::propose_and_settle(context, proposal)?;
    let (id, signature_request_id) = (outcome.request_id, outcome.sign_request_id);
    Ok(MsgNewSignTransactionRequestResponse { id, signature_request_id })
}

/// Parses an unsigned transaction for a key.
pub(super) fn parse(
    key: &Key,
    wallet_type: WalletType,
    bytes: &[u8],
    metadata: Option<&Any>,
) -> Result<Parsed, TxFault> {
    let needed = match wallet_type {
        WalletType::Native | WalletType::Evm => KeyType::EcdsaSecp256k1,
        WalletType::Solana => KeyType::EddsaEd25519,
        WalletType::Unspecified => return Err(TxFault::plain("unsupported wallet type")),
        _ => KeyType::BitcoinSecp256k1,
    };
    if key.r#type() != needed {
        let (expected, got) = (needed.as_str_name(), key.r#type().as_str_name());
        return Err(TxFault::plain(format!("invalid key type, expected {expected}, got {got}")));
    }
    let parsed = match wallet_type {
        WalletType::Native => Ok(unsigned::native(bytes)),
        WalletType::Evm => {
            let metadata: MetadataEthereum = read_metadata(metadata, "MetadataEthereum")?;
            unsigned::evm::parse(bytes, metadata.chain_id)
        }
        WalletType::Solana => {
            let _: MetadataSolana = read_metadata(metadata, "MetadataSolana")?;
            unsigned::solana::parse(bytes)
        }
        WalletType::BtcMainnet | WalletType::BtcTestnet | WalletType::BtcRegnet => unsigned::bitcoin::parse(bytes),
        other => {
            let name = other.as_str_name();
            return Err(TxFault::plain(format!("wallet {name} does not implement TxParser")));
        }
    };
    parsed.map_err(|refusal| match refusal {
        Refusal::Invalid(why) => TxFault::plain(format!("failed to parse tx: {why}")),
        Refusal::Panic(why) => TxFault::panic(&why),
    })
}

fn read_metadata<M: Message + Name + Default>(any: Option<&Any>, name: &str) -> Result<M, TxFault> {
    let bad =
        |got: &str| TxFault::plain(format!("failed to parse tx: invalid metadata field, expected *{name}, got {got}"));
    let any = any.ok_or_else(|| bad("<nil>"))?;
    if any.type_url != M::type_url() {
        return Err(bad(&any.type_url));
    }
    M::decode(any.value.as_slice()).map_err(|_| bad("undecodable bytes"))
}

/// What a sign-transaction request does once approved: signs what was parsed when it was asked.
pub(crate) fn execute(
    context: &mut Context<'_>,
    message: &MsgNewSignTransactionRequest,
    frozen: &[KeyValue],
) -> Result<Outcome, TxFault> {
    let list = frozen.iter().find(|data| data.key == DATA).map(|data| String::from_utf8_lossy(&data.value));
    let list = list.ok_or_else(|| TxFault::plain("action holds no data for signing"))?;
    let mut data = sign_request::data_items(&list)?;
    if let ([single], true) = (data.as_slice(), message.key_ids.len() > 1) {
        data = vec![single.clone(); message.key_ids.len()];
    }
    let draft = Draft {
        creator: message.creator.clone(),
        key_ids: message.key_ids.clone(),
        data,
        cache_id: message.cache_id.clone(),
        metadata: message.metadata.clone(),
    };
    let transaction = SignTransactionRequest {
        creator: message.creator.clone(),
        wallet_type: message.wallet_type,
        unsigned_transaction: message.unsigned_transaction.clone(),
        no_broadcast: message.no_broadcast,
        ..SignTransactionRequest::default()
    };
    store(context, transaction, draft)
}

/// Stores the signature request and the transaction that it is for; the event names the latter.
pub(super) fn store(
    context: &mut Context<'_>,
    mut transaction: SignTransactionRequest,
    draft: Draft,
) -> Result<Outcome, TxFault> {
    transaction.key_ids = draft.key_ids.clone();
    transaction.sign_request_id = sign_request::store(context, draft)?;
    transaction.id = context.next_number(|state| &mut state.counters.sign_transactions)?;
    let outcome =
        Outcome { request_id: transaction.id, sign_request_id: transaction.sign_request_id, ..Outcome::default() };
    context.put_sign_transaction(transaction)?;
    context.raise(Event::request("new_sign_request", outcome.request_id));
    Ok(outcome)
}

/// The key, for callers that have only its number.
pub(super) fn key_for(context: &mut Context<'_>, id: u64) -> Result<Arc<Key>, TxFault> {
    context.key(id)?.ok_or_else(|| super::not_found(format!("key {id}")))
}
