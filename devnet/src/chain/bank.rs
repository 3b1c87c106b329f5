//! Money: moving urock between accounts, module accounts included.

use chain_client::proto::cosmos::bank::v1beta1::{MsgSend, MsgSendResponse};

use super::address::Address;
use super::coins;
use super::context::Context;
use super::fault::TxFault;
use super::state::State;

/// Holds the fees of open requests.
pub(crate) const ESCROW: &str = "keyring_escrow";
/// Takes the chain's share; swept to [`MINT`] at the start of each block.
pub(crate) const COLLECTOR: &str = "keyring_collector";
/// Where the collector's share goes.
pub(crate) const MINT: &str = "mint";
/// Takes the fees of transactions.
pub(crate) const FEES: &str = "fee_collector";

/// Bytes of a balance entry: address, denomination and digits, about.
const BALANCE_ENTRY: usize = 45;
/// Bytes of an account, about.
const ACCOUNT: usize = 120;
/// What else the bank looks at: locks, restrictions, the denomination. Fitted to a recorded chain.
const TRANSFER_GAS: u64 = 6_300;
/// What making a module's account costs, once.
const NEW_MODULE_GAS: u64 = 14_000;
/// What a user's transfer costs on top: blocked addresses, metadata of the denomination.
const SEND_GAS: u64 = 2_400;

impl Context<'_> {
    /// Moves urock; the receiver's account is made if it is new.
    pub(crate) fn transfer(&mut self, from: &Address, to: &Address, amount: u128) -> Result<(), TxFault> {
        self.meter.charge(TRANSFER_GAS, "ReadFlat")?;
        self.meter.read(BALANCE_ENTRY)?;
        move_money(self.state, from, to, amount)?;
        self.meter.write(BALANCE_ENTRY)?;
        self.meter.read(BALANCE_ENTRY)?;
        self.meter.write(BALANCE_ENTRY)?;
        if !self.state.accounts.contains_key(to) {
            self.state.ensure_account(to, None);
            self.meter.write(ACCOUNT)?;
        }
        self.meter.read(ACCOUNT)
    }

    pub(crate) fn transfer_to_module(&mut self, from: &Address, module: &str, amount: u128) -> Result<(), TxFault> {
        let to = Address::of_module(module);
        if !self.state.accounts.contains_key(&to) {
            self.state.ensure_account(&to, Some(module));
            self.meter.charge(NEW_MODULE_GAS, "WritePerByte")?;
        }
        self.meter.read(ACCOUNT)?;
        self.transfer(from, &to, amount)
    }

    pub(crate) fn transfer_from_module(&mut self, module: &str, to: &Address, amount: u128) -> Result<(), TxFault> {
        self.transfer(&Address::of_module(module), to, amount)
    }
}

/// Moves urock in the ledger, free of charge.
///
/// # Errors
/// The giver has less.
pub(crate) fn move_money(state: &mut State, from: &Address, to: &Address, amount: u128) -> Result<(), TxFault> {
    let held = state.balance(from);
    let left = held.checked_sub(amount).ok_or_else(|| {
        TxFault::insufficient_funds(format!("spendable balance {held}urock is smaller than {amount}urock"))
    })?;
    state.set_balance(from, left);
    let sum = state.balance(to).saturating_add(amount);
    state.set_balance(to, sum);
    Ok(())
}

/// Sweeps the collector, as the mint module does at the start of each block.
pub(crate) fn sweep(state: &mut State) {
    let collector = Address::of_module(COLLECTOR);
    let amount = state.balance(&collector);
    if amount > 0 {
        let mint = Address::of_module(MINT);
        state.ensure_account(&mint, Some(MINT));
        state.set_balance(&collector, 0);
        let sum = state.balance(&mint).saturating_add(amount);
        state.set_balance(&mint, sum);
    }
}

pub(crate) fn send(context: &mut Context<'_>, message: &MsgSend) -> Result<MsgSendResponse, TxFault> {
    context.meter.charge(SEND_GAS, "ReadFlat")?;
    let from = Address::parse(&message.from_address)
        .map_err(|why| TxFault::invalid_address(format!("invalid from address: {why}")))?;
    let to = Address::parse(&message.to_address)
        .map_err(|why| TxFault::invalid_address(format!("invalid to address: {why}")))?;
    let amount = coins::read(&message.amount, "amount")?;
    if amount.urock == 0 && amount.foreign.is_none() {
        return Err(TxFault::invalid_coins(coins::text(&message.amount)));
    }
    if let Some(coin) = amount.foreign {
        let text = format!("spendable balance 0{0} is smaller than {1}{0}", coin.denom, coin.amount);
        return Err(TxFault::insufficient_funds(text));
    }
    if context.state.accounts.get(&to).is_some_and(|account| account.module.is_some()) {
        return Err(TxFault::unauthorized(format!("{} is not allowed to receive funds", message.to_address)));
    }
    context.transfer(&from, &to, amount.urock)?;
    Ok(MsgSendResponse {})
}
