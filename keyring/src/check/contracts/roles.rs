//! Who may authorise answers: each contract's own controller key there, and nobody of ours anywhere else. A digest that a
//! controller key signs names no deployment, so a key with the role on two answers for both.

use alloy_primitives::Address;

use super::super::{Finding, PartyFacts, fail, ok, warn};
use super::{ContractFacts, ContractState, accounts, named};

/// What everybody who changes roles must know.
const WHEN: &str = "if that was done just now, wait until it is final and look again";

/// Whether an address holds the role of a contract; `None` if that was not seen.
fn holds(contract: &ContractFacts, address: Address) -> Option<bool> {
    contract.state.as_ref().ok()?.words.as_ref().ok()?.holds_role.get(&address).copied()
}

/// The contract admits what its controller key authorises.
pub(super) fn controller(contract: &ContractFacts, state: &ContractState) -> Finding {
    let (subject, proxy) = (named(contract, "controller"), contract.proxy);
    let memory = match &contract.memory {
        Ok(memory) => memory,
        Err(why) => {
            let remedy = "mend that first, then check again: whether its key holds the MPC role was not looked at";
            return warn(subject, format!("the controller key of {proxy} is not known here: {why}"), remedy);
        }
    };
    let Some(key) = memory.controller else {
        let found = format!("there is no controller key of {proxy} yet: nothing can be authorised there");
        let remedy = "it is made from the shelf while all parties are up: have every operator start their node, then \
                      check again";
        return warn(subject, found, remedy);
    };
    let at = state.at;
    match holds(contract, key) {
        Some(true) => ok(subject, format!("{key} holds the MPC role of {proxy}")),
        Some(false) => {
            let found =
                format!("{key} does not hold the MPC role of {proxy} in final block {at}: no answer is admitted");
            let remedy = format!(
                "grant it: address {key}, by the contract's administrators (grantRole on {}); {WHEN}",
                proxy.address
            );
            warn(subject, found, remedy)
        }
        None => {
            let found = format!("whether {key} holds the MPC role of {proxy} was not seen");
            warn(subject, found, "mend what stands above, then check again")
        }
    }
}

/// The controller key of this contract holds the role on no other.
pub(super) fn elsewhere(contract: &ContractFacts, party: &PartyFacts) -> Vec<Finding> {
    let subject = named(contract, "role elsewhere");
    let Some(key) = contract.memory.as_ref().ok().and_then(|memory| memory.controller) else { return Vec::new() };
    let others: Vec<_> = party.contracts.iter().filter(|other| other.proxy != contract.proxy).collect();
    let (own, mut findings) = (contract.proxy, Vec::new());
    for other in &others {
        let proxy = other.proxy;
        match holds(other, key) {
            Some(false) => {}
            Some(true) => {
                let found = format!(
                    "{key}, the controller key of {own}, holds the MPC role of {proxy} as well: what it authorises for \
                     one deployment the other takes too"
                );
                findings.push(fail(subject.clone(), found, revoked(other, key)));
            }
            None => {
                let found =
                    format!("whether {key}, the controller key of {own}, holds the MPC role of {proxy} was not seen");
                findings.push(warn(subject.clone(), found, format!("mend what is said of {proxy}, then check again")));
            }
        }
    }
    if findings.is_empty() && !others.is_empty() {
        let proxies: Vec<_> = others.iter().map(|other| other.proxy.to_string()).collect();
        findings.push(ok(subject, format!("{key} does not hold the MPC role of {}", proxies.join(", "))));
    }
    findings
}

/// What to do about a key that authorises at a contract that is not its own.
fn revoked(other: &ContractFacts, key: Address) -> String {
    let proxy = other.proxy;
    let own = match other.memory.as_ref().ok().and_then(|memory| memory.controller) {
        Some(own) if own != key => format!("grant it there to that contract's own controller key, {own}"),
        _ => "let that contract get a controller key of its own, made while all parties are up, and grant it to that"
            .to_owned(),
    };
    format!("have its administrators revoke it on {proxy} (revokeRole for {key}), and {own}; {WHEN}")
}

/// No party holds the role by itself.
pub(super) fn holders(contract: &ContractFacts, state: &ContractState, party: &PartyFacts) -> Vec<Finding> {
    let (subject, proxy) = (named(contract, "MPC role"), contract.proxy);
    // What the contract does not say is a finding of its own.
    if state.words.is_err() {
        return Vec::new();
    }
    let mut findings = Vec::new();
    for (account, whose) in accounts(contract, party) {
        let Some(holds) = holds(contract, account) else {
            let found = format!("whether {account}, {whose}, holds the MPC role of {proxy} was not seen");
            findings.push(warn(subject.clone(), found, "report this: it should have been asked"));
            continue;
        };
        if holds {
            let found = format!("{account}, {whose}, holds the MPC role of {proxy}: it alone can authorise any answer");
            let remedy = format!(
                "have the contract's administrators revoke it at once (revokeRole for {account} on {}); {WHEN}",
                proxy.address
            );
            findings.push(fail(subject.clone(), found, remedy));
        }
    }
    if findings.is_empty() {
        findings.push(ok(subject, format!("no party's account holds that of {proxy}")));
    }
    findings
}
