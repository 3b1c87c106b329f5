//! Simple transactions: completed alike, one at a time, by what each party reads for itself.

use alloy_primitives::{Address, Bytes, TxKind, U256, address};
use alloy_sol_types::{SolCall as _, sol};
use chain_client::Height;
use chain_client::zrsign::event::{SignatureAsked, SignatureKind, Task as Signs};
use chain_client::zrsign::name::{Destinations, TraceName, WalletKind};
use chain_client::zrsign::transaction::{LegacyTransaction, Surroundings};
use k256::ecdsa::{RecoveryId, Signature, VerifyingKey};
use keyring::admission::{Job, Task};
use keyring::contract::{self, Asked};
use keyring::decree::{Ballot, DecreeId, Proposal, Value};
use keyring::message::{Content, Statement};
use keyring::node::{BlockName, ContractNews, Event, Said};
use keyring::request::State;
use mpc_core::PartyIndex;

use super::support::{CAPS, Cluster, DESTINATION};
use super::{Contract, PROXY, chain, one, record};

sol! { function transaction(string to, uint256 value, bytes data); }

const RECIPIENT: Address = address!("3CA69dc0824fF36B545ddB1b5e4bf13B17905421");

/// A contract whose first wallet has a key, and what that key is.
pub(super) fn scene(need: u16, of: u16) -> (Cluster, Contract, Vec<u8>) {
    let mut cluster = Cluster::with(need, of, &[PROXY]);
    let mut contract = Contract::new(PROXY);
    let key = contract.key(WalletKind::Evm, 0);
    let destination = Said::Destination(format!("eip155:{DESTINATION}"));
    contract.says(&mut cluster, vec![destination, Said::Asked(key.clone(), true)]);
    let public = one(&cluster, &key.decree().unwrap(), usize::from(of));
    cluster.destination_goes_on(3, 100);
    (cluster, contract, public)
}

fn simple(contract: &Contract, trace: u64, destination: u64) -> Asked {
    simple_with(contract, trace, destination, Bytes::new())
}

fn simple_with(contract: &Contract, trace: u64, destination: u64, data: Bytes) -> Asked {
    let call = transactionCall { to: RECIPIENT.to_string(), value: U256::from(trace), data };
    let mut at = contract.next();
    at.index = trace;
    Asked::Signature(Box::new(SignatureAsked {
        name: TraceName { proxy: PROXY, trace: U256::from(trace), at },
        wallet: contract.slot(WalletKind::Evm, 0),
        destination: alloy_primitives::keccak256(format!("eip155:{destination}")),
        payload: call.abi_encode().into(),
        kind: SignatureKind::Simple,
        broadcast: true,
    }))
}

/// What a party makes of such a request.
fn completion(asked: &SignatureAsked, public: &[u8]) -> Task {
    let mut destinations = Destinations::default();
    destinations.learn(&format!("eip155:{DESTINATION}"));
    let Signs::Complete(simple, destination) = asked.task(&destinations).unwrap() else { panic!("a simple one") };
    let wallet = contract::address_of(WalletKind::Evm, public).unwrap().parse().unwrap();
    Task::Complete { simple: Box::new(simple), wallet, destination }
}

pub(super) fn asks(cluster: &mut Cluster, contract: &mut Contract, trace: u64) -> DecreeId {
    let asked = simple(contract, trace, DESTINATION);
    contract.says(cluster, vec![Said::Asked(asked.clone(), true)]);
    asked.decree().unwrap()
}

/// The completed transaction that all who know it agree on.
pub(super) fn completed(cluster: &Cluster, decree: &DecreeId, knowing: usize) -> LegacyTransaction {
    LegacyTransaction::decode(&one(cluster, &contract::completion_of(decree), knowing)).unwrap()
}

fn flights(cluster: &Cluster, party: usize) -> Vec<u64> {
    cluster.parties[party].node.flights(&chain()).map(|(_, flight)| flight.nonce).collect()
}

