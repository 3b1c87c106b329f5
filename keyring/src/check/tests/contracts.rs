//! Contracts: a party that serves two of them, and one thing at a time that is not well.

use super::super::{ContractFacts, ContractMemory, ContractState, ContractWords, EvmAccountFacts, EvmNodeFacts};
use super::*;
use crate::sender::Settings;
use alloy_primitives::{Address, B256, U256};
use chain_client::EndpointId;
use chain_client::zrsign::event::TypeNumbers;
use chain_client::zrsign::evm::{Block, Code, Deployment, Tips};

const GWEI: u128 = 1_000_000_000;
const ETHER: u128 = 1_000_000_000 * GWEI;
const CODE: B256 = B256::repeat_byte(0xC0);
const OWN: Address = Address::repeat_byte(0x11);

fn proxy(chain: u64) -> Proxy {
    Proxy { chain, address: Address::repeat_byte(0xAA) }
}

/// Each contract has a controller key of its own.
fn controller(chain: u64) -> Address {
    Address::repeat_byte(chain as u8)
}

/// The account of another party.
fn other(seed: u8) -> Address {
    Address::repeat_byte(0x20 + seed)
}

fn block(height: u64) -> Block {
    let timestamp = NOW_MS / 1_000 - 5;
    let hash = B256::with_last_byte(height as u8);
    Block { height, hash, timestamp, base_fee: Some(GWEI as u64), gas_limit: 30_000_000 }
}

fn node(name: &str) -> EvmNodeFacts {
    let tips = Tips { endpoint: EndpointId(0), head: block(120), last_final: block(100) };
    EvmNodeFacts { name: name.to_owned(), tips: Ok(tips), common: Some(block(100).hash) }
}

fn contract(chain: u64) -> ContractFacts {
    let deployment = Deployment {
        numbers: TypeNumbers { hash: 0, data: None, transaction: 1, simple: 2 },
        source: B256::repeat_byte(0xAF),
        mpc_role: B256::repeat_byte(0x17),
        version: U256::ONE,
        paused: false,
        response_gas: U256::from(200_000),
        next_trace: U256::ZERO,
    };
    let asked = [controller(1), controller(2), OWN, other(2), other(3), other(4), other(5)];
    let holds_role = asked.map(|address| (address, address == controller(chain))).into();
    ContractFacts {
        proxy: proxy(chain),
        code: [CODE].into(),
        first_block: 7,
        agree: 1,
        settings: Settings {
            chain,
            wait_blocks: 3,
            factor_percent: 200,
            tip: GWEI,
            price_max: 100 * GWEI,
            max_loss_per_answer: ETHER / 50,
            max_loss_per_day: ETHER / 10,
        },
        account: Some(OWN),
        memory: Ok(ContractMemory { controller: Some(controller(chain)), read: 0, in_flight: 0 }),
        endpoints: vec![node("http://one"), node("http://two")],
        asked_ms: (NOW_MS, NOW_MS + 200),
        state: Ok(ContractState {
            at: 100,
            is_there: true,
            code: Some(Code { implementation: Address::repeat_byte(0xBB), code_hash: CODE }),
            admin: Some(Address::repeat_byte(0xAD)),
            words: Ok(ContractWords { deployment, holds_role }),
            was_there: Ok(false),
            head: block(120),
            account: Some(EvmAccountFacts { balance: ETHER, nonce: 4, pending: 4 }),
        }),
    }
}

/// A party that is well, and serves contracts on chains 1 and 2.
fn serves() -> PartyFacts {
    let accounts = |seed: u8| {
        let address = if seed == 1 { OWN } else { other(seed) };
        [1, 2].map(|chain| (format!("eip155:{chain}"), address.to_string())).into()
    };
    let roster = roster_with(&[proxy(1), proxy(2)], accounts);
    let running = Some(RunningFacts { roster: roster.digest(), ..RunningFacts::default() });
    PartyFacts { roster: Ok(roster), running, contracts: vec![contract(1), contract(2)], ..well() }
}

