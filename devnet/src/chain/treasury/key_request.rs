//! Asking for a key.

use chain_client::proto::zrchain::dct::Asset;
use chain_client::proto::zrchain::treasury::{
    KeyRequest, KeyRequestStatus, KeyType, MsgNewKeyRequest, MsgNewKeyRequestResponse, WalletType, ZenBtcMetadata,
};

use super::{fees, inactive, not_found, zrsign};
use crate::chain::address;
use crate::chain::context::Context;
use crate::chain::event::Event;
use crate::chain::fault::TxFault;
use crate::chain::message::packed;
use crate::chain::policy::{self, Outcome, Proposal};

/// The Hoodi test network, where deposits may be minted on every chain.
const HOODI: &str = "eip155:560048";

pub(crate) fn new(context: &mut Context<'_>, message: &MsgNewKeyRequest) -> Result<MsgNewKeyRequestResponse, TxFault> {
    context.read_treasury_parameters()?;
    if !context.rules.treasury.zr_sign_address.is_empty() && message.creator == context.rules.treasury.zr_sign_address {
        return zrsign::new_key(context, message);
    }
    let address = |what: &str, why: String| TxFault::invalid_address(format!("invalid {what} address ({why})"));
    address::check_workspace(&message.workspace_addr).map_err(|why| address("workspace", why))?;
    address::check_keyring(&message.keyring_addr).map_err(|why| address("keyring", why))?;
    key_type(&message.key_type)?;
    let workspace = context.workspace(&message.workspace_addr)?;
    let workspace = workspace.ok_or_else(|| not_found(format!("workspace {}", message.workspace_addr)))?;
    policy::require_participants_own(context, message.sign_policy_id, &workspace.owners)?;
    if context.active_keyring(&message.keyring_addr)?.is_none() {
        return Err(inactive(&message.keyring_addr));
    }
    if let Some(metadata) = &message.zenbtc_metadata {
        check_deposit(&context.rules.chain_id, metadata)?;
    }
    let proposal = Proposal {
        msg: packed(message),
        creator: message.creator.clone(),
        workspace: message.workspace_addr.clone(),
        policy_id: workspace.sign_policy_id,
        btl: message.btl,
        data: Vec::new(),
    };
    let outcome = policy::propose_and_settle(context, proposal)?;
    Ok(MsgNewKeyRequestResponse { key_req_id: outcome.request_id })
}

/// The types that a message may name.
pub(super) fn key_type(text: &str) -> Result<KeyType, TxFault> {
    match text {
        "ecdsa" => Ok(KeyType::EcdsaSecp256k1),
        "ed25519" | "eddsa" => Ok(KeyType::EddsaEd25519),
        "bitcoin" | "btc" => Ok(KeyType::BitcoinSecp256k1),
        other => Err(TxFault::invalid_request(format!(
            "invalid keytype {other}, valid types [ecdsa ed25519 eddsa bitcoin btc]"
        ))),
    }
}

fn check_deposit(chain_id: &str, metadata: &ZenBtcMetadata) -> Result<(), TxFault> {
    if metadata.asset() == Asset::Unspecified {
        return Err(TxFault::plain("deposit metadata names no asset"));
    }
    let caip2 = metadata.caip2_chain_id.as_str();
    let main = chain_id.starts_with("diamond");
    let solana = match chain_id {
        _ if main => "solana:5eykt4UsFv8P8NJdTREpY1vzqKqZKvdp",
        _ if chain_id.starts_with("docker") => "solana:HK8b7Skns2TX3FvXQxm2mPQbY2nVY8GD",
        _ => "solana:EtWTRABZaYq6iMfeYKouRu166VU2xqa1",
    };
    if caip2 != HOODI && caip2 != solana && !(main && caip2 == "eip155:1") {
        return Err(TxFault::plain(format!("unsupported chain {caip2}")));
    }
    let recipient = metadata.recipient_addr.as_str();
    let fits = match metadata.chain_type() {
        WalletType::Evm => {
            let body = recipient.strip_prefix("0x").unwrap_or(recipient);
            caip2.starts_with("eip155:") && body.len() == 40 && body.bytes().all(|byte| byte.is_ascii_hexdigit())
        }
        WalletType::Solana => {
            caip2.starts_with("solana:") && bs58::decode(recipient).into_vec().is_ok_and(|key| key.len() == 32)
        }
        _ => false,
    };
    if fits { Ok(()) } else { Err(TxFault::plain(format!("invalid recipient address {recipient} for {caip2}"))) }
}

/// What a key request does once approved.
pub(crate) fn execute(context: &mut Context<'_>, message: &MsgNewKeyRequest) -> Result<Outcome, TxFault> {
    let keyring = context.active_keyring(&message.keyring_addr)?;
    let keyring = keyring.ok_or_else(|| inactive(&message.keyring_addr))?;
    let request = KeyRequest {
        creator: message.creator.clone(),
        workspace_addr: message.workspace_addr.clone(),
        keyring_addr: message.keyring_addr.clone(),
        key_type: key_type(&message.key_type)?.into(),
        index: message.index,
        sign_policy_id: message.sign_policy_id,
        zenbtc_metadata: message.zenbtc_metadata.clone(),
        fee: keyring.key_req_fee,
        ..KeyRequest::default()
    };
    let request_id = store(context, request)?;
    Ok(Outcome { request_id, ..Outcome::default() })
}

/// Escrows the fee and stores the request, PENDING, under the next id.
pub(super) fn store(context: &mut Context<'_>, mut request: KeyRequest) -> Result<u64, TxFault> {
    fees::escrow(context, &request.creator, request.fee)?;
    request.id = context.next_number(|state| &mut state.counters.key_requests)?;
    context.read_treasury_parameters()?;
    request.status = KeyRequestStatus::Pending.into();
    request.mpc_btl = context.rules.deadline(context.height);
    let id = request.id;
    context.put_key_request(request)?;
    context.raise(Event::request("new_key_request", id));
    Ok(id)
}
