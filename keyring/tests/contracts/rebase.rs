//! An operator decides about a chain that took final blocks back.

use alloy_primitives::{B256, U256};
use chain_client::zrsign::name::WalletKind;
use chain_client::zrsign::range::Mark;
use keyring::contract::{self, Asked};
use keyring::node::{ContractNews, Event, Said};
use keyring::request::State;

use super::support::Cluster;
use super::{Contract, PROXY, chain, closing, one, record};

fn closed(why: Option<&str>) -> Event {
    Event::Contract(chain(), closing(why))
}

fn rebase(cluster: &mut Cluster, mark: Mark, undone: &[&Asked]) {
    let named = undone.iter().map(|asked| asked.decree().unwrap());
    let undone: Vec<_> = named.flat_map(|id| [contract::authorisation_of(&id), id]).collect();
    cluster.tell_all(|| Event::Contract(chain(), ContractNews::Rebase { mark, undone: undone.clone() }));
    cluster.settle();
}

/// Blocks of the other branch.
fn elsewhere(asked: &Asked) -> Asked {
    let mut other = asked.clone();
    match &mut other {
        Asked::Key { asked, .. } => asked.at.block = B256::repeat_byte(7),
        Asked::Signature(asked) => asked.name.at.block = B256::repeat_byte(7),
    }
    other
}

#[test]
fn what_stands_in_the_chain_all_the_same_is_answered_and_nothing_else() {
    let mut cluster = Cluster::with(2, 3, &[PROXY]);
    let mut contract = Contract::new(PROXY);
    let key = contract.key(WalletKind::Evm, 0);
    contract.says(&mut cluster, vec![Said::Asked(key.clone(), true)]);
    let fork = contract.mark;
    let (kept, lost) = (contract.hash(WalletKind::Evm, 0, &[1; 32]), contract.hash(WalletKind::Evm, 1, &[2; 32]));
    contract.says(&mut cluster, vec![Said::Asked(kept.clone(), true), Said::Asked(lost.clone(), true)]);
    let answer = one(&cluster, &kept.decree().unwrap(), 3);
    cluster.tell_all(|| closed(Some("another block stands where a final one stood")));
    cluster.settle();
    rebase(&mut cluster, fork, &[&kept, &lost]);
    for asked in [&kept, &lost] {
        for decree in [asked.decree().unwrap(), contract::authorisation_of(&asked.decree().unwrap())] {
            assert_eq!(record(&cluster, 0, &decree).unwrap().state, State::Undone, "{decree}");
        }
    }
    assert_eq!(cluster.parties[0].node.contract(&chain()).unwrap().closed, None);
    // The one stands in the same block of the chain as it is now; the other's number belongs to another event.
    contract.mark = fork;
    let other = elsewhere(&lost);
    contract.says(&mut cluster, vec![Said::Asked(kept.clone(), true), Said::Asked(other.clone(), true)]);
    assert_eq!(one(&cluster, &kept.decree().unwrap(), 3), answer, "decided once, for ever (law 2)");
    assert!(!record(&cluster, 1, &contract::authorisation_of(&kept.decree().unwrap())).unwrap().state.is_end());
    one(&cluster, &contract::authorisation_of(&other.decree().unwrap()), 3);
    assert_eq!(record(&cluster, 1, &lost.decree().unwrap()).unwrap().state, State::Undone);
}

#[test]
fn a_slot_that_was_opened_in_a_lost_block_is_opened_anew_with_another_key() {
    let mut cluster = Cluster::with(2, 3, &[PROXY]);
    let mut contract = Contract::new(PROXY);
    contract.says(&mut cluster, Vec::new());
    let fork = contract.mark;
    let lost = contract.key(WalletKind::Evm, 0);
    contract.says(&mut cluster, vec![Said::Asked(lost.clone(), true)]);
    let before = one(&cluster, &lost.decree().unwrap(), 3);
    cluster.tell_all(|| closed(Some("another block stands where a final one stood")));
    cluster.settle();
    rebase(&mut cluster, fork, &[&lost]);
    contract.mark = fork;
    let again = elsewhere(&lost);
    contract.says(&mut cluster, vec![Said::Asked(again.clone(), true)]);
    let after = one(&cluster, &again.decree().unwrap(), 3);
    assert_ne!(before, after, "a key belongs to one request, for ever (law 6)");
    let hash = contract.hash(WalletKind::Evm, 0, &[3; 32]);
    contract.says(&mut cluster, vec![Said::Asked(hash.clone(), true)]);
    one(&cluster, &contract::authorisation_of(&hash.decree().unwrap()), 3);
}

#[test]
fn a_look_that_began_before_the_operator_decided_closes_nothing_again() {
    let mut cluster = Cluster::with(2, 3, &[PROXY]);
    let mut contract = Contract::new(PROXY);
    contract.says(&mut cluster, Vec::new());
    let fork = contract.mark;
    contract.says(&mut cluster, Vec::new());
    let why = "another block stands where a final one stood".to_owned();
    let found = |mark| Event::Contract(chain(), ContractNews::Closed { mark: Some(mark), why: why.clone() });
    let is_closed = |cluster: &Cluster| cluster.parties[0].node.contract(&chain()).unwrap().closed.is_some();
    cluster.tell_all(|| found(contract.mark));
    cluster.settle();
    assert!(is_closed(&cluster));
    rebase(&mut cluster, fork, &[]);
    cluster.tell_all(|| found(contract.mark));
    cluster.settle();
    assert!(!is_closed(&cluster), "that was said of what is not read any more");
    cluster.tell_all(|| found(fork));
    cluster.settle();
    assert!(is_closed(&cluster), "and this is news");
}

#[test]
fn a_contract_that_is_open_is_not_rebased() {
    let mut cluster = Cluster::with(2, 3, &[PROXY]);
    let mut contract = Contract::new(PROXY);
    let key = contract.key(WalletKind::Evm, 0);
    let before = contract.mark;
    contract.says(&mut cluster, vec![Said::Asked(key.clone(), true)]);
    rebase(&mut cluster, before, &[&key]);
    assert_eq!(cluster.parties[0].node.contract(&chain()).unwrap().mark, Some(contract.mark));
    assert_ne!(record(&cluster, 0, &key.decree().unwrap()).unwrap().state, State::Undone);
    // Nor to a block that is not below what was read.
    cluster.tell_all(|| closed(Some("closed")));
    cluster.settle();
    rebase(&mut cluster, Mark { next_trace: U256::MAX, ..contract.mark }, &[&key]);
    assert!(cluster.parties[0].node.contract(&chain()).unwrap().closed.is_some());
}
