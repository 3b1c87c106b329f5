//! Keyrings: made by anybody who pays, changed by their admins.

use std::sync::Arc;

use chain_client::proto::zrchain::identity::{
    Keyring, MsgAddKeyringAdmin, MsgAddKeyringAdminResponse, MsgAddKeyringParty, MsgAddKeyringPartyResponse,
    MsgDeactivateKeyring, MsgDeactivateKeyringResponse, MsgNewKeyring, MsgNewKeyringResponse, MsgRemoveKeyringAdmin,
    MsgRemoveKeyringAdminResponse, MsgRemoveKeyringParty, MsgRemoveKeyringPartyResponse, MsgUpdateKeyring,
    MsgUpdateKeyringResponse,
};

use super::{inactive, invalid, not_found};
use crate::chain::address::{self, Address};
use crate::chain::bank::COLLECTOR;
use crate::chain::context::Context;
use crate::chain::fault::TxFault;

const DESCRIPTION_BYTES: usize = 255;

pub(crate) fn new(context: &mut Context<'_>, message: &MsgNewKeyring) -> Result<MsgNewKeyringResponse, TxFault> {
    check_description(&message.description)?;
    // The module's parameters.
    context.meter.read(10)?;
    let creator = Address::parse(&message.creator).map_err(TxFault::invalid_address)?;
    let fee = u128::from(context.rules.identity.keyring_creation_fee);
    if fee > 0 {
        context.transfer_to_module(&creator, COLLECTOR, fee)?;
    }
    let number = context.next_number(|state| &mut state.counters.keyrings)?;
    let keyring = Keyring {
        address: address::keyring_of(number),
        creator: message.creator.clone(),
        description: message.description.clone(),
        admins: vec![message.creator.clone()],
        parties: Vec::new(),
        party_threshold: message.party_threshold,
        key_req_fee: message.key_req_fee,
        sig_req_fee: message.sig_req_fee,
        is_active: true,
        delegate_fees: message.delegate_fees,
    };
    let addr = keyring.address.clone();
    context.put_keyring(keyring)?;
    Ok(MsgNewKeyringResponse { addr })
}

fn check_description(text: &str) -> Result<(), TxFault> {
    if text.len() > DESCRIPTION_BYTES {
        return Err(invalid(format!("description of {} bytes is longer than {DESCRIPTION_BYTES}", text.len())));
    }
    Ok(())
}

fn find(context: &mut Context<'_>, keyring: &str) -> Result<Arc<Keyring>, TxFault> {
    context.keyring(keyring)?.ok_or_else(|| not_found(&format!("keyring {keyring}")))
}

/// The keyring, if `creator` is its admin.
fn for_admin(found: Arc<Keyring>, creator: &str) -> Result<Keyring, TxFault> {
    if !found.admins.iter().any(|admin| admin == creator) {
        return Err(invalid(format!("tx creator {creator} is not keyring admin")));
    }
    Ok(Arc::unwrap_or_clone(found))
}

/// The keyring, if `creator` may change its people now.
fn for_change(context: &mut Context<'_>, keyring: &str, creator: &str, whom: &str) -> Result<Keyring, TxFault> {
    Address::parse(whom).map_err(TxFault::invalid_address)?;
    let found = find(context, keyring)?;
    if !found.is_active {
        return Err(inactive(keyring));
    }
    for_admin(found, creator)
}

pub(crate) fn add_party(
    context: &mut Context<'_>,
    message: &MsgAddKeyringParty,
) -> Result<MsgAddKeyringPartyResponse, TxFault> {
    let mut keyring = for_change(context, &message.keyring_addr, &message.creator, &message.party)?;
    if keyring.parties.contains(&message.party) {
        let text = format!("party {} is already a party of the keyring {}", message.party, message.keyring_addr);
        return Err(invalid(text));
    }
    keyring.parties.push(message.party.clone());
    if message.increase_threshold {
        keyring.party_threshold = keyring.party_threshold.wrapping_add(1);
    }
    if keyring.party_threshold == 0 {
        keyring.party_threshold = 1;
    }
    context.put_keyring(keyring)?;
    Ok(MsgAddKeyringPartyResponse {})
}