fn why(cluster: &Cluster, party: usize, decree: &DecreeId) -> String {
    record(cluster, party, decree).unwrap().note
}

#[test]
fn what_was_asked_is_completed_signed_and_admitted_with_the_transaction_beside_it() {
    let (mut cluster, mut contract, public) = scene(2, 3);
    let decree = asks(&mut cluster, &mut contract, 0);
    let transaction = completed(&cluster, &decree, 3);
    let wanted = LegacyTransaction {
        nonce: 3,
        gas_price: 2 * 100 + CAPS.tip,
        gas_limit: 21_000,
        to: TxKind::Call(RECIPIENT),
        value: U256::ZERO,
        data: Bytes::new(),
    };
    assert_eq!(transaction, wanted);
    let signature = one(&cluster, &decree, 3);
    let by = VerifyingKey::recover_from_prehash(
        transaction.digest(DESTINATION).as_slice(),
        &Signature::from_slice(&signature[..64]).unwrap(),
        RecoveryId::from_byte(signature[64]).unwrap(),
    );
    assert_eq!(by.unwrap().to_sec1_bytes().as_ref(), public.as_slice());
    let told = simple(&contract, 0, DESTINATION).told(&signature, &transaction.encode());
    let form = one(&cluster, &contract::authorisation_of(&decree), 3);
    let controller = one(&cluster, &contract::controller_of(PROXY), 3);
    assert_eq!(super::authoriser(&told.unwrap(), &form).to_sec1_bytes().as_ref(), controller.as_slice());
    let meta_data = transaction.encode().to_vec();
    contract.says(&mut cluster, vec![Said::Answered { trace: 0, signature, meta_data, broadcast: true }]);
    for decree in [&decree, &contract::completion_of(&decree), &contract::authorisation_of(&decree)] {
        assert_eq!(record(&cluster, 1, decree).unwrap().state, State::Settled, "{decree}");
    }
    assert_eq!(flights(&cluster, 0), [3], "its nonce is not spent yet");
}

#[test]
fn the_next_waits_until_the_nonce_is_spent_for_good() {
    let (mut cluster, mut contract, _) = scene(2, 3);
    let (first, second) = (asks(&mut cluster, &mut contract, 0), asks(&mut cluster, &mut contract, 1));
    assert_eq!(completed(&cluster, &first, 3).nonce, 3);
    assert!(cluster.answers(&contract::completion_of(&second)).is_empty());
    assert!(why(&cluster, 0, &second).contains("nonce 3"), "{}", why(&cluster, 0, &second));
    cluster.destination_goes_on(3, 100);
    cluster.settle();
    assert!(cluster.answers(&contract::completion_of(&second)).is_empty(), "another block, the same nonce");
    cluster.destination_goes_on(4, 100);
    cluster.settle();
    assert_eq!(completed(&cluster, &second, 3).nonce, 4);
    assert_eq!(flights(&cluster, 2), [4]);
}

#[test]
fn operators_give_a_nonce_up_and_the_next_takes_it() {
    let (mut cluster, mut contract, _) = scene(2, 3);
    let (first, second) = (asks(&mut cluster, &mut contract, 7), asks(&mut cluster, &mut contract, 9));
    assert_eq!(completed(&cluster, &first, 3).nonce, 3);
    for trace in [9, 7] {
        assert!(cluster.answers(&contract::completion_of(&second)).is_empty());
        cluster.tell_all(|| Event::Contract(chain(), ContractNews::Release(trace)));
        cluster.settle();
    }
    assert_eq!(completed(&cluster, &second, 3).nonce, 3);
}