fn only_here(verdict: Verdict, change: impl FnOnce(&mut ContractFacts)) -> Finding {
    only_of(serves(), verdict, |party| change(&mut party.contracts[0]))
}

fn fails(change: impl FnOnce(&mut ContractFacts)) -> String {
    only_here(Verdict::Fail, change).subject
}

fn warns(change: impl FnOnce(&mut ContractFacts)) -> String {
    only_here(Verdict::Warn, change).subject
}

fn state(contract: &mut ContractFacts) -> &mut ContractState {
    contract.state.as_mut().unwrap()
}

fn deployment(contract: &mut ContractFacts) -> &mut Deployment {
    &mut state(contract).words.as_mut().unwrap().deployment
}

fn account(contract: &mut ContractFacts) -> &mut EvmAccountFacts {
    state(contract).account.as_mut().unwrap()
}

/// This address has the role of that contract, or has it not.
fn has_role(contract: &mut ContractFacts, address: Address, has: bool) {
    state(contract).words.as_mut().unwrap().holds_role.insert(address, has);
}

fn tips(contract: &mut ContractFacts, place: usize) -> &mut Tips {
    contract.endpoints[place].tips.as_mut().unwrap()
}

#[test]
fn of_a_party_that_serves_two_contracts_well_nothing_stands_out() {
    let findings = judged(serves());
    assert!(findings.iter().all(|finding| finding.verdict == Verdict::Ok), "{findings:#?}");
    assert!(findings.iter().all(|finding| finding.remedy.is_empty()), "{findings:#?}");
    let subjects: std::collections::BTreeSet<_> = findings.iter().map(|finding| &finding.subject).collect();
    assert_eq!(subjects.len(), findings.len(), "each subject once: {findings:#?}");
    let of_contracts = findings.iter().filter(|finding| finding.subject.starts_with("eip155:")).count();
    assert_eq!((findings.len() - of_contracts, of_contracts), (15, 28), "{findings:#?}");
}

#[test]
fn a_contract_that_the_roster_does_not_name_fails_and_so_does_the_account_of_another() {
    let roster = |party: &mut PartyFacts, roster: Roster| {
        party.running.as_mut().unwrap().roster = roster.digest();
        party.roster = Ok(roster);
    };
    let unnamed = |party: &mut PartyFacts| roster(party, roster_with(&[proxy(2)], |_| BTreeMap::new()));
    let finding = only_of(serves(), Verdict::Fail, unnamed);
    assert!(finding.subject == "roster" && finding.found.contains(&proxy(1).to_string()), "{finding:?}");
    let swapped = only_of(serves(), Verdict::Fail, |party| {
        party.contracts.iter_mut().for_each(|contract| contract.account = Some(other(3)));
    });
    assert!(swapped.subject == "roster" && swapped.found.contains("party-3"), "{swapped:?}");
    let unknown = only_of(serves(), Verdict::Fail, |party| {
        let stranger = Address::repeat_byte(0x77);
        for contract in &mut party.contracts {
            contract.account = Some(stranger);
            has_role(contract, stranger, false);
        }
    });
    assert!(unknown.subject == "roster" && unknown.found.contains(&OWN.to_string()), "{unknown:?}");
    // A roster may list no accounts on EVM chains.
    let findings = judged({
        let mut party = serves();
        roster(&mut party, roster_with(&[proxy(1), proxy(2)], |_| BTreeMap::new()));
        party
    });
    assert!(findings.iter().all(|finding| finding.verdict == Verdict::Ok), "{findings:#?}");
}

