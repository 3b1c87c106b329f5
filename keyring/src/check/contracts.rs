//! The contracts: nodes that agree, listed code behind the proxy, roles where they belong and nowhere else, an account
//! that can pay.
//!
//! | Room | Judges |
//! | --- | --- |
//! | `facts` | nothing: what is found out |
//! | `nodes` | the chain's endpoints |
//! | `proxy` | what runs there, what it says, from where it is read |
//! | `roles` | who may authorise answers |
//! | `purse` | this party's account |

mod facts;
mod nodes;
mod proxy;
mod purse;
mod roles;

use std::collections::BTreeMap;

use alloy_primitives::Address;

pub use self::facts::{ContractFacts, ContractMemory, ContractState, ContractWords, EvmAccountFacts, EvmNodeFacts};
use super::{Finding, PartyFacts, fail};
use crate::contract::chain_of;

/// Everything about one contract.
pub(super) fn contract(contract: &ContractFacts, party: &PartyFacts) -> Vec<Finding> {
    let mut findings = nodes::nodes(contract);
    let state = match &contract.state {
        Ok(state) => state,
        Err(why) => {
            let remedy = "mend the endpoints first; contract, roles and account could not be looked at";
            findings.push(fail(named(contract, "state"), why.clone(), remedy));
            return findings;
        }
    };
    findings.push(proxy::proxy(contract, state, party));
    findings.extend(proxy::code(contract, state));
    findings.extend(proxy::says(contract, state));
    findings.push(proxy::first_block(contract, state));
    findings.push(roles::controller(contract, state));
    findings.extend(roles::elsewhere(contract, party));
    findings.extend(roles::holders(contract, state, party));
    findings.extend(purse::purse(contract, state));
    findings
}

fn named(contract: &ContractFacts, what: &str) -> String {
    format!("{} {what}", chain_of(contract.proxy.chain))
}

/// The accounts of parties on a contract's chain, and whose they are: this party's own on every chain, the others' as the
/// roster has them.
fn accounts(contract: &ContractFacts, party: &PartyFacts) -> BTreeMap<Address, String> {
    let mut accounts = BTreeMap::new();
    let chain = chain_of(contract.proxy.chain);
    for entry in party.roster.iter().flat_map(crate::roster::Roster::parties) {
        let listed = entry.accounts.get(&chain).and_then(|account| account.parse().ok());
        accounts.extend(listed.map(|account: Address| (account, format!("party {}'s account", entry.name))));
    }
    let own = party.contracts.iter().filter_map(|contract| contract.account);
    accounts.extend(own.map(|account| (account, "this party's own account".to_owned())));
    accounts
}