#[test]
fn operators_give_up_what_cannot_be_completed_and_the_next_is() {
    let (mut cluster, mut contract, _) = scene(2, 3);
    cluster.destination_goes_on(3, CAPS.gas_price_max + 1);
    let (first, second) = (asks(&mut cluster, &mut contract, 7), asks(&mut cluster, &mut contract, 9));
    assert!(why(&cluster, 0, &first).contains("highest price"), "{}", why(&cluster, 0, &first));
    for trace in [9, 7] {
        assert!(!record(&cluster, 1, &first).unwrap().state.is_end(), "the other one is not next");
        cluster.tell_all(|| Event::Contract(chain(), ContractNews::Release(trace)));
        cluster.settle();
    }
    assert!(matches!(record(&cluster, 1, &first).unwrap().state, State::Unanswerable(_)));
    assert!(why(&cluster, 1, &first).contains("given up"), "{}", why(&cluster, 1, &first));
    assert!(!record(&cluster, 1, &second).unwrap().state.is_end());
    cluster.destination_goes_on(3, 100);
    cluster.settle();
    assert_eq!(completed(&cluster, &second, 3).nonce, 3);
    assert!(cluster.answers(&contract::completion_of(&first)).is_empty());
}

#[test]
fn a_destination_that_nobody_configured_is_refused_with_its_reason() {
    let (mut cluster, mut contract, _) = scene(2, 3);
    let asked = simple(&contract, 0, 5);
    contract.says(&mut cluster, vec![Said::Destination("eip155:5".to_owned()), Said::Asked(asked.clone(), true)]);
    let decree = asked.decree().unwrap();
    let refused = record(&cluster, 0, &decree).unwrap();
    assert!(matches!(refused.state, State::Unanswerable(_)), "{:?}", refused.state);
    assert!(refused.note.contains("eip155:5"), "{}", refused.note);
    let good = asks(&mut cluster, &mut contract, 1);
    one(&cluster, &contract::authorisation_of(&good), 3);
}

/// Law 1: whoever leads, what one party alone sees of the destination is never signed.
#[test]
fn nobody_joins_what_its_own_endpoint_does_not_show() {
    for odd in 0..3 {
        let (mut cluster, mut contract, _) = scene(2, 3);
        // Its endpoint shows another chain: the same height, another block, a nonce of its own.
        let hash = alloy_primitives::keccak256(b"elsewhere");
        let shown = Surroundings { nonce: 9, base_fee: 400, gas_estimate: 0 };
        cluster.destination[odd] = vec![(BlockName { height: 100, hash }, shown)];
        let decree = asks(&mut cluster, &mut contract, 0);
        let transaction = completed(&cluster, &decree, 3);
        assert_eq!((transaction.nonce, transaction.gas_price), (3, 201), "party {odd} is alone");
        one(&cluster, &contract::authorisation_of(&decree), 3);
    }
}

/// Whoever says that it leads, in whatever ballot: a block that nobody has, another one, and the first again.
#[test]
fn a_lying_leader_orders_one_reading_at_most() {
    let (mut cluster, mut contract, public) = scene(2, 3);
    let Asked::Signature(asked) = simple(&contract, 0, DESTINATION) else { panic!("a signature") };
    let id = contract::completion_of(&Asked::Signature(asked.clone()).decree().unwrap());
    let task = completion(&asked, &public);
    let request = Job { decree: id.clone(), created: Height(0), deadline: None, task }.digest();
    let lie = |cluster: &mut Cluster, attempts: u32| {
        let lies = (0..3).flat_map(|leader| (0..attempts).map(move |attempt| (leader, attempt)));
        for ((leader, attempt), number) in lies.flat_map(|ballot| [0, 1, 0].map(|number| (ballot, number))) {
            let value = Value::Transaction { height: 1_000 + number, block: [number as u8; 32], bytes: vec![1] };
            let ballot = Ballot { attempt, leader: PartyIndex::new(leader) };
            let statement = Statement::Propose(Proposal { request, value });
            cluster.says(leader, Content::Decree { decree: id.clone(), ballot, statement });
        }
    };
    // Two read nothing, so nothing is settled meanwhile.
    let blocks = cluster.destination[0].clone();
    cluster.destination[0].clear();
    cluster.destination[1].clear();
    lie(&mut cluster, 2);
    let decree = asks(&mut cluster, &mut contract, 0);
    lie(&mut cluster, 9);
    cluster.settle();
    let invented = |reads: &Vec<BlockName>| reads.iter().filter(|block| block.height >= 1_000).count();
    let mut reads: Vec<usize> = cluster.destination_reads.iter().map(invented).collect();
    reads.sort_unstable();
    assert_eq!(reads, [0, 1, 1], "the leader of ballot 0 alone is heard without promises, by the two others, once");
    cluster.destination[0] = blocks;
    cluster.settle();
    assert_eq!(completed(&cluster, &decree, 3).nonce, 3, "what is true is completed all the same");
}