#[test]
fn one_endpoint_may_be_silent_or_late_but_not_all_nor_more_than_must_agree() {
    let silent = |contract: &mut ContractFacts, place: usize| {
        contract.endpoints[place].tips = Err("it serves chain 5, not 1".to_owned());
        contract.endpoints[place].common = None;
    };
    let finding = only_here(Verdict::Warn, |contract| silent(contract, 1));
    assert!(finding.subject == "eip155:1 node http://two" && finding.found.contains("chain 5"), "{finding:?}");
    assert_eq!(warns(|contract| tips(contract, 0).head.timestamp -= 90), "eip155:1 node http://one");
    assert_eq!(warns(|contract| contract.endpoints[0].common = None), "eip155:1 node http://one");
    let mut party = serves();
    party.contracts[0].agree = 2;
    silent(&mut party.contracts[0], 1);
    let failed: Vec<_> = judged(party).into_iter().filter(|finding| finding.verdict == Verdict::Fail).collect();
    assert!(failed.len() == 1 && failed[0].subject == "eip155:1 nodes", "{failed:#?}");
    let mut party = serves();
    (0..2).for_each(|place| silent(&mut party.contracts[0], place));
    party.contracts[0].state = Err("no node of its chain answers".to_owned());
    // What the other contract's chain says of the first one's key is still told.
    let findings = judged(party);
    let failed: Vec<_> = findings.iter().filter(|finding| finding.verdict == Verdict::Fail).collect();
    assert_eq!(failed.len(), 3, "both nodes, and the state: {failed:#?}");
    let unseen = findings.iter().find(|finding| finding.subject == "eip155:2 role elsewhere").unwrap();
    assert!(unseen.verdict == Verdict::Warn && unseen.found.contains("was not seen"), "{unseen:?}");
}

#[test]
fn endpoints_of_different_chains_fail_and_each_is_named() {
    let finding = only_here(Verdict::Fail, |contract| contract.endpoints[1].common = Some(B256::ZERO));
    assert!(finding.subject == "eip155:1 nodes", "{finding:?}");
    assert!(finding.found.contains("http://one shows") && finding.found.contains("http://two shows"), "{finding:?}");
}

#[test]
fn a_newest_block_that_is_old_or_from_the_future_is_noted_and_one_far_off_fails() {
    let shift = |contract: &mut ContractFacts, seconds: i64| {
        for place in 0..2 {
            let head = &mut tips(contract, place).head;
            head.timestamp = head.timestamp.saturating_add_signed(seconds);
        }
    };
    for seconds in [-80, 30] {
        assert_eq!(warns(|contract| shift(contract, seconds)), "eip155:1 newest block", "{seconds}");
    }
    for seconds in [-800, 200] {
        assert_eq!(fails(|contract| shift(contract, seconds)), "eip155:1 newest block", "{seconds}");
    }
    // An endpoint that took a minute to answer makes no block old, nor one from the future.
    let mut party = serves();
    party.contracts[0].asked_ms = (NOW_MS - 50_000, NOW_MS + 50_000);
    assert!(judged(party).iter().all(|finding| finding.verdict == Verdict::Ok));
}

#[test]
fn what_is_no_proxy_with_an_admin_of_its_own_fails() {
    let nothing = |contract: &mut ContractFacts| {
        (state(contract).is_there, state(contract).code, state(contract).admin) = (false, None, None);
    };
    assert_eq!(fails(nothing), "eip155:1 proxy");
    assert_eq!(fails(|contract| (state(contract).code, state(contract).admin) = (None, None)), "eip155:1 proxy");
    assert_eq!(fails(|contract| state(contract).admin = None), "eip155:1 proxy");
    let own = only_here(Verdict::Fail, |contract| state(contract).admin = Some(OWN));
    assert!(own.found.contains("own account"), "{own:?}");
    let party = only_here(Verdict::Warn, |contract| state(contract).admin = Some(other(4)));
    assert!(party.found.contains("party-4"), "{party:?}");
    let key = only_here(Verdict::Warn, |contract| state(contract).admin = Some(controller(1)));
    assert!(key.found.contains("controller key"), "{key:?}");
}

