//! What runs at the contract's address, what it says of itself, and from which block on it is read.

use std::collections::BTreeSet;

use alloy_primitives::U256;
use chain_client::zrsign::event::TypeNumbers;
use chain_client::zrsign::evm::Deployment;

use super::super::{Finding, PartyFacts, fail, ok, warn};
use super::{ContractFacts, ContractState, accounts, named};

/// What this program's authorisations are for.
const VERSION: u64 = 1;
/// The least gas limit with which a signature was ever answered, rounded down: measured in docs/contracts.md.
const SIGNATURE_GAS: u64 = 80_000;
/// The same for the first key of an owner.
const FIRST_KEY_GAS: u64 = 179_000;

/// An ERC-1967 proxy whose admin is somebody else.
pub(super) fn proxy(contract: &ContractFacts, state: &ContractState, party: &PartyFacts) -> Finding {
    let subject = named(contract, "proxy");
    let (address, at) = (contract.proxy.address, state.at);
    if !state.is_there {
        let found = format!("there is nothing at {address} in final block {at}");
        let remedy = "correct contract.proxy; if it was deployed just now, wait until that is final";
        return fail(subject, found, remedy);
    }
    let Some(code) = state.code else {
        let found = format!("{address} is no ERC-1967 proxy: it names no implementation in final block {at}");
        return fail(subject, found, "correct contract.proxy: the proxy's address, not the implementation's");
    };
    let Some(admin) = state.admin else {
        let found = format!("{address} runs {} and names no admin", code.implementation);
        let remedy = "a zrSign proxy always has one: correct contract.proxy, or find out who can put other code there";
        return fail(subject, found, remedy);
    };
    let found = format!("{address} runs {}, its admin is {admin}", code.implementation);
    if contract.account == Some(admin) {
        let found = format!("{found}: this party's own account, whose answers a proxy never lets through");
        let remedy = "hand the admin role on (changeAdmin) to an account of the contract's administrators";
        return fail(subject, found, remedy);
    }
    let remedy = "hand it on (changeAdmin) to an account of the contract's administrators that does nothing else";
    if let Some(whose) = accounts(contract, party).get(&admin) {
        return warn(subject, format!("{found}: {whose}, which alone could put other code there"), remedy);
    }
    if contract.memory.as_ref().is_ok_and(|memory| memory.controller == Some(admin)) {
        return warn(subject, format!("{found}: its own controller key, which signs no upgrade"), remedy);
    }
    ok(subject, found)
}

/// The operators have listed what runs.
pub(super) fn code(contract: &ContractFacts, state: &ContractState) -> Option<Finding> {
    let (subject, code) = (named(contract, "code"), state.code?);
    let hash = code.code_hash;
    if contract.code.contains(&hash) {
        return Some(ok(subject, format!("{hash} is listed, one of {}", contract.code.len())));
    }
    let found = format!("{} has the code hash {hash}, which contract.code does not list", code.implementation);
    let remedy = "compare it with what was announced, then list it and start the node again; until then nothing is read \
                  or signed there";
    Some(fail(subject, found, remedy))
}

/// Version, numbers of types, tag, pause and gas, by its own getters.
pub(super) fn says(contract: &ContractFacts, state: &ContractState) -> Vec<Finding> {
    let subject = named(contract, "contract");
    let deployment = match &state.words {
        Ok(words) => &words.deployment,
        Err(why) => {
            let remedy =
                "is it a zrSign contract? correct contract.proxy; or else the endpoint fails: name another one";
            return vec![fail(subject, format!("does not say what a zrSign contract says: {why}"), remedy)];
        }
    };
    let Deployment { numbers, source, version, paused, next_trace, .. } = deployment;
    let said = format!("version {version}, tag {source}, next trace number {next_trace}");
    let first = if *version != U256::from(VERSION) {
        let remedy = "this program authorises answers of version 1 only: correct contract.proxy, or run a program that \
                      knows the other";
        fail(subject, said, remedy)
    } else if is_ambiguous(*numbers) {
        let found = format!("{said}; two kinds of request have one number: {numbers:?}");
        fail(subject, found, "ask whoever deployed it: what is to be signed cannot be told")
    } else if *paused {
        let remedy = "have its administrators unpause it; until then answers wait";
        warn(subject, format!("{said}; it is paused"), remedy)
    } else {
        ok(subject, said)
    };
    vec![first, gas(contract, state, deployment)]
}

/// Whether a number in a log could mean two things.
fn is_ambiguous(numbers: TypeNumbers) -> bool {
    let TypeNumbers { hash, data, transaction, simple } = numbers;
    let all: Vec<u8> = [Some(hash), data, Some(transaction), Some(simple)].into_iter().flatten().collect();
    all.iter().collect::<BTreeSet<_>>().len() < all.len()
}

/// `getRespGas()` is the gas limit of every answer.
fn gas(contract: &ContractFacts, state: &ContractState, deployment: &Deployment) -> Finding {
    let subject = named(contract, "gas of answers");
    let (gas, room) = (deployment.response_gas, state.head.gas_limit);
    let found = format!("getRespGas() is {gas}, the limit of every answer");
    let remedy = "have the contract's administrators set it (updateRespGas); 200,000 is what deployments have";
    if gas > U256::from(room) {
        fail(subject, format!("{found}; a block of that chain has room for {room}"), remedy)
    } else if gas < U256::from(SIGNATURE_GAS) {
        fail(subject, format!("{found}; none goes through with less than {SIGNATURE_GAS}"), remedy)
    } else if gas < U256::from(FIRST_KEY_GAS) {
        warn(subject, format!("{found}; an owner's first key takes about {FIRST_KEY_GAS}"), remedy)
    } else {
        ok(subject, found)
    }
}

/// Reading begins before the contract did.
pub(super) fn first_block(contract: &ContractFacts, state: &ContractState) -> Finding {
    let subject = named(contract, "first block");
    let (first, last) = (contract.first_block, state.at);
    let read = contract.memory.as_ref().map_or(0, |memory| memory.read);
    if first > last {
        let found = format!("contract.first_block is {first}, only block {last} is final");
        let remedy = "set it below the block that brought the contract; nothing is read before that block is final";
        return fail(subject, found, remedy);
    }
    match &state.was_there {
        Ok(false) => ok(subject, format!("logs are read behind block {first}, at which there was no contract yet")),
        Ok(true) => {
            let found = format!("the contract was there at block {first} already: logs up to that block are not read");
            let remedy = "set contract.first_block below the block that brought the contract. A party that has read on \
                          keeps its place: where destinations were told before, list them in the configuration";
            warn(subject, found, remedy)
        }
        Err(_) if read > 0 => ok(subject, format!("logs were read up to block {read}")),
        Err(why) => {
            let found = format!("the state of block {first} cannot be read: {why}");
            let remedy = "name an archive node: states of all blocks from contract.first_block on are needed once";
            fail(subject, found, remedy)
        }
    }
}