#[test]
fn with_a_quorum_that_reads_nothing_nothing_is_completed_until_it_reads() {
    let (mut cluster, mut contract, _) = scene(2, 3);
    let blocks = cluster.destination[0].clone();
    cluster.destination[0].clear();
    cluster.destination[1].clear();
    let decree = asks(&mut cluster, &mut contract, 0);
    assert!(cluster.answers(&contract::completion_of(&decree)).is_empty());
    assert!(why(&cluster, 0, &decree).contains("not read: it is down"), "{}", why(&cluster, 0, &decree));
    cluster.destination[0] = blocks;
    cluster.settle();
    completed(&cluster, &decree, 3);
}

#[test]
fn a_price_above_the_cap_waits_for_a_cheaper_block() {
    let (mut cluster, mut contract, _) = scene(2, 3);
    cluster.destination_goes_on(3, CAPS.gas_price_max + 1);
    let decree = asks(&mut cluster, &mut contract, 0);
    assert!(cluster.answers(&contract::completion_of(&decree)).is_empty());
    cluster.destination_goes_on(3, CAPS.gas_price_max);
    cluster.settle();
    assert_eq!(completed(&cluster, &decree, 3).gas_price, CAPS.gas_price_max);
}

#[test]
fn a_call_gets_its_estimate_and_a_fifth_and_waits_while_that_is_above_the_cap() {
    let (mut cluster, mut contract, _) = scene(2, 3);
    cluster.gas_estimate = CAPS.gas_limit_max;
    cluster.destination_goes_on(3, 100);
    let asked = simple_with(&contract, 0, DESTINATION, Bytes::from_static(b"call"));
    contract.says(&mut cluster, vec![Said::Asked(asked.clone(), true)]);
    let decree = asked.decree().unwrap();
    assert!(cluster.answers(&contract::completion_of(&decree)).is_empty());
    assert!(why(&cluster, 0, &decree).contains("it needs 120000 gas"), "{}", why(&cluster, 0, &decree));
    cluster.gas_estimate = 50_000;
    cluster.destination_goes_on(3, 100);
    cluster.settle();
    assert_eq!(completed(&cluster, &decree, 3).gas_limit, 60_000);
    one(&cluster, &contract::authorisation_of(&decree), 3);
}

/// It has not taken part, and still does not offer the nonce again.
#[test]
fn a_party_that_reads_late_knows_from_the_contract_what_is_in_flight() {
    let (mut cluster, mut contract, _) = scene(2, 3);
    let before = contract.mark;
    let asked = simple(&contract, 0, DESTINATION);
    let decree = asked.decree().unwrap();
    contract.says_to(&mut cluster, &[0, 1], vec![Said::Asked(asked.clone(), true)]);
    let (signature, transaction) = (one(&cluster, &decree, 2), completed(&cluster, &decree, 2));
    let meta_data = transaction.encode().to_vec();
    let answered = Said::Answered { trace: 0, signature, meta_data, broadcast: true };
    contract.says_to(&mut cluster, &[0, 1], vec![answered.clone()]);
    assert!(flights(&cluster, 2).is_empty());
    let after = contract.mark;
    contract.mark = before;
    contract.next_is(after);
    contract.says_to(&mut cluster, &[2], vec![Said::Asked(asked, false), answered]);
    assert_eq!(flights(&cluster, 2), [3]);
}
