//! Keyring fees: escrowed when asked, paid by the party that answers, returned when rejected by a party or expired.
//!
//! The escrow is not drawn down when a request is fulfilled: each accepted answer is paid from the answering party's
//! own account. That looks unintended, and is what the chain does.

use chain_client::proto::zrchain::identity::Keyring;

use crate::chain::address::Address;
use crate::chain::bank::{self, COLLECTOR, ESCROW};
use crate::chain::context::Context;
use crate::chain::fault::TxFault;
use crate::chain::state::State;

/// Takes a fee from whoever asks.
pub(crate) fn escrow(context: &mut Context<'_>, creator: &str, fee: u64) -> Result<(), TxFault> {
    if fee == 0 {
        return Ok(());
    }
    // The live chain parses with a function that panics: an Ethereum requester of a keyring with fees ends here.
    let from = Address::parse(creator).map_err(|why| TxFault::panic(&why))?;
    context.transfer_to_module(&from, ESCROW, fee.into())
}

/// Returns an escrowed fee.
pub(crate) fn refund(context: &mut Context<'_>, creator: &str, fee: u64) -> Result<(), TxFault> {
    if fee == 0 {
        return Ok(());
    }
    let to = Address::parse(creator).map_err(TxFault::invalid_address)?;
    context.transfer_from_module(ESCROW, &to, fee.into())
}

/// Returns an escrowed fee outside any transaction; a failure leaves everything as it is.
pub(crate) fn refund_quietly(state: &mut State, creator: &str, fee: u64) {
    if fee == 0 {
        return;
    }
    let paid = Address::parse(creator)
        .map_err(TxFault::invalid_address)
        .and_then(|to| bank::move_money(state, &Address::of_module(ESCROW), &to, fee.into()));
    if let Err(fault) = paid {
        tracing::warn!(%creator, fee, %fault, "refund of an expired request failed");
    }
}

/// Takes the fee of an answer from the account that sent it: the chain's commission first, then the keyring's share.
pub(crate) fn pay(context: &mut Context<'_>, payer: &str, keyring: &Keyring, fee: u64) -> Result<(), TxFault> {
    if fee == 0 {
        return Ok(());
    }
    let from = Address::parse(payer).map_err(TxFault::invalid_address)?;
    let fee = u128::from(fee);
    if keyring.delegate_fees {
        return context.transfer_to_module(&from, COLLECTOR, fee);
    }
    let commission = fee * u128::from(context.rules.treasury.keyring_commission) / 100;
    if commission > 0 {
        context.transfer_to_module(&from, COLLECTOR, commission)?;
    }
    let rest = fee - commission.min(fee);
    if rest > 0 {
        let keyring = Address::parse(&keyring.address).map_err(TxFault::invalid_address)?;
        context.transfer(&from, &keyring, rest)?;
    }
    Ok(())
}