#[test]
fn code_that_is_not_listed_fails_and_is_named() {
    let other = Code { implementation: Address::repeat_byte(0xBE), code_hash: B256::repeat_byte(0xC1) };
    let finding = only_here(Verdict::Fail, |contract| state(contract).code = Some(other));
    assert_eq!(finding.subject, "eip155:1 code");
    assert!(finding.found.contains(&other.code_hash.to_string()) && finding.remedy.contains("compare"), "{finding:?}");
}

#[test]
fn a_contract_that_says_what_this_program_does_not_know_fails_and_a_paused_one_is_noted() {
    assert_eq!(fails(|contract| deployment(contract).version = U256::from(2)), "eip155:1 contract");
    assert_eq!(fails(|contract| deployment(contract).numbers.simple = 0), "eip155:1 contract");
    assert_eq!(fails(|contract| deployment(contract).numbers.data = Some(1)), "eip155:1 contract");
    assert_eq!(warns(|contract| deployment(contract).paused = true), "eip155:1 contract");
    let mut party = serves();
    state(&mut party.contracts[0]).words = Err("IS_HASH_MASK() reverts".to_owned());
    let findings = judged(party);
    let failed: Vec<_> = findings.iter().filter(|finding| finding.verdict == Verdict::Fail).collect();
    assert!(failed.len() == 1 && failed[0].subject == "eip155:1 contract", "{failed:#?}");
    assert!(failed[0].found.contains("IS_HASH_MASK"), "{failed:#?}");
}

#[test]
fn the_gas_of_answers_must_carry_one_and_fit_a_block() {
    let gas = |contract: &mut ContractFacts, gas: u64| deployment(contract).response_gas = U256::from(gas);
    assert_eq!(fails(|contract| gas(contract, 0)), "eip155:1 gas of answers");
    assert_eq!(fails(|contract| gas(contract, 60_000)), "eip155:1 gas of answers");
    assert_eq!(warns(|contract| gas(contract, 120_000)), "eip155:1 gas of answers");
    assert_eq!(fails(|contract| state(contract).head.gas_limit = 150_000), "eip155:1 gas of answers");
}

#[test]
fn reading_begins_before_the_contract_and_at_a_block_whose_state_is_known() {
    assert_eq!(fails(|contract| contract.first_block = 101), "eip155:1 first block");
    assert_eq!(warns(|contract| state(contract).was_there = Ok(true)), "eip155:1 first block");
    let pruned = |contract: &mut ContractFacts| state(contract).was_there = Err("missing trie node".to_owned());
    let finding = only_here(Verdict::Fail, pruned);
    assert!(finding.subject == "eip155:1 first block" && finding.remedy.contains("archive"), "{finding:?}");
    let mut party = serves();
    pruned(&mut party.contracts[0]);
    party.contracts[0].memory.as_mut().unwrap().read = 90;
    assert!(!has_failed(&judged(party)), "who has read on needs it no more");
}

#[test]
fn a_controller_key_without_its_role_is_noted_with_its_address() {
    let finding = only_here(Verdict::Warn, |contract| has_role(contract, controller(1), false));
    assert_eq!(finding.subject, "eip155:1 controller");
    assert!(finding.remedy.contains("grant") && finding.remedy.contains(&controller(1).to_string()), "{finding:?}");
}

#[test]
fn a_controller_key_that_is_not_known_is_said_to_be_unknown() {
    let finding = only_here(Verdict::Warn, |contract| contract.memory.as_mut().unwrap().controller = None);
    assert!(finding.subject == "eip155:1 controller" && finding.remedy.contains("all parties are up"), "{finding:?}");
    let finding = only_here(Verdict::Warn, |contract| contract.memory = Err("the store was not read".to_owned()));
    assert!(finding.subject == "eip155:1 controller" && finding.found.contains("not read"), "{finding:?}");
}

