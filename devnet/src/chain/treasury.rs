//! The treasury: requests for keys and signatures, their answers, their fees, their end.

pub(crate) mod expiry;
pub(crate) mod fees;
pub(crate) mod fulfil_key;
pub(crate) mod fulfil_signature;
pub(crate) mod interchain;
pub(crate) mod key_request;
pub(crate) mod redemption;
pub(crate) mod sign_request;
pub(crate) mod sign_transaction;
pub(crate) mod signature;
pub(crate) mod zrsign;

use std::sync::Arc;

use chain_client::proto::zrchain::dct::Asset;
use chain_client::proto::zrchain::treasury::{
    Key, MsgTransferFromKeyring, MsgTransferFromKeyringResponse, MsgUpdateKeyPolicy, MsgUpdateKeyPolicyResponse,
};

use super::address::Address;
use super::context::Context;
use super::fault::TxFault;
use super::message::packed;
use super::policy::{self, Proposal};
use super::rules::Rules;

fn not_found(what: impl std::fmt::Display) -> TxFault {
    TxFault::plain(format!("{what} not found"))
}

fn inactive(keyring: &str) -> TxFault {
    TxFault::plain(format!("keyring {keyring} is nil or is inactive"))
}

/// Is this a deposit key that `creator` may not use? The reason, if so.
fn deposit_refusal(rules: &Rules, key: &Key, creator: &str) -> Option<String> {
    let metadata = key.zenbtc_metadata.as_ref().filter(|metadata| !metadata.recipient_addr.is_empty())?;
    let asset = metadata.asset();
    if asset == Asset::Unspecified {
        return Some("unsupported asset".to_owned());
    }
    match rules.asset_proxies.get(&asset.into()) {
        Some(proxy) if proxy == creator => None,
        Some(_) => Some(format!("only the {} proxy may request signatures of key {}", asset.as_str_name(), key.id)),
        None => Some(format!("unsupported asset {}", asset.as_str_name())),
    }
}

/// A keyring's admin moves its earnings to another admin.
pub(crate) fn transfer_from_keyring(
    context: &mut Context<'_>,
    message: &MsgTransferFromKeyring,
) -> Result<MsgTransferFromKeyringResponse, TxFault> {
    let keyring = context.keyring(&message.keyring)?;
    let keyring = keyring.ok_or_else(|| not_found(format!("keyring {}", message.keyring)))?;
    for person in [&message.creator, &message.recipient] {
        if !keyring.admins.contains(person) {
            return Err(TxFault::plain(format!("{person} is not an admin of the keyring")));
        }
    }
    let from = Address::parse(&message.keyring).map_err(TxFault::invalid_address)?;
    let to = Address::parse(&message.recipient).map_err(TxFault::invalid_address)?;
    context.transfer(&from, &to, message.amount.into())?;
    Ok(MsgTransferFromKeyringResponse {})
}

/// An owner gives a key another policy, under the one that it has.
pub(crate) fn update_key_policy(
    context: &mut Context<'_>,
    message: &MsgUpdateKeyPolicy,
) -> Result<MsgUpdateKeyPolicyResponse, TxFault> {
    let key = context.key(message.key_id)?.ok_or_else(|| not_found(format!("key {}", message.key_id)))?;
    let workspace = context.workspace(&key.workspace_addr)?;
    let workspace = workspace.ok_or_else(|| not_found(format!("workspace {}", key.workspace_addr)))?;
    policy::require_participants_own(context, message.sign_policy_id, &workspace.owners)?;
    let proposal = Proposal {
        msg: packed(message),
        creator: message.creator.clone(),
        workspace: workspace.address.clone(),
        policy_id: if key.sign_policy_id > 0 { key.sign_policy_id } else { workspace.sign_policy_id },
        btl: 0,
        data: Vec::new(),
    };
    policy::propose_and_settle(context, proposal)?;
    Ok(MsgUpdateKeyPolicyResponse {})
}

/// What [`update_key_policy`] does once approved.
pub(crate) fn key_policy_updated(context: &mut Context<'_>, message: &MsgUpdateKeyPolicy) -> Result<(), TxFault> {
    let key = context.key(message.key_id)?.ok_or_else(|| not_found(format!("key {}", message.key_id)))?;
    let mut key = Arc::unwrap_or_clone(key);
    key.sign_policy_id = message.sign_policy_id;
    context.put_key(key)
}
