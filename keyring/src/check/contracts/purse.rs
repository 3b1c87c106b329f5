//! This party's account on a contract's chain: its nonces, the price of gas, what an answer may cost, what is there.

use super::super::{Finding, fail, ok, warn};
use super::{ContractFacts, ContractState, EvmAccountFacts, named};

/// Answers that the account should be able to pay for: what it pays comes back, but not before a block has it.
const ANSWERS_AHEAD: u128 = 10;

pub(super) fn purse(contract: &ContractFacts, state: &ContractState) -> Vec<Finding> {
    let (Some(address), Some(account)) = (contract.account, state.account) else {
        let found = "its key cannot be read";
        return vec![fail(named(contract, "account"), found, "mend the secret contract.account first")];
    };
    let mut findings = vec![nonces(contract, &address.to_string(), account), price(contract, state)];
    let Some(cost) = cost(contract, state) else { return findings };
    findings.push(losses(contract, cost));
    findings.push(funds(contract, &address.to_string(), account, cost));
    findings
}

/// Nothing waits that this party did not send.
fn nonces(contract: &ContractFacts, address: &str, account: EvmAccountFacts) -> Finding {
    let subject = named(contract, "account");
    let EvmAccountFacts { nonce, pending, .. } = account;
    let known = contract.memory.as_ref().map_or(0, |memory| memory.in_flight);
    let waiting = pending.saturating_sub(nonce);
    if waiting <= known {
        return ok(subject, format!("{address}, nonce {nonce}; transactions that wait for a block: {waiting}"));
    }
    let found = format!(
        "{address} is at nonce {nonce}, and {waiting} of its transactions wait for a block, of which this party knows \
         {known}"
    );
    let remedy = "if the node runs, look again in a minute; if it stays so, find out who uses the account: it must be the \
                  daemon's alone (docs/operations.md)";
    warn(subject, found, remedy)
}

/// The base fee of the next block: at most an eighth more than that of the newest (EIP-1559).
fn base_fee(state: &ContractState) -> u128 {
    let newest = u128::from(state.head.base_fee.unwrap_or_default());
    newest.saturating_add(newest.div_ceil(8))
}

/// The highest price lets a block take an answer up.
fn price(contract: &ContractFacts, state: &ContractState) -> Finding {
    let subject = named(contract, "gas price");
    let (settings, newest) = (&contract.settings, u128::from(state.head.base_fee.unwrap_or_default()));
    let (wanted, max) = (settings.wanted_price(base_fee(state)), settings.price_max);
    let found = format!("the base fee is {newest} wei, {wanted} would be offered, contract.price_max_wei is {max}");
    if newest > max {
        fail(subject, found, "raise contract.price_max_wei, or wait for a lower price; nothing is sent until then")
    } else if wanted > max {
        warn(subject, found, "raise contract.price_max_wei: dearer days find no room under it, and answers wait")
    } else {
        ok(subject, found)
    }
}

/// What an answer costs at most, at the present price; `None` where the contract does not say what gas it takes.
fn cost(contract: &ContractFacts, state: &ContractState) -> Option<u128> {
    let gas = state.words.as_ref().ok()?.deployment.response_gas;
    let gas = u128::try_from(gas).ok().filter(|gas| *gas > 0)?;
    let price = contract.settings.wanted_price(base_fee(state)).min(contract.settings.price_max);
    Some(gas.saturating_mul(price))
}

/// An answer that reverts is paid back by nobody, so none is sent that could cost more than the bound.
fn losses(contract: &ContractFacts, cost: u128) -> Finding {
    let subject = named(contract, "losses");
    let (one, day) = (contract.settings.max_loss_per_answer, contract.settings.max_loss_per_day);
    let found = format!(
        "an answer may cost {cost} wei, contract.max_loss_per_answer_wei is {one}, contract.max_loss_per_day_wei {day}"
    );
    if cost > one {
        fail(subject, found, "raise both bounds, or wait for a lower price; nothing is sent until then")
    } else {
        ok(subject, found)
    }
}

/// There is enough for some answers, and for all that may be lost in a day.
fn funds(contract: &ContractFacts, address: &str, account: EvmAccountFacts, cost: u128) -> Finding {
    let (subject, balance) = (named(contract, "funds"), account.balance);
    let day = contract.settings.max_loss_per_day;
    let Some(answers) = balance.checked_div(cost) else {
        return ok(subject, format!("{address} holds {balance} wei; answers cost nothing"));
    };
    let found = format!("{address} holds {balance} wei, enough for {answers} answers of at most {cost} wei each");
    let wanted = cost.saturating_mul(ANSWERS_AHEAD).max(day).saturating_sub(balance);
    let remedy = format!(
        "send {address} {wanted} wei: then it lasts for {ANSWERS_AHEAD} answers at a time, and for what may be lost in a \
         day"
    );
    if answers == 0 {
        fail(subject, found, remedy)
    } else if answers < ANSWERS_AHEAD {
        warn(subject, found, remedy)
    } else if balance < day {
        let found = format!("{found}, but less than the {day} that may be lost in a day");
        warn(subject, found, format!("{remedy}; or lower contract.max_loss_per_day_wei"))
    } else {
        ok(subject, found)
    }
}