#[test]
fn a_controller_key_with_the_role_on_two_deployments_fails_and_both_are_named() {
    let finding = only_of(serves(), Verdict::Fail, |party| has_role(&mut party.contracts[1], controller(1), true));
    assert_eq!(finding.subject, "eip155:1 role elsewhere");
    for named in [proxy(1).to_string(), proxy(2).to_string(), controller(1).to_string()] {
        assert!(finding.found.contains(&named), "{named}: {finding:?}");
    }
    assert!(finding.remedy.contains("revoke") && finding.remedy.contains(&controller(2).to_string()), "{finding:?}");
    // Where the other contract has no key of its own yet, it must get one.
    let mut party = serves();
    has_role(&mut party.contracts[1], controller(1), true);
    party.contracts[1].memory.as_mut().unwrap().controller = None;
    let findings = judged(party);
    let finding = findings.iter().find(|finding| finding.verdict == Verdict::Fail).unwrap();
    assert!(finding.remedy.contains("controller key of its own"), "{finding:?}");
}

#[test]
fn an_account_of_a_party_with_the_role_fails_wherever_it_has_it() {
    let own = only_of(serves(), Verdict::Fail, |party| has_role(&mut party.contracts[1], OWN, true));
    assert!(own.subject == "eip155:2 MPC role" && own.found.contains("own account"), "{own:?}");
    assert!(own.remedy.contains("revoke") && own.remedy.contains(&OWN.to_string()), "{own:?}");
    let peer = only_here(Verdict::Fail, |contract| has_role(contract, other(5), true));
    assert!(peer.subject == "eip155:1 MPC role" && peer.found.contains("party-5"), "{peer:?}");
}

#[test]
fn transactions_that_wait_are_noted_unless_the_node_knows_them() {
    assert_eq!(warns(|contract| account(contract).pending = 6), "eip155:1 account");
    let mut party = serves();
    account(&mut party.contracts[0]).pending = 6;
    party.contracts[0].memory.as_mut().unwrap().in_flight = 2;
    assert!(judged(party).iter().all(|finding| finding.verdict == Verdict::Ok));
    let unread = |contract: &mut ContractFacts| (contract.account, state(contract).account) = (None, None);
    assert_eq!(fails(unread), "eip155:1 account");
}

#[test]
fn a_highest_price_below_the_base_fee_fails_and_one_near_it_is_noted() {
    let price = |contract: &mut ContractFacts, gwei: u128| contract.settings.price_max = gwei * GWEI;
    assert_eq!(warns(|contract| price(contract, 2)), "eip155:1 gas price");
    let dear = |contract: &mut ContractFacts| {
        price(contract, 2);
        state(contract).head.base_fee = Some(3 * GWEI as u64);
    };
    assert_eq!(fails(dear), "eip155:1 gas price");
}

#[test]
fn a_bound_on_losses_below_the_cost_of_an_answer_fails() {
    assert_eq!(fails(|contract| contract.settings.max_loss_per_answer = 1_000), "eip155:1 losses");
}

#[test]
fn funds_are_counted_in_answers_and_held_against_the_losses_of_a_day() {
    // 200,000 gas at twice a base fee of 1.125 gwei and one gwei more: 650,000 gwei.
    let balance = |contract: &mut ContractFacts, gwei: u128| account(contract).balance = gwei * GWEI;
    assert_eq!(fails(|contract| balance(contract, 0)), "eip155:1 funds");
    assert_eq!(fails(|contract| balance(contract, 649_999)), "eip155:1 funds");
    let few = only_here(Verdict::Warn, |contract| balance(contract, 6_499_999));
    assert!(few.subject == "eip155:1 funds" && few.found.contains("9 answers"), "{few:?}");
    let day = only_here(Verdict::Warn, |contract| balance(contract, 6_500_000));
    assert!(day.found.contains("lost in a day") && day.remedy.contains("max_loss_per_day_wei"), "{day:?}");
    let mut free = serves();
    let contract = &mut free.contracts[0];
    (contract.settings.tip, state(contract).head.base_fee) = (0, Some(0));
    balance(contract, 0);
    assert!(!has_failed(&judged(free)), "where answers cost nothing no funds are needed");
}