pub(crate) fn remove_party(
    context: &mut Context<'_>,
    message: &MsgRemoveKeyringParty,
) -> Result<MsgRemoveKeyringPartyResponse, TxFault> {
    let mut keyring = for_change(context, &message.keyring_addr, &message.creator, &message.party)?;
    let place = keyring.parties.iter().position(|party| *party == message.party);
    let place = place.ok_or_else(|| {
        invalid(format!("party {} is not a party of the keyring {}", message.party, message.keyring_addr))
    })?;
    keyring.parties.remove(place);
    if message.decrease_threshold {
        // Underflows at 0 on a live chain; the clamp below hides it there as here.
        keyring.party_threshold = keyring.party_threshold.wrapping_sub(1);
    }
    let parties = u32::try_from(keyring.parties.len()).unwrap_or(u32::MAX);
    keyring.party_threshold = keyring.party_threshold.min(parties);
    context.put_keyring(keyring)?;
    Ok(MsgRemoveKeyringPartyResponse {})
}

/// Overwrites fees, activity and description with what the message says: an omitted field switches off.
pub(crate) fn update(
    context: &mut Context<'_>,
    message: &MsgUpdateKeyring,
) -> Result<MsgUpdateKeyringResponse, TxFault> {
    check_description(&message.description)?;
    let mut keyring = for_admin(find(context, &message.keyring_addr)?, &message.creator)?;
    if message.party_threshold >= 1 && message.party_threshold as usize <= keyring.parties.len() {
        keyring.party_threshold = message.party_threshold;
    }
    keyring.key_req_fee = message.key_req_fee;
    keyring.sig_req_fee = message.sig_req_fee;
    keyring.is_active = message.is_active;
    keyring.description = message.description.clone();
    context.put_keyring(keyring)?;
    Ok(MsgUpdateKeyringResponse {})
}

pub(crate) fn deactivate(
    context: &mut Context<'_>,
    message: &MsgDeactivateKeyring,
) -> Result<MsgDeactivateKeyringResponse, TxFault> {
    let mut keyring = for_admin(find(context, &message.keyring_addr)?, &message.creator)?;
    keyring.is_active = false;
    context.put_keyring(keyring)?;
    Ok(MsgDeactivateKeyringResponse {})
}

pub(crate) fn add_admin(
    context: &mut Context<'_>,
    message: &MsgAddKeyringAdmin,
) -> Result<MsgAddKeyringAdminResponse, TxFault> {
    let mut keyring = for_change(context, &message.keyring_addr, &message.creator, &message.admin)?;
    if keyring.admins.contains(&message.admin) {
        return Err(invalid(format!("{} is already an admin of the keyring", message.admin)));
    }
    keyring.admins.push(message.admin.clone());
    context.put_keyring(keyring)?;
    Ok(MsgAddKeyringAdminResponse {})
}

pub(crate) fn remove_admin(
    context: &mut Context<'_>,
    message: &MsgRemoveKeyringAdmin,
) -> Result<MsgRemoveKeyringAdminResponse, TxFault> {
    let mut keyring = for_change(context, &message.keyring_addr, &message.creator, &message.admin)?;
    if keyring.admins.len() == 1 {
        return Err(invalid("the last admin of a keyring cannot be removed"));
    }
    let place = keyring.admins.iter().position(|admin| *admin == message.admin);
    let place = place.ok_or_else(|| invalid(format!("{} is not an admin of the keyring", message.admin)))?;
    keyring.admins.remove(place);
    context.put_keyring(keyring)?;
    Ok(MsgRemoveKeyringAdminResponse {})
}
